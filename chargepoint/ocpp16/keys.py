"""The table of configuration keys: what each means and which values it takes (OCPP 1.6 §9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from chargepoint.domain.metering import ENERGY, Measurand, parse_measurands, supported
from chargepoint.ocpp16.security import EXTENSION
from hal.api import EvseInfo

FEATURE_PROFILES = (
    "Core",
    "FirmwareManagement",
    "LocalAuthListManagement",
    "RemoteTrigger",
    "Reservation",
    "SmartCharging",
)
"""The feature profiles of OCPP 1.6 §3.3 that exist here, under their ids of `SupportedFeatureProfiles`."""

MAX_VALUE_LENGTH = 500
MAX_INTEGER = 2**31 - 1

_ROTATIONS = frozenset({"NotApplicable", "Unknown", "RST", "RTS", "SRT", "STR", "TRS", "TSR"})
UNITS = {"Current": "A", "Power": "W"}
PROTOCOLS = ("FTP", "FTPS", "HTTP", "HTTPS")

Items = tuple[str, ...]
Value = int | str | tuple[object, ...] | None
"""A value in force: truth, number, text, list, or None for unset."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the connectors of a station decide about its configuration."""

    connectors: int
    measurands: frozenset[Measurand]
    tethered: bool  # every cable is fixed to the station

    @classmethod
    def of(cls, infos: Sequence[EvseInfo]) -> Hardware:
        """Summed up over all connectors: what one of them measures may be asked for."""
        measurands = frozenset[Measurand]().union(*(supported(info) for info in infos))
        return cls(len(infos), measurands, all(info.tethered for info in infos))

    def values(self) -> dict[str, str]:
        """The factory values that follow from the hardware."""
        rotation = ",".join(f"{n}.Unknown" for n in range(self.connectors + 1))
        if len(rotation) > MAX_VALUE_LENGTH:  # from 47 connectors on: as many as fit
            rotation = rotation[:MAX_VALUE_LENGTH].rpartition(",")[0]
        return {
            "ConnectorPhaseRotation": rotation,
            "ConnectorPhaseRotationMaxLength": str(self.connectors + 1),
            "NumberOfConnectors": str(self.connectors),
            "UnlockConnectorOnEVSideDisconnect": "false" if self.tethered else "true",
        }

    def fixed(self) -> frozenset[str]:
        """The keys on which the hardware alone decides (errata 3.84)."""
        unlock = {"UnlockConnectorOnEVSideDisconnect"} if self.tethered else set[str]()
        return frozenset({"NumberOfConnectors"} | unlock)


@dataclass(frozen=True, slots=True)
class Key:
    """One configuration key.

    `default` is the value of a station with one socket; None: unset. `check` turns the items of a list into
    what is kept of them, or raises `ValueError`. The `maximum` of a text is its length. A `profile` that is
    no feature profile is always there.
    """

    name: str
    kind: Literal["bool", "int", "csl", "text"]
    default: str | None
    access: Literal["R", "RW", "W"]
    profile: str
    required: bool
    description: str
    minimum: int = 0
    maximum: int = MAX_INTEGER
    check: Callable[[Items, Hardware], tuple[object, ...]] | None = None
    reboot: bool = False  # a change takes effect at the next start

    def parse(self, text: str, hardware: Hardware) -> Value:
        """What the text stands for (OCPP 1.6 §9); raises `ValueError` that says what is wrong with it."""
        if len(text) > MAX_VALUE_LENGTH:
            raise ValueError(f"a value has at most {MAX_VALUE_LENGTH} characters")
        if self.kind == "bool":
            return _boolean(text)
        if self.kind == "int":
            return self._integer(text)
        if self.kind == "text":
            return self._text(text)
        items = tuple(item.strip() for item in text.split(",")) if text.strip() else ()
        return self.check(items, hardware) if self.check else items

    def _text(self, text: str) -> str:
        if len(text) > self.maximum:
            raise ValueError(f"has {len(text)} characters, {self.maximum} are allowed")
        return text

    def _integer(self, text: str) -> int:
        if not (text.isascii() and text.isdigit()):
            raise ValueError(f"{text!r} is not a whole number without a sign")
        value = int(text)
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not within {self.minimum} and {self.maximum}")
        return value


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def render(value: Value) -> str:
    """A parsed value as it is reported: booleans in lower case, lists without blanks."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _measurands(items: Items, hardware: Hardware) -> tuple[Measurand, ...]:
    return parse_measurands(",".join(items), hardware.measurands)


def _among(allowed: Iterable[str]) -> Callable[[Items, Hardware], Items]:
    """A check for lists of distinct words."""
    words = tuple(allowed)

    def check(items: Items, hardware: Hardware) -> Items:
        for item in items:
            if item not in words:
                raise ValueError(f"{item!r} is not one of {', '.join(words)}")
        if not items or len(set(items)) < len(items):
            raise ValueError(f"must name at least one of {', '.join(words)}, and none twice")
        return items

    return check


def _profiles(items: Items, hardware: Hardware) -> Items:
    if "Core" not in items:
        raise ValueError("Core cannot be left out")
    return _among(FEATURE_PROFILES)(items, hardware)


def _phase_rotation(items: Items, hardware: Hardware) -> Items:
    seen = set()
    for item in items:
        number, _, rotation = item.partition(".")
        if not (number.isascii() and number.isdigit()) or int(number) > hardware.connectors:
            raise ValueError(f"{item!r} does not begin with a connector from 0 to {hardware.connectors}")
        if rotation not in _ROTATIONS:
            raise ValueError(f"{item!r} does not end in one of {', '.join(sorted(_ROTATIONS))}")
        if int(number) in seen:
            raise ValueError(f"connector {number} is named twice")
        seen.add(int(number))
    if not items:
        raise ValueError("names no connector")
    return items


def _table(*keys: Key) -> Mapping[str, Key]:
    return MappingProxyType({key.name: key for key in keys})


KEYS = _table(
    Key("AllowOfflineTxForUnknownId", "bool", "false", "RW", "Core", False,
        "Offline, an identifier that neither the local list nor the cache knows may charge."),
    Key("AuthorizationCacheEnabled", "bool", "true", "RW", "Core", False,
        "What the central system says of identifiers is remembered and used."),
    Key("AuthorizeRemoteTxRequests", "bool", "false", "RW", "Core", True,
        "A remote start is authorised like a card; otherwise StartTransaction alone tells."),
    Key("ClockAlignedDataInterval", "int", "0", "RW", "Core", True,
        "Seconds between meter values on the grid that begins at midnight UTC; 0: none."),
    Key("ConnectionTimeOut", "int", "120", "RW", "Core", True,
        "Seconds Preparing may last before the station gives up waiting; 0: for ever."),
    Key("ConnectorPhaseRotation", "csl", "0.Unknown,1.Unknown", "RW", "Core", True,
        "How the grid's phases are wired to each connector (0: to the station), one `n.ROTATION` each.",
        check=_phase_rotation),
    Key("ConnectorPhaseRotationMaxLength", "int", "2", "R", "Core", False,
        "The most items ConnectorPhaseRotation takes.", minimum=1),
    Key("GetConfigurationMaxKeys", "int", "64", "R", "Core", True,
        "The most keys one GetConfiguration may ask for.", minimum=1),
    Key("HeartbeatInterval", "int", "300", "RW", "Core", True,
        "Seconds of silence before a Heartbeat; an accepted BootNotification sets it. 0: one a day."),
    Key("LocalAuthorizeOffline", "bool", "true", "RW", "Core", True,
        "Offline, an identifier known locally as valid may charge."),
    Key("LocalPreAuthorize", "bool", "false", "RW", "Core", True,
        "Online, an identifier known locally as valid charges without being asked for."),
    Key("MaxEnergyOnInvalidId", "int", "0", "RW", "Core", False,
        "Wh, counted from its start, that a transaction may deliver although its identifier proved invalid."),
    Key("MessageTimeout", "int", "30", "RW", "Core", False,
        "Seconds to wait for the answer to a CALL.", minimum=1),
    Key("MeterValueSampleInterval", "int", "60", "RW", "Core", True,
        "Seconds between meter values during a transaction; 0: none."),
    Key("MeterValuesAlignedData", "csl", str(ENERGY), "RW", "Core", True,
        "What is measured on the clock-aligned grid.", check=_measurands),
    Key("MeterValuesAlignedDataMaxLength", "int", "20", "R", "Core", False,
        "The most items MeterValuesAlignedData takes.", minimum=1),
    Key("MeterValuesSampledData", "csl", str(ENERGY), "RW", "Core", True,
        "What is measured during a transaction; empty means the energy register.", check=_measurands),
    Key("MeterValuesSampledDataMaxLength", "int", "20", "R", "Core", False,
        "The most items MeterValuesSampledData takes.", minimum=1),
    Key("MinimumStatusDuration", "int", "0", "RW", "Core", False,
        "Seconds a status must last before it is reported."),
    Key("NumberOfConnectors", "int", "1", "R", "Core", True,
        "How many connectors there are; the hardware decides.", minimum=1),
    Key("ResetRetries", "int", "1", "RW", "Core", True,
        "How often a failed reset is tried again."),
    Key("StopTransactionMaxMeterValues", "int", "500", "R", "Core", False,
        "The most meter values a StopTransaction carries; beyond it they are thinned.", minimum=2),
    Key("StopTransactionOnEVSideDisconnect", "bool", "true", "RW", "Core", False,
        "Unplugging at the vehicle ends the transaction."),
    Key("StopTransactionOnInvalidId", "bool", "true", "RW", "Core", True,
        "A transaction whose identifier proves invalid ends; otherwise only its energy stops."),
    Key("StopTxnAlignedData", "csl", "", "RW", "Core", True,
        "What StopTransaction carries of the clock-aligned grid.", check=_measurands),
    Key("StopTxnAlignedDataMaxLength", "int", "20", "R", "Core", False,
        "The most items StopTxnAlignedData takes."),
    Key("StopTxnSampledData", "csl", "", "RW", "Core", True,
        "What StopTransaction carries of begin, end and the samples between.", check=_measurands),
    Key("StopTxnSampledDataMaxLength", "int", "20", "R", "Core", False,
        "The most items StopTxnSampledData takes."),
    Key("SupportedFeatureProfiles", "csl", ",".join(FEATURE_PROFILES), "R", "Core", True,
        "The feature profiles in use; leaving one out switches its messages and keys off.", check=_profiles),
    Key("TransactionMessageAttempts", "int", "3", "RW", "Core", True,
        "How often a message of a transaction is sent at most, the first time included."),
    Key("TransactionMessageRetryInterval", "int", "60", "RW", "Core", True,
        "Seconds before such a message is sent again, times the number of sendings so far; 0: at once."),
    Key("UnlockConnectorOnEVSideDisconnect", "bool", "true", "RW", "Core", True,
        "Unplugging at the vehicle unlocks the plug; read-only and false where the cable is fixed."),
    Key("WebSocketPingInterval", "int", "60", "RW", "Core", False,
        "Seconds between pings; 0: none are sent."),
    Key("SupportedFileTransferProtocols", "csl", ",".join(PROTOCOLS), "R", "FirmwareManagement", False,
        "The protocols by which files come and go.", check=_among(PROTOCOLS)),
    Key("LocalAuthListEnabled", "bool", "true", "RW", "LocalAuthListManagement", True,
        "The local authorization list is consulted and can be changed."),
    Key("LocalAuthListMaxLength", "int", "10000", "R", "LocalAuthListManagement", True,
        "The most identifiers the local authorization list may hold.", minimum=1),
    Key("SendLocalListMaxLength", "int", "1000", "R", "LocalAuthListManagement", True,
        "The most identifiers one SendLocalList may carry.", minimum=1),
    Key("ReserveConnectorZeroSupported", "bool", "true", "R", "Reservation", False,
        "A reservation may be for any connector instead of a certain one."),
    Key("ChargeProfileMaxStackLevel", "int", "20", "R", "SmartCharging", True,
        "The highest stack level a charging profile may have."),
    Key("ChargingScheduleAllowedChargingRateUnit", "csl", "Current,Power", "R", "SmartCharging", True,
        "The units limits may come in: Current for A, Power for W.", check=_among(UNITS)),
    Key("ChargingScheduleMaxPeriods", "int", "100", "R", "SmartCharging", True,
        "The most periods a charging schedule may have.", minimum=1),
    Key("ConnectorSwitch3to1PhaseSupported", "bool", "false", "R", "SmartCharging", False,
        "A connector can change between three phases and one during a transaction."),
    Key("MaxChargingProfilesInstalled", "int", "50", "R", "SmartCharging", True,
        "The most charging profiles there may be at one time.", minimum=1),
    Key("DisableSecurityEventNotifications", "bool", "false", "RW", EXTENSION, False,
        "No security event is told to the central system; the security log keeps them all the same."),
    Key("AuthorizationKey", "text", None, "W", EXTENSION, False,
        "The password of security profiles 1 and 2; written, never read."),
    Key("SecurityProfile", "int", "0", "RW", EXTENSION, False,
        "0: none, 1: password, 2: password over TLS, 3: client certificate; only ever raised.", maximum=3),
    Key("AdditionalRootCertificateCheck", "bool", "false", "R", EXTENSION, False,
        "A new root certificate of the central system must be signed by the old one, which it replaces."),
    Key("CertificateSignedMaxChainSize", "int", "10000", "R", EXTENSION, False,
        "The most characters the certificate chain issued to this station may have.", maximum=10_000),
    Key("CertificateStoreMaxLength", "int", "20", "R", EXTENSION, False,
        "The most root certificates that may be installed."),
    Key("CpoName", "text", None, "RW", EXTENSION, False,
        "The operator's name in requests for a certificate; without it none is asked for.", maximum=64),
)  # fmt: skip
"""Every key, in the order GetConfiguration reports them."""
