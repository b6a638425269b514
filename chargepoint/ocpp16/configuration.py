"""The configuration keys of OCPP 1.6 §9: what each means, which values it takes, and those in force."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, Literal, TypeVar, cast, overload

from chargepoint.domain.metering import ENERGY, Measurand, parse_measurands, supported
from chargepoint.domain.ports import Store
from hal.api import EvseInfo

T = TypeVar("T")

KIND = "configuration"
"""Under this kind the store keeps changed values, one document per key."""

FEATURE_PROFILES = ("Core", "SmartCharging")
"""The feature profiles of OCPP 1.6 §3.3 that exist here, under their ids of `SupportedFeatureProfiles`."""

MAX_VALUE_LENGTH = 500
MAX_INTEGER = 2**31 - 1

_ROTATIONS = frozenset({"NotApplicable", "Unknown", "RST", "RTS", "SRT", "STR", "TRS", "TSR"})
_UNITS = {"Current": "A", "Power": "W"}

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
    what is kept of them, or raises `ValueError`. A `profile` that is no feature profile is always there.
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
            return text
        items = tuple(item.strip() for item in text.split(",")) if text.strip() else ()
        return self.check(items, hardware) if self.check else items

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


def _render(value: Value) -> str:
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
    Key("ChargeProfileMaxStackLevel", "int", "20", "R", "SmartCharging", True,
        "The highest stack level a charging profile may have."),
    Key("ChargingScheduleAllowedChargingRateUnit", "csl", "Current,Power", "R", "SmartCharging", True,
        "The units limits may come in: Current for A, Power for W.", check=_among(_UNITS)),
    Key("ChargingScheduleMaxPeriods", "int", "100", "R", "SmartCharging", True,
        "The most periods a charging schedule may have.", minimum=1),
    Key("ConnectorSwitch3to1PhaseSupported", "bool", "false", "R", "SmartCharging", False,
        "A connector can change between three phases and one during a transaction."),
    Key("MaxChargingProfilesInstalled", "int", "50", "R", "SmartCharging", True,
        "The most charging profiles there may be at one time.", minimum=1),
)  # fmt: skip
"""Every key, in the order GetConfiguration reports them."""


class FactoryConfiguration:
    """The values a station leaves the factory with, shared by all stations made alike.

    `values` are those of the configuration file, keys in any case; the rest are defaults. Where the hardware
    says otherwise it wins, and `warnings` tells. Raises `ValueError` for values that `problems` would name.
    """

    __slots__ = ("_names", "fixed", "hardware", "keys", "typed", "warnings")

    def __init__(
        self, values: Mapping[str, str], infos: Sequence[EvseInfo], keys: Mapping[str, Key] = KEYS
    ) -> None:
        self.keys = keys
        self.hardware = Hardware.of(infos)
        self.fixed = self.hardware.fixed()
        self.warnings: tuple[str, ...] = ()
        self._names = {name.lower(): key for name, key in keys.items()}
        self.typed: dict[str, Value] = {}
        found = self._fill(values)
        if found:
            raise ValueError("; ".join(f"{name}: {problem}" for name, problem in found.items()))

    def find(self, name: str) -> Key | None:
        """The key of that name in any case, whatever the profiles in use."""
        return self._names.get(name.lower())

    def _fill(self, values: Mapping[str, str]) -> dict[str, str]:
        """Put every key's value in force and return the problems with `values`."""
        found: dict[str, str] = {}
        given: dict[str, tuple[str, str]] = {}
        for name, text in values.items():
            key = self.find(name)
            if key is None:
                found[name] = "no such key"
            elif key.name in given:
                found[name] = f"given twice, the other time as {given[key.name][0]}"
            else:
                given[key.name] = (name, text)
        derived = self.hardware.values()
        for key in lengths_first(self.keys.values()):
            default = derived.get(key.name, key.default)
            self.typed[key.name] = None if default is None else key.parse(default, self.hardware)
            if key.name in given:
                name, text = given[key.name]
                try:
                    self._set(key, self.parse(key, text, self.typed))
                except ValueError as error:
                    found[name] = str(error)
        return found

    def _set(self, key: Key, value: Value) -> None:
        if key.name not in self.fixed:
            self.typed[key.name] = value
        elif value != self.typed[key.name]:
            kept = _render(self.typed[key.name])
            self.warnings += (f"{key.name} is {kept}: the hardware decides, not the configuration",)

    def parse(self, key: Key, text: str, typed: Mapping[str, Value]) -> Value:
        """The value of a key, with the length of lists checked against `typed`; raises `ValueError`."""
        value = key.parse(text, self.hardware)
        limit = typed.get(f"{key.name}MaxLength")
        if isinstance(value, tuple) and isinstance(limit, int) and len(value) > limit:
            raise ValueError(f"has {len(value)} items, {limit} are allowed")
        return value


def lengths_first(keys: Iterable[Key]) -> list[Key]:
    """Numbers before lists, because some numbers are the allowed lengths of lists."""
    return sorted(keys, key=lambda key: key.kind != "int")


def problems(values: Mapping[str, str], infos: Sequence[EvseInfo] = (EvseInfo(),)) -> dict[str, str]:
    """What is wrong with which factory values, in words, under the names they came with; {} if nothing is."""
    return FactoryConfiguration({}, infos)._fill(values)


class _Setting(Generic[T]):
    """A key's value as a read-only attribute of a `Configuration`."""

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        assert key in KEYS, key
        self._key = key

    @overload
    def __get__(self, station: None, owner: type) -> _Setting[T]: ...

    @overload
    def __get__(self, station: Configuration, owner: type) -> T: ...

    def __get__(self, station: Configuration | None, owner: type) -> _Setting[T] | T:
        return self if station is None else cast(T, station.value(self._key))


class Configuration:
    """The configuration of one station: the factory's values, and what was changed since.

    Changes are put into the store and are in force at once; the caller commits. `on_change` is called with
    the key's name after each change of a value. `reload` reads the store again after a rollback. Names that
    come from outside match in any case.
    """

    __slots__ = ("_changed", "_factory", "_store", "on_change")

    connection_timeout_s = _Setting[int]("ConnectionTimeOut")
    stop_on_ev_side_disconnect = _Setting[bool]("StopTransactionOnEVSideDisconnect")
    unlock_on_ev_side_disconnect = _Setting[bool]("UnlockConnectorOnEVSideDisconnect")
    stop_on_invalid_id = _Setting[bool]("StopTransactionOnInvalidId")
    max_energy_on_invalid_id_wh = _Setting[int]("MaxEnergyOnInvalidId")
    authorize_remote = _Setting[bool]("AuthorizeRemoteTxRequests")
    sample_interval_s = _Setting[int]("MeterValueSampleInterval")
    aligned_interval_s = _Setting[int]("ClockAlignedDataInterval")
    stop_max_meter_values = _Setting[int]("StopTransactionMaxMeterValues")
    attempts = _Setting[int]("TransactionMessageAttempts")
    retry_interval_s = _Setting[int]("TransactionMessageRetryInterval")
    message_timeout_s = _Setting[int]("MessageTimeout")
    heartbeat_interval_s = _Setting[int]("HeartbeatInterval")
    ping_interval_s = _Setting[int]("WebSocketPingInterval")
    minimum_status_duration_s = _Setting[int]("MinimumStatusDuration")
    reset_retries = _Setting[int]("ResetRetries")
    cache_enabled = _Setting[bool]("AuthorizationCacheEnabled")
    pre_authorize = _Setting[bool]("LocalPreAuthorize")
    authorize_offline = _Setting[bool]("LocalAuthorizeOffline")
    allow_unknown_offline = _Setting[bool]("AllowOfflineTxForUnknownId")
    max_stack_level = _Setting[int]("ChargeProfileMaxStackLevel")
    max_periods = _Setting[int]("ChargingScheduleMaxPeriods")
    max_profiles_installed = _Setting[int]("MaxChargingProfilesInstalled")
    max_keys = _Setting[int]("GetConfigurationMaxKeys")

    def __init__(self, store: Store, factory: FactoryConfiguration) -> None:
        self.on_change: Callable[[str], None] | None = None
        self._store = store
        self._factory = factory
        # Only what differs from the factory: most of thousands of stations then need no dictionary.
        self._changed: dict[str, Value] | None = None
        self.reload()

    def reload(self) -> None:
        """Read the changed values from the store; those the hardware no longer allows are passed over."""
        self._changed = None
        stored = {name: document["value"] for name, document in self._store.items(KIND)}
        for key in lengths_first(self._factory.keys[name] for name in stored if name in self._factory.keys):
            try:
                self._keep(key, self._parse(key, stored[key.name]))
            except ValueError:
                continue

    def value(self, name: str) -> Value:
        """The value in force; for this and the next five the key is spelled as in the table.

        A profile that is not in use does not matter here.
        """
        if self._changed is not None and name in self._changed:
            return self._changed[name]
        return self._factory.typed[name]

    def integer(self, name: str) -> int:
        """The value of a key that holds a number."""
        return cast(int, self.value(name))

    def boolean(self, name: str) -> bool:
        """The value of a key that is true or false."""
        return cast(bool, self.value(name))

    def words(self, name: str) -> tuple[str, ...]:
        """The value of a key that holds a list of words."""
        return cast(tuple[str, ...], self.value(name))

    def text(self, name: str) -> str | None:
        """The value of any key, secret ones included, as it would be reported; None: unset."""
        value = self.value(name)
        return None if value is None else _render(value)

    def measurands(self, name: str) -> tuple[Measurand, ...]:
        """The value of a measurand list; an empty MeterValuesSampledData means the energy register."""
        found = cast(tuple[Measurand, ...], self.value(name))
        return found or ((ENERGY,) if name == "MeterValuesSampledData" else ())

    @property
    def allowed_units(self) -> frozenset[str]:
        """The units, A and W, that limits may come in (errata 3.88)."""
        return frozenset(_UNITS[word] for word in self.words("ChargingScheduleAllowedChargingRateUnit"))

    def supports(self, profile: str) -> bool:
        """True if the feature profile is in use; what is no feature profile always is."""
        return profile not in FEATURE_PROFILES or profile in self.words("SupportedFeatureProfiles")

    def listed(self) -> list[Key]:
        """Every key of the profiles in use, in the table's order; secrets are left out."""
        return [
            key for key in self._factory.keys.values() if key.access != "W" and self.supports(key.profile)
        ]

    def find(self, name: str) -> Key | None:
        """The key of that name in any case; None if there is none or its profile is not in use."""
        key = self._factory.find(name)
        return key if key is not None and self.supports(key.profile) else None

    def get(self, name: str) -> str | None:
        """The value as it may be shown, under a name in any case; None: unset, secret or unknown."""
        key = self.find(name)
        return None if key is None or key.access == "W" else self.text(key.name)

    def readonly(self, key: Key) -> bool:
        """True if only the hardware or local service can change it."""
        return key.access == "R" or key.name in self._factory.fixed

    def change(self, name: str, value: str) -> str:
        """Change a value for the central system: Accepted, RebootRequired, Rejected or NotSupported.

        OCPP 1.6 §5.3, §7.22. Whatever is not accepted leaves everything as it was.
        """
        key = self.find(name)
        if key is None:
            return "NotSupported"
        if self.readonly(key) or self._store_value(key, value) is not None:
            return "Rejected"
        return "RebootRequired" if key.reboot else "Accepted"

    def set_service(self, name: str, value: str) -> str | None:
        """Change a value for local service or the station itself, read-only keys too.

        None if that was possible, otherwise what is wrong, in words.
        """
        key = self.find(name)
        return f"there is no key {name}" if key is None else self._store_value(key, value)

    def _store_value(self, key: Key, text: str) -> str | None:
        """Put a value in force and into the store; if it is not allowed, say why."""
        try:
            value = self._parse(key, text)
        except ValueError as error:
            return str(error)
        before = self.value(key.name)
        if key.name in self._factory.fixed:
            return None if value == before else f"{key.name} is decided by the hardware"
        self._store.put(KIND, key.name, {"value": _render(value)})
        self._keep(key, value)
        if value != before and self.on_change is not None:
            self.on_change(key.name)
        return None

    def _parse(self, key: Key, text: str) -> Value:
        limit = f"{key.name}MaxLength"
        typed = {limit: self.value(limit)} if limit in self._factory.keys else {}
        return self._factory.parse(key, text, typed)

    def _keep(self, key: Key, value: Value) -> None:
        if key.name in self._factory.fixed:
            return
        changed = dict(self._changed or ())
        changed.pop(key.name, None)
        if value != self._factory.typed[key.name]:
            changed[key.name] = value
        self._changed = changed or None
