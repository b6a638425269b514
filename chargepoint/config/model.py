"""Everything that can be configured about one station, with its defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator

from chargepoint.config.compatibility import BehaviourConfig, CompatibilityConfig
from chargepoint.config.connection import CsmsConfig
from chargepoint.config.firmware import FirmwareConfig
from chargepoint.config.hardware import ConnectorConfig, ReaderConfig
from chargepoint.config.keys import ExtraKeyConfig, extra_key_problem, missing_key_problem, wrong_values
from chargepoint.config.ports import conflicts
from chargepoint.config.problems import explained_flags
from chargepoint.config.quirks import QuirksConfig
from chargepoint.config.section import Context, Expected, Section, mistake, mistakes
from chargepoint.config.site import SiteConfig, wiring_problem
from chargepoint.config.source import Place
from chargepoint.errors import ConfigError
from hal.simulated.vehicle import vehicle_from

__all__ = ["NameplateConfig", "StationConfig"]

MAX_CONNECTORS = 100

_HEX = re.compile("([0-9A-Fa-f]{2})+")


class NameplateConfig(Section):
    """Who the station says it is in its BootNotification; longer texts are cut (OCPP 1.6 §6.3)."""

    vendor: str = Field(default="Example", min_length=1, max_length=20, description="chargePointVendor.")
    model: str = Field(default="Wallbox", min_length=1, max_length=20, description="chargePointModel.")
    serial_number: str | None = Field(default=None, max_length=25, description="chargePointSerialNumber.")
    charge_box_serial_number: str | None = Field(
        default=None,
        max_length=25,
        description="chargeBoxSerialNumber, which the standard gave up and many still read.",
    )
    firmware_version: str | None = Field(
        default="1.0.0", max_length=50, description="firmwareVersion, until an update brings another."
    )
    iccid: str | None = Field(default=None, max_length=20, description="The number of the SIM card.")
    imsi: str | None = Field(
        default=None, max_length=20, description="The subscriber number of the SIM card."
    )
    meter_type: str | None = Field(default=None, max_length=25, description="meterType.")
    meter_serial_number: str | None = Field(default=None, max_length=25, description="meterSerialNumber.")

    @field_validator("*", mode="before")
    @classmethod
    def _cut(cls, text: Any, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        field = cls.model_fields[name]
        limit = next(rule.max_length for rule in field.metadata if hasattr(rule, "max_length"))
        if not isinstance(text, str) or getattr(text, "null", False):
            return text
        if len(text) > limit and isinstance(info.context, Context):
            info.context.warnings["station", name] = f"is cut to {limit} characters: {text[:limit]}"
        # An empty text is left out rather than sent.
        return text[:limit] or (None if field.default is None else text)


class StationConfig(Section):
    """One station; everything has a default."""

    identity: str = Field(
        default="CP001",
        min_length=1,
        max_length=255,
        description="The name the central system knows the station by; appended to the URL, unless that "
        "already ends in it.",
    )
    csms: CsmsConfig = Field(default=CsmsConfig(), description="The central system.")
    station: NameplateConfig = Field(
        default=NameplateConfig(), description="What BootNotification says; cut if too long."
    )
    connectors: tuple[ConnectorConfig, ...] = Field(
        default=(ConnectorConfig(),),
        min_length=1,
        max_length=MAX_CONNECTORS,
        description="The connectors in order, numbered from 1 in OCPP.",
        examples=[{"current": "dc", "max_current_a": 200, "max_power_w": 100000}],
    )
    readers: tuple[ReaderConfig, ...] = Field(
        default=(),
        description="Card readers; the first one serves the connectors that have none of their own.",
    )
    site: SiteConfig | None = Field(
        default=None, description="The building's grid connection and its meter; null: nothing is shared."
    )
    ocpp: dict[str, str] = Field(
        default={},
        description="Factory values of OCPP configuration keys; the central system may change them later.",
    )
    extra_keys: tuple[ExtraKeyConfig, ...] = Field(
        default=(),
        max_length=200,
        description="Configuration keys of the maker's own, reported beside those of OCPP.",
        examples=[{"name": "LedBrightness", "value": 80, "readonly": False, "reboot": False}],
    )
    missing_keys: tuple[str, ...] = Field(
        default=(),
        description="Optional OCPP configuration keys that this station says it does not know.",
        examples=["MaxEnergyOnInvalidId"],
    )
    behaviour: BehaviourConfig = Field(
        default=BehaviourConfig(), description="How this station behaves where its operator may choose."
    )
    compatibility: CompatibilityConfig = Field(
        default=CompatibilityConfig(),
        description="The disputed points of the protocol, the specification's reading first.",
    )
    firmware: FirmwareConfig = Field(default=FirmwareConfig(), description="How firmware is installed.")
    quirks: QuirksConfig = Field(
        default=QuirksConfig(), description="Bad habits of stations in the field; none is switched on."
    )
    storage: Path | None = Field(
        default=Path("chargepoint-data"),
        validate_default=True,
        description="The folder for what must survive a power cut; null: nothing does.",
    )
    vehicle: Annotated[str | dict[str, Any], Expected("a vehicle's name, or keys of a vehicle")] = Field(
        default="compact",
        description="What the simulated driver brings: a kind of vehicle, or a group with `kind` and what "
        "differs.",
        examples=["plug-in-hybrid", {"kind": "city", "soc_percent": 80}],
    )

    @field_validator("identity")
    @classmethod
    def _is_printable(cls, identity: str) -> str:
        if not identity.isprintable() or identity != identity.strip():
            raise mistake("has blanks around it or characters that cannot be printed; remove them")
        return identity

    @field_validator("csms")
    @classmethod
    def _can_authenticate(cls, csms: CsmsConfig, info: ValidationInfo) -> CsmsConfig:
        # RFC 7617: the colon ends the user name.
        if csms.security_profile in (1, 2) and ":" in info.data.get("identity", ""):
            raise mistakes(
                {"security_profile": "cannot be used with a colon in the identity; change the identity"}
            )
        return csms

    @field_validator("connectors")
    @classmethod
    def _have_their_ports(
        cls, connectors: tuple[ConnectorConfig, ...], info: ValidationInfo
    ) -> tuple[ConnectorConfig, ...]:
        if found := conflicts("connectors", info.context, connectors):
            raise mistakes(found)
        return connectors

    @field_validator("readers")
    @classmethod
    def _have_ports_too(
        cls, readers: tuple[ReaderConfig, ...], info: ValidationInfo
    ) -> tuple[ReaderConfig, ...]:
        if found := conflicts("readers", info.context, info.data.get("connectors", ()), readers):
            raise mistakes(found)
        return readers

    @field_validator("site")
    @classmethod
    def _fits_the_connectors(cls, site: SiteConfig | None, info: ValidationInfo) -> SiteConfig | None:
        if site is None:
            return None
        connectors, readers = info.data.get("connectors", ()), info.data.get("readers", ())
        if problem := wiring_problem(site, connectors):
            raise mistakes({"phases": problem})
        if found := conflicts("site", info.context, connectors, readers, site.meter):
            raise mistakes(found)
        return site

    @field_validator("ocpp")
    @classmethod
    def _are_keys(cls, values: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        infos = [connector.info for connector in info.data.get("connectors", (ConnectorConfig(),))]
        if problems := wrong_values(values, infos):
            raise mistakes(problems)
        return values

    @field_validator("extra_keys")
    @classmethod
    def _are_told_apart(cls, keys: tuple[ExtraKeyConfig, ...]) -> tuple[ExtraKeyConfig, ...]:
        if problem := extra_key_problem(keys):
            raise mistake(problem)
        return keys

    @field_validator("missing_keys")
    @classmethod
    def _can_be_missing(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if problem := missing_key_problem(names):
            raise mistake(problem)
        return names

    @field_validator("compatibility")
    @classmethod
    def _fits_the_key(cls, switches: CompatibilityConfig, info: ValidationInfo) -> CompatibilityConfig:
        key = info.data["csms"].authorization_key if "csms" in info.data else None
        hexadecimal = key is None or _HEX.fullmatch(key.get_secret_value())
        if switches.authorization_key_encoding == "hex" and not hexadecimal:
            problem = "needs csms.authorization_key to be an even number of hexadecimal digits; write auto"
            raise mistakes({"authorization_key_encoding": problem})
        return switches

    @field_validator("firmware")
    @classmethod
    def _has_a_file(cls, firmware: FirmwareConfig, info: ValidationInfo) -> FirmwareConfig:
        behaviour = info.data.get("behaviour")
        if firmware.installer == "command" and behaviour and behaviour.transfers == "simulated":
            raise mistakes({"installer": "has no file to install where behaviour.transfers is simulated"})
        return firmware

    @field_validator("vehicle")
    @classmethod
    def _exists(cls, vehicle: str | dict[str, Any]) -> str | dict[str, Any]:
        try:
            vehicle_from({"kind": vehicle} if isinstance(vehicle, str) else vehicle)
        except ValueError as error:
            key, colon, problem = str(error).partition(": ")
            if colon and isinstance(vehicle, dict) and key in vehicle:
                raise mistakes({key: problem}) from None
            raise mistake(str(error)) from None
        return vehicle

    def with_flags(
        self,
        *,
        identity: str | None = None,
        csms: str | None = None,
        security_profile: int | None = None,
        authorization_key: str | None = None,
        connectors: int | None = None,
        vehicle: str | None = None,
        storage: Path | None = None,
    ) -> StationConfig:
        """This configuration with what the command line says in place of the file; None leaves it alone.

        `csms` is the URL; `connectors` cuts the list or repeats its last item. Raises `ConfigError` naming
        the flags at fault.
        """
        problems = []
        repeated = None
        if connectors is not None and not 1 <= connectors <= MAX_CONNECTORS:
            problems.append(f"--connectors: must be from 1 to {MAX_CONNECTORS} (is {connectors})")
        elif connectors is not None:
            repeated = (self.connectors + (self.connectors[-1],) * connectors)[:connectors]
        given: dict[Place, Any] = {
            ("identity",): identity,
            ("csms", "url"): csms,
            ("csms", "security_profile"): security_profile,
            ("csms", "authorization_key"): None
            if authorization_key is None
            else SecretStr(authorization_key),
            ("connectors",): repeated,
            ("vehicle",): vehicle,
            ("storage",): storage,
        }
        changes = {place: value for place, value in given.items() if value is not None}
        in_csms = {place[1]: value for place, value in changes.items() if place[0] == "csms"}
        at_top = {place[0]: value for place, value in changes.items() if place[0] != "csms"}
        try:
            changed = StationConfig.model_validate(dict(self) | at_top | {"csms": dict(self.csms) | in_csms})
        except ValidationError as error:
            flags = {place: _FLAGS[place] for place in changes}
            problems += explained_flags(StationConfig, error, flags)
        if problems:
            raise ConfigError(problems)
        return changed


_FLAGS: dict[Place, str] = {
    ("identity",): "--id",
    ("csms", "url"): "--csms",
    ("csms", "security_profile"): "--security-profile",
    ("csms", "authorization_key"): "--authorization-key",
    ("connectors",): "--connectors",
    ("vehicle",): "--vehicle",
    ("storage",): "--storage",
}
