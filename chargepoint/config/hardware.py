"""The connectors in a configuration and the drivers behind them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from chargepoint.config.section import Context, Section, mistake, mistakes, plain
from chargepoint.config.wording import nearest
from hal.api import AC_MINIMUM_A, EvseInfo
from hal.connector_spec import ConnectorSpec
from hal.mistakes import evse_mistakes, meter_mistakes, reader_mistakes
from hal.registry import driver_names, meter_names, reader_names, real_driver_names

__all__ = ["ConnectorConfig", "DriverConfig", "ReaderConfig", "own_mistakes"]

_AC_MOST_A = 80.0  # what a control pilot can announce (IEC 61851-1, table A.8)
_START_GRACE_S = {"ac": 5.0, "dc": 20.0}  # dc tests the insulation and charges its output first


class DriverConfig(Section):
    """A part of the hardware: the driver that speaks to it, and that driver's own keys."""

    model_config = ConfigDict(extra="allow")

    driver: str = Field(min_length=1, description="The driver's name; every other key is the driver's.")

    @model_validator(mode="before")
    @classmethod
    def _own_keys(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, dict):
            return value
        folder = info.context.folder if isinstance(info.context, Context) else Path()
        return {key: item if key == "driver" else _placed(plain(item), folder) for key, item in value.items()}

    @property
    def options(self) -> Mapping[str, Any]:
        """The driver's own keys, as plain values."""
        return self.model_extra or {}

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the driver is opened with."""
        return {"driver": self.driver, **self.options}


def _placed(value: Any, folder: Path) -> Any:
    """What begins with ./ or ../ is a path from the configuration file; only drivers know which keys are."""
    return str(folder / value) if isinstance(value, str) and value.startswith(("./", "../")) else value


_FILES = ("map", "whitelist")
"""The keys of drivers that name a file."""


def own_mistakes(found: Mapping[str, str], context: Any) -> PydanticCustomError | None:
    """What a driver finds wrong with its keys, as far as it is to be looked for."""
    if isinstance(context, Context) and not context.check_drivers:
        return None
    if not (isinstance(context, Context) and context.look_for_files):
        found = {key: problem for key, problem in found.items() if key not in _FILES}
    return mistakes(found) if found else None


class ReaderConfig(DriverConfig):
    """A card reader."""

    @model_validator(mode="after")
    def _can_be_opened(self, info: ValidationInfo) -> ReaderConfig:
        if self.driver not in reader_names():
            raise mistakes({"driver": f"does not exist; {nearest(self.driver, reader_names())}"})
        if problem := own_mistakes(reader_mistakes(self.settings), info.context):
            raise problem
        return self


_SIMULATED = DriverConfig(driver="simulated")


class ConnectorConfig(Section):
    """One connector and the hardware behind it."""

    current: Literal["ac", "dc"] = Field(default="ac", description="Alternating or direct current.")
    cable: Literal["socket", "tethered"] = Field(
        default="socket",
        description="A socket for the driver's own cable, or a cable fixed to the station (always for dc).",
    )
    lock: Literal["auto", True, False] = Field(
        default="auto", description="The station locks the plug in its socket; auto: where there is a socket."
    )
    max_current_a: float = Field(
        default=32,
        gt=0,
        le=2000,
        validate_default=True,
        description="The most the installation allows: per phase (6 to 80) or, for dc, at the output.",
    )
    phases: int = Field(default=3, ge=1, le=3, description="The phases installed.")
    max_power_w: float | None = Field(
        default=None,
        gt=0,
        le=4_000_000,
        description="The most a dc output delivers; null: the current alone decides.",
    )
    evse: DriverConfig = Field(default=_SIMULATED, description="What holds pilot and contactor.")
    meter: DriverConfig = Field(
        default=_SIMULATED, validate_default=True, description="What measures the energy."
    )
    reader: ReaderConfig | None = Field(
        default=None, description="A card reader of its own; null: the first one under `readers`."
    )

    @model_validator(mode="before")
    @classmethod
    def _dc_has_a_cable(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("current") == "dc":
            return {"cable": "tethered", **value}
        return value

    @field_validator("cable")
    @classmethod
    def _dc_is_tethered(cls, cable: str, info: ValidationInfo) -> str:
        if cable == "socket" and info.data.get("current") == "dc":
            raise mistake("must be tethered where the current is dc (IEC 61851-1, case C); write tethered")
        return cable

    @field_validator("lock")
    @classmethod
    def _needs_a_socket(cls, lock: str | bool, info: ValidationInfo) -> str | bool:
        if lock is True and info.data.get("cable") == "tethered":
            raise mistake("is not possible on a fixed cable; write auto or false")
        return lock

    @field_validator("max_current_a")
    @classmethod
    def _fits_the_pilot(cls, current_a: float, info: ValidationInfo) -> float:
        if info.data.get("current") == "ac" and not AC_MINIMUM_A <= current_a <= _AC_MOST_A:
            bound = f"at least {AC_MINIMUM_A:g}" if current_a < AC_MINIMUM_A else f"at most {_AC_MOST_A:g}"
            raise mistake(f"must be {bound} (is {current_a:g}); write a number of amperes from 6 to 80")
        return current_a

    @field_validator("evse")
    @classmethod
    def _has_a_driver(cls, evse: DriverConfig, info: ValidationInfo) -> DriverConfig:
        if evse.driver not in driver_names():
            raise mistakes({"driver": f"does not exist; {nearest(evse.driver, driver_names())}"})
        spec = ConnectorSpec(_installed(cls._known(info.data)), evse.settings, _SIMULATED.settings)
        if problem := own_mistakes(evse_mistakes(spec), info.context):
            raise problem
        return evse

    @field_validator("meter")
    @classmethod
    def _has_a_meter(cls, meter: DriverConfig, info: ValidationInfo) -> DriverConfig:
        evse: DriverConfig | None = info.data.get("evse")
        if meter.driver not in meter_names():
            raise mistakes({"driver": f"does not exist; {nearest(meter.driver, meter_names())}"})
        known = {} if evse is None else evse.settings
        spec = ConnectorSpec(_installed(cls._known(info.data)), known, meter.settings)
        if problem := own_mistakes(meter_mistakes(spec), info.context):
            raise problem
        return meter

    @model_validator(mode="after")
    def _says_what_is_simulated(self) -> ConnectorConfig:
        """Beside real hardware nothing is made up unless that was asked for."""
        for part, other in (("evse", "meter"), ("meter", "evse")):
            beside = getattr(self, other).driver
            real = beside in real_driver_names() if other == "evse" else beside != "simulated"
            if part not in self.model_fields_set and real:
                remedy = f"write the driver, or {{driver: simulated}} for a bench without {part}"
                raise mistakes({part: f"is missing beside the {other} {beside}; {remedy}"})
        return self

    @field_validator("max_power_w")
    @classmethod
    def _is_for_dc(cls, power_w: float | None, info: ValidationInfo) -> float | None:
        if power_w is not None and info.data.get("current") == "ac":
            raise mistake("is for dc only; limit ac by max_current_a")
        return power_w

    @classmethod
    def _known(cls, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values that are right so far, with the defaults of the others."""
        return {name: data.get(name, field.default) for name, field in cls.model_fields.items()}

    @property
    def info(self) -> EvseInfo:
        """What the installation says about this connector, for the driver."""
        return _installed(dict(self))


def _installed(values: Mapping[str, Any]) -> EvseInfo:
    tethered = values["cable"] == "tethered"
    return EvseInfo(
        current=values["current"],
        max_current_a=values["max_current_a"],
        max_power_w=values["max_power_w"],
        phases=values["phases"],
        tethered=tethered,
        lockable=not tethered if values["lock"] == "auto" else values["lock"],
        start_grace_s=_START_GRACE_S[values["current"]],
    )
