"""The connectors in a configuration and the drivers behind them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from chargepoint.config.section import Context, Section, mistake, mistakes, plain
from chargepoint.config.wording import nearest
from hal.api import AC_MINIMUM_A, EvseInfo
from hal.registry import driver_names, meter_names, real_driver_names

__all__ = ["ConnectorConfig", "DriverConfig"]

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


def _placed(value: Any, folder: Path) -> Any:
    """What begins with ./ or ../ is a path from the configuration file; only drivers know which keys are."""
    return str(folder / value) if isinstance(value, str) and value.startswith(("./", "../")) else value


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
    reader: DriverConfig | None = Field(
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
    def _has_a_driver(cls, evse: DriverConfig) -> DriverConfig:
        if evse.driver not in driver_names():
            raise mistakes({"driver": f"does not exist; {nearest(evse.driver, driver_names())}"})
        return evse

    @field_validator("meter")
    @classmethod
    def _has_a_meter(cls, meter: DriverConfig, info: ValidationInfo) -> DriverConfig:
        evse: DriverConfig | None = info.data.get("evse")
        if meter.driver not in meter_names():
            raise mistakes({"driver": f"does not exist; {nearest(meter.driver, meter_names())}"})
        real = meter.driver != "simulated"
        if evse is not None and evse.driver in (real_driver_names() if not real else ("simulated",)):
            pair = f"evse {evse.driver} with meter {meter.driver}"
            raise mistakes({"driver": f"does not fit ({pair}); both are simulated or both are real"})
        return meter

    @field_validator("max_power_w")
    @classmethod
    def _is_for_dc(cls, power_w: float | None, info: ValidationInfo) -> float | None:
        if power_w is not None and info.data.get("current") == "ac":
            raise mistake("is for dc only; limit ac by max_current_a")
        return power_w

    @property
    def info(self) -> EvseInfo:
        """What the installation says about this connector, for the driver."""
        tethered = self.cable == "tethered"
        return EvseInfo(
            current=self.current,
            max_current_a=self.max_current_a,
            max_power_w=self.max_power_w,
            phases=self.phases,
            tethered=tethered,
            lockable=not tethered if self.lock == "auto" else self.lock,
            start_grace_s=_START_GRACE_S[self.current],
        )
