"""What a connector needs of the hardware, in units; every driver keeps these promises.

Nothing here blocks and nothing here is asynchronous: a driver that must wait (Modbus, serial) works behind
these objects and reports by calling its listener. Quantities: A, V, W, Wh, Hz, degrees Celsius, percent,
seconds; moments (`time`, `_at`) are seconds since the Unix epoch, UTC, on the injected `Clock`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol


class Timer(Protocol):
    """An action that will happen once, unless cancelled."""

    def cancel(self) -> None:
        """Forget the action; harmless when it already happened."""


class Clock(Protocol):
    """A source of time: the wall clock, one sped up, or one that jumps to its next timer."""

    @property
    def late_s(self) -> float:
        """By how many real seconds the timer that fires just now is late; 0 outside of timers."""

    def now(self) -> float:
        """Seconds since the Unix epoch, UTC. Never goes back."""

    def call_at(self, when: float, action: Callable[[], None]) -> Timer:
        """Call `action` once at `when`; a moment already past means as soon as possible, never at once.

        Actions of one moment happen in the order in which they were asked for.
        """

    def hold(self) -> None:
        """Something real is under way: a stepped clock waits for the matching `release` before it jumps."""

    def release(self, lost_s: float = 0.0) -> None:
        """End one hold. `lost_s`: real seconds waited for an answer that never came."""

    def touch(self) -> None:
        """A frame came or went: a stepped clock lingers from now on before it jumps."""


class PilotState(StrEnum):
    """Control pilot states of IEC 61851-1, table A.1; DC drivers map their communication onto them."""

    A = "A"  # no vehicle
    B = "B"  # vehicle connected, not asking for energy
    C = "C"  # vehicle asks for energy
    D = "D"  # vehicle asks for energy, needs ventilation
    E = "E"  # no pilot voltage
    F = "F"  # EVSE not available


CONNECTED = frozenset({PilotState.B, PilotState.C, PilotState.D})
"""Pilot states in which a vehicle is connected."""


class FaultKind(StrEnum):
    """What can be wrong with a connector or a station; a protocol version maps it to its own codes."""

    COMMUNICATION = "communication"  # controller unreachable
    GROUND = "ground"  # residual current device tripped, protective earth lost
    OVER_CURRENT = "over_current"
    OVER_VOLTAGE = "over_voltage"
    UNDER_VOLTAGE = "under_voltage"
    OVER_TEMPERATURE = "over_temperature"
    WELDED = "welded"  # contactor closed when told open
    NOT_CLOSING = "not_closing"  # contactor open when told closed
    LOCK = "lock"  # lock or unlock failed
    PILOT = "pilot"  # pilot out of range, diode missing, ventilation refused
    METER = "meter"
    READER = "reader"
    WEAK_SIGNAL = "weak_signal"
    RESET = "reset"  # could not restart
    LIST_CONFLICT = "list_conflict"  # the central system contradicts its own list; no driver reports it
    INTERNAL = "internal"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong, from when it is noticed until it is gone."""

    kind: FaultKind
    blocking: bool = True  # False: a warning, charging goes on
    info: str = ""  # for a person; protocols may cut it to 50 characters
    vendor_code: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a vehicle may draw at most. All zero: nothing.

    AC: `current_a` is per phase and decides; `power_w`, if given, says which power it was made from.
    DC: `current_a` and `power_w` are the output's, and the smaller of both applies.
    """

    current_a: float
    power_w: float | None = None

    @property
    def zero(self) -> bool:
        """True if no energy may flow."""
        return self.current_a <= 0 or (self.power_w is not None and self.power_w <= 0)


NOTHING = Limit(0.0)
"""No energy: pilot steady, contactor open."""

AC_MINIMUM_A = 6.0
"""The least current an AC pilot can announce (IEC 61851-1, table A.8)."""


@dataclass(frozen=True, slots=True)
class MeterReading:
    """One instant of everything a connector measures. None or an empty tuple: not measured."""

    time: float
    energy_wh: float  # import register, grid to vehicle; never decreases
    power_w: float  # all phases, active; + is into the vehicle
    current_a: tuple[float, ...] = ()  # L1..L3; one value for DC
    voltage_v: tuple[float, ...] = ()  # L1..L3 to neutral; one value for DC
    power_phase_w: tuple[float, ...] = ()
    power_factor: float | None = None
    frequency_hz: float | None = None
    temperature_c: float | None = None  # of the station's body
    soc_percent: float | None = None  # state of charge, where the vehicle tells
    offset_wh: float = 0.0  # what `energy_wh` shows beyond the meter's own register, which leapt


@dataclass(frozen=True, slots=True)
class EvseInfo:
    """What never changes about one connector's hardware."""

    current: Literal["ac", "dc"] = "ac"
    max_current_a: float = 32.0  # per phase (AC) or output (DC)
    max_power_w: float | None = None  # DC only
    phases: int = 3  # installed, 1 to 3; DC: 3, the grid side
    tethered: bool = False  # the cable is fixed to the station
    lockable: bool = True  # the plug can be locked in the station's socket
    nominal_voltage_v: float = 230.0  # phase to neutral
    start_grace_s: float = (
        5.0  # how long a vehicle may take to react to an offer before it counts as suspended
    )


class EvseListener(Protocol):
    """Who wants to know that something about an Evse changed."""

    def evse_changed(self) -> None:
        """Pilot, plug, contactor, lock or faults may have changed: read them."""


class Evse(Protocol):
    """Pilot, contactor, lock and meter behind one connector, sequenced safely in one place.

    `permit` and `lock` are wishes: they return at once, the driver carries them out and reports through the
    listener; a wish that cannot be fulfilled becomes a fault.
    """

    listener: EvseListener | None

    @property
    def info(self) -> EvseInfo:
        """What never changes about this connector."""

    @property
    def pilot(self) -> PilotState:
        """The debounced state of the control pilot."""

    @property
    def plugged(self) -> bool:
        """A plug is in the station's socket (proximity contact), or a vehicle on the tethered cable."""

    @property
    def closed(self) -> bool:
        """The contactor's feedback, not its command: True while energy can flow."""

    @property
    def locked(self) -> bool:
        """The plug is locked; always False where nothing can be locked."""

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Everything wrong right now."""

    def permit(self, limit: Limit) -> None:
        """Let the vehicle draw up to `limit`; `NOTHING` stops it and opens the contactor. Never blocks."""

    def lock(self, wanted: bool) -> None:
        """Lock or release the plug; released only with the contactor open. Never blocks."""

    def reading(self) -> MeterReading:
        """The newest reading. Raises `DeviceError` if there is none young enough to be trusted."""

    def close(self) -> None:
        """Open the contactor, stop the pilot and let go of the hardware; idempotent, never raises."""


class TagReader(Protocol):
    """A card reader; identifiers are upper-case hex, at most 20 characters, de-duplicated."""

    on_tag: Callable[[str], None] | None
    on_fault: Callable[[Fault | None], None] | None  # told that the reader is lost, and None once it is back

    def vouches(self, id_tag: str) -> bool:
        """The reader has a list of its own of who may charge, and this identifier is on it."""

    def close(self) -> None:
        """Let go of the hardware; idempotent, never raises."""


class DeviceError(Exception):
    """Hardware did not do what it promised; the connector is faulted until it does."""


class DeviceTimeout(DeviceError):
    """No answer, or none that makes sense; worth another try."""


class MeterUnavailable(DeviceError):
    """There is no reading young enough to be trusted."""


class Unsupported(DeviceError):
    """This hardware cannot do that, now or ever."""
