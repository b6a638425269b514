"""What an asynchronous driver implements: controllers, meters, relays, pilot boards and card readers.

`hal.api` says what a connector needs; these are the parts it is built from when they sit behind a bus. A
driver can be constructed without its hardware and imports its library in `open`. It never returns NaN, never
passes off an old value as fresh (`read_at` tells), never turns an error into 0. Impossible arguments are
`ValueError`; everything else is a `DeviceError`. Units as in `hal.api`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Protocol, runtime_checkable

from hal.api import DeviceError, DeviceTimeout, Fault, PilotState, Unsupported

__all__ = [
    "AttendedEvse",
    "Capability",
    "ControllerInfo",
    "ControllerStatus",
    "DeviceClosed",
    "DeviceError",
    "DeviceRefused",
    "DeviceTimeout",
    "EnergyMeter",
    "EvseController",
    "FastRelay",
    "MeterSnapshot",
    "PilotBoard",
    "PilotSample",
    "Relay",
    "SamplingBoard",
    "TokenReader",
    "TripLine",
    "Unsupported",
]


class DeviceRefused(DeviceError):
    """The device said no, reads back something else than was written, or says what cannot be."""


class DeviceClosed(DeviceError):
    """The driver was closed; open it again first."""


class Capability(Flag):
    """What a controller can do besides the pilot; found out once in `open`, by reading only."""

    NONE = 0
    MILLI_LIMIT = auto()  # limits finer than 1 A
    PHASE_SWITCH = auto()
    LOCK = auto()
    CABLE_RATING = auto()
    CONTACTOR_FEEDBACK = auto()
    PILOT_INTERRUPT = auto()
    STATE_F = auto()
    RCD = auto()
    RCD_TEST = auto()
    WATCHDOG = auto()
    TEMPERATURE = auto()


@dataclass(frozen=True, slots=True)
class ControllerInfo:
    """What a controller said about itself when it was opened."""

    vendor: str
    model: str
    capabilities: Capability
    min_current_a: float
    max_current_a: float
    phases: int
    serial_number: str | None = None
    firmware_version: str | None = None


@dataclass(frozen=True, slots=True)
class ControllerStatus:
    """One answer of a controller; None: unknown or not measured."""

    read_at: float  # seconds on the injected clock
    pilot: PilotState | None  # None: a value the driver does not know
    offered_a: float  # what the controller reports back; 0: paused
    closed: bool | None = None  # from feedback where there is any, else inferred
    locked: bool | None = None
    cable_max_a: float | None = None
    phases: int | None = None
    temperature_c: float | None = None
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class MeterSnapshot:
    """One answer of a meter; None or an empty tuple: not measured. + is into the vehicle."""

    read_at: float  # seconds on the injected clock
    import_wh: float | None = None
    offset_wh: float = 0.0  # what `import_wh` shows beyond the meter's own register, which leapt
    export_wh: float | None = None
    power_w: float | None = None
    voltage_v: tuple[float | None, ...] = ()
    current_a: tuple[float | None, ...] = ()
    power_phase_w: tuple[float | None, ...] = ()
    frequency_hz: float | None = None
    power_factor: float | None = None
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class PilotSample:
    """The highest and the lowest voltage of the control pilot over some periods of its 1 kHz."""

    high_v: float
    low_v: float


class EvseController(Protocol):
    """A controller that runs pilot and contactor itself (IEC 61851-1) and is told how much it may offer.

    Every call answers within 1 s or raises `DeviceTimeout`; one without its capability raises `Unsupported`.
    """

    @property
    def info(self) -> ControllerInfo:
        """What it said about itself; raises `DeviceClosed` before `open`."""

    async def open(self) -> None:
        """Find the device and its capabilities, and bring it into its safe state, 0 A."""

    async def close(self) -> None:
        """Leave the output off; idempotent, never raises."""

    async def status(self) -> ControllerStatus:
        """Ask the device now."""

    async def set_limit(self, current_a: float) -> float:
        """Offer `current_a`, 0 to pause; returns what reads back. Between 0 and 6 A is `ValueError`."""

    async def set_available(self, available: bool) -> None:
        """Out of use is pilot state F where there is one (`STATE_F`), else 0 A."""

    async def feed_watchdog(self) -> None:
        """Tell the device that we live; nothing happens without `WATCHDOG`."""

    async def set_lock(self, wanted: bool) -> None:
        """Move the plug's lock (`LOCK`); raises `DeviceRefused` if it did not get there."""

    async def switch_phases(self, phases: int) -> None:
        """Use 1 or 3 phases (`PHASE_SWITCH`); never under load: the caller pauses first and waits for 0 A."""

    async def interrupt_pilot(self, seconds: float) -> None:
        """Wake a vehicle that sleeps in state B (`PILOT_INTERRUPT`)."""

    async def test_rcd(self) -> bool:
        """Let the residual current detection test itself (`RCD_TEST`); True if it tripped as it should."""


class EnergyMeter(Protocol):
    """A meter on a bus."""

    async def open(self) -> None:
        """Find the device, by reading only."""

    async def close(self) -> None:
        """Let go of it; idempotent, never raises."""

    async def read(self) -> MeterSnapshot:
        """Ask the device now."""


class Relay(Protocol):
    """A contactor's coil and, where wired, its mirror contact."""

    async def open(self) -> None:
        """Take the line, off."""

    async def close(self) -> None:
        """Leave it off; idempotent, never raises."""

    async def switch(self, on: bool) -> None:
        """Drive the coil; whether the contacts followed only `feedback` tells."""

    async def feedback(self) -> bool | None:
        """True while the main contacts are closed; None without a mirror contact."""


@runtime_checkable
class FastRelay(Relay, Protocol):
    """A relay that can be opened without waiting."""

    def drop(self) -> None:
        """Open now; from any thread, never blocks, never raises."""


class TripLine(Protocol):
    """The auxiliary contact of a residual current device, whose main contact opens the coil by itself."""

    async def open(self) -> None:
        """Take the line."""

    async def close(self) -> None:
        """Let go of it; idempotent, never raises."""

    async def tripped(self) -> bool:
        """True while the device is tripped, or the wire broken."""


class PilotBoard(Protocol):
    """A bare pilot generator and its measuring side; the order of things is up to whoever drives it."""

    async def open(self) -> None:
        """Take the board, with the pilot steady at +12 V."""

    async def close(self) -> None:
        """Leave the pilot steady at +12 V; idempotent, never raises."""

    async def steady(self) -> None:
        """+12 V without a signal (X1): connected vehicles may not draw."""

    async def signal(self, duty_percent: float) -> None:
        """Signal the offer of IEC 61851-1, table A.7 (10 % is 6 A); `ValueError` outside 5 to 96 %."""

    async def refuse(self) -> None:
        """Steady -12 V, state F; raises `Unsupported` where the board has no negative supply."""

    async def sample(self) -> PilotSample:
        """Measure now."""


@runtime_checkable
class SamplingBoard(PilotBoard, Protocol):
    """A board that also reports measurements by itself, so that leaving C waits for nobody's poll."""

    on_sample: Callable[[PilotSample], None] | None
    """Called with a measurement, from any thread."""


@runtime_checkable
class AttendedEvse(Protocol):
    """What a `hal.api.Evse` with tasks on the event loop offers to whoever starts and ends the program."""

    async def opened(self) -> None:
        """Wait until the hardware answered, or did not, for the first time."""

    async def released(self) -> None:
        """Wait until `close` has left the hardware in its safe state, or could not."""

    @property
    def left_safe(self) -> bool:
        """After `released`: it is known to be open, or at the safe current that was asked for."""


class TokenReader(Protocol):
    """A card reader on a bus or serial line."""

    async def open(self) -> None:
        """Find the reader and make it listen."""

    async def close(self) -> None:
        """Let go of it; idempotent, never raises."""

    def tokens(self) -> AsyncIterator[str]:
        """Upper-case hex identifiers of at most 20 characters; a card held before the reader counts once."""
