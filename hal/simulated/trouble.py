"""What is broken about a simulated connector, or wrong with its vehicle: nothing, usually."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from hal.api import NOTHING, Fault, FaultKind, Limit, MeterReading, MeterUnavailable

MeterTrouble = Literal["silent", "nan", "frozen", "backwards", "kilowatts", "phase_lost", "frequency"]
ContactorTrouble = Literal["welded", "not_closing", "bounces", "unseen"]
VehicleTrouble = Literal["ventilation", "no_diode", "sleeps", "eager"]

NO_METER = Fault(FaultKind.METER, info="no answer from the meter")
FROZEN = Fault(FaultKind.METER, blocking=False, info="energy register stands still while power flows")
WELDED = Fault(FaultKind.WELDED, info="contactor does not open")
NOT_CLOSING = Fault(FaultKind.NOT_CLOSING, info="contactor does not close")
SILENT = Fault(FaultKind.COMMUNICATION, info="no answer from the controller")
VENTILATION = Fault(FaultKind.PILOT, info="the vehicle asks for ventilation", vendor_code="ventilation")
NO_DIODE = Fault(FaultKind.PILOT, info="the vehicle's diode is missing", vendor_code="diode")

METER_LOST_S = 60.0
"""A meter that is silent, or stands still under load, for so long is a fault."""

FROZEN_ABOVE_W = 500.0

CLOSES_S = 5.0
"""A contactor has that long to close for a vehicle that asks."""

FORCED_OPEN_S = 6.0
"""The contactor opens under load if the vehicle goes on for so long without an offer (IEC 61851-1)."""

CONTROLLER_LOST_S = 10.0
"""A controller that is silent for so long is a fault."""

WOKEN_S = 34.0
"""A vehicle that ignores an offer for 30 s is woken by an interruption of the pilot, which takes 4 s."""

BOUNCES_S = 0.1
_BOUNCE_S = 0.02  # open or closed, in turns

_SOON_S = 1e-4  # what is due then is due now: a float of today's epoch seconds resolves little less


class Trouble:
    """The state of all that is wrong; moments are those of the connector's clock."""

    __slots__ = (
        "_closing_since",
        "_felt",
        "_open_by",
        "_stuck_since",
        "_wakes_at",
        "cable_a",
        "contactor",
        "corrected_at",
        "deaf",
        "down_until",
        "excess_a",
        "frozen_wh",
        "ignores_stop",
        "meter",
        "meter_since",
        "permitted",
        "shunned",
        "silent_since",
        "vehicle",
        "wakes_with",
    )

    def __init__(self, permitted: Limit) -> None:
        self.permitted = permitted  # what the controller was told last, heard or not
        self.meter: MeterTrouble | None = None
        self.meter_since = 0.0
        self.frozen_wh = 0.0
        self.contactor: ContactorTrouble | None = None
        self.deaf = False  # the controller takes no other current than the one it has
        self.silent_since: float | None = None  # the controller hears and says nothing
        self.down_until: float | None = None  # it starts anew
        self.wakes_with = NOTHING  # and then offers that
        self.corrected_at: float | None = None  # when it is found that it offers its own
        self.cable_a: float | None = None  # what the cable in the socket can carry
        self.excess_a = 0.0  # what the vehicle draws above any offer, if it can
        self.ignores_stop = False
        self.shunned = False  # the vehicle does not ask for energy just now, for a moment
        self.vehicle: VehicleTrouble | None = None
        self._felt = NOTHING
        self._open_by: float | None = None
        self._stuck_since: float | None = None
        self._closing_since: float | None = None
        self._wakes_at: float | None = None

    def shown(self, reading: MeterReading) -> MeterReading:
        """What the meter tells of the truth; raises `MeterUnavailable` if it tells nothing."""
        if self.meter == "silent":
            raise MeterUnavailable("no reading of the meter: no answer")
        if self.meter == "nan":
            raise MeterUnavailable("no reading of the meter: it shows something that is no number")
        if self.meter == "frozen":
            return replace(reading, energy_wh=self.frozen_wh)
        if self.meter == "backwards":  # current transformers the wrong way round: it counts as export
            return replace(
                reading,
                energy_wh=self.frozen_wh,
                power_w=-reading.power_w,
                power_phase_w=tuple(-watts for watts in reading.power_phase_w),
            )
        if self.meter == "kilowatts":
            return replace(
                reading,
                power_w=reading.power_w / 1000,
                power_phase_w=tuple(watts / 1000 for watts in reading.power_phase_w),
            )
        if self.meter == "frequency" and reading.frequency_hz is not None:
            return replace(reading, frequency_hz=reading.frequency_hz * 10)
        return self._without_l1(reading) if self.meter == "phase_lost" else reading

    def _without_l1(self, reading: MeterReading) -> MeterReading:
        """Its wire to L1 is off: what flows there is neither seen nor counted."""
        seen = 1 - reading.power_phase_w[0] / reading.power_w if reading.power_w else 1.0
        counted_wh = self.frozen_wh + (reading.energy_wh - self.frozen_wh) * seen
        return replace(
            reading,
            energy_wh=counted_wh,
            power_w=reading.power_w * seen,
            current_a=(0.0, *reading.current_a[1:]),
            voltage_v=(0.0, *reading.voltage_v[1:]),
            power_phase_w=(0.0, *reading.power_phase_w[1:]),
        )

    def felt(self, offer: Limit, asks: bool, now: float) -> Limit:
        """What the vehicle makes of an offer that it can see."""
        if self.shunned or self._asleep(offer, asks, now):
            return NOTHING
        if not offer.zero:
            self._open_by = None
            power_w = offer.power_w
            if power_w is not None:
                power_w *= 1 + self.excess_a / offer.current_a
            self._felt = Limit(offer.current_a + self.excess_a, power_w)
            return self._felt
        if not self.ignores_stop or not asks:
            return NOTHING
        if self._open_by is None:
            self._open_by = now + FORCED_OPEN_S
        return self._felt if now < self._open_by - _SOON_S else NOTHING

    def _asleep(self, offer: Limit, asks: bool, now: float) -> bool:
        if self.vehicle != "sleeps" or asks or offer.zero:
            self._wakes_at = None
            return False
        if self._wakes_at is None:
            self._wakes_at = now + WOKEN_S
        return now < self._wakes_at - _SOON_S

    @property
    def untouchable(self) -> Fault | None:
        """Why the contactor must not close for the vehicle, once it has a signal or asks."""
        return {"ventilation": VENTILATION, "no_diode": NO_DIODE}.get(self.vehicle or "")

    def contacts(self, told_closed: bool, now: float) -> bool:
        """Whether they are closed, as far as the mirror contact shows."""
        if not told_closed:
            self._closing_since = None
        elif self._closing_since is None:
            self._closing_since = now
        if self.contactor == "bounces" and told_closed and (since := self._closing_since) is not None:
            return now > since + BOUNCES_S - _SOON_S or bool(int((now - since + _SOON_S) / _BOUNCE_S) % 2)
        stuck = self.contactor in ("not_closing", "unseen") and told_closed
        if not stuck:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        return self.contactor == "welded" or (told_closed and not stuck)

    def faults(self, told_closed: bool, power_w: float, now: float) -> tuple[Fault, ...]:
        """What the station has noticed by now."""
        noticed = []
        if self.silent_since is not None and now >= self.silent_since + CONTROLLER_LOST_S - _SOON_S:
            noticed.append(SILENT)
        if self.contactor == "welded" and not told_closed:
            noticed.append(WELDED)
        if self._stuck_since is not None and now >= self._stuck_since + CLOSES_S - _SOON_S:
            noticed.append(NOT_CLOSING)
        if self.meter is not None and now >= self.meter_since + METER_LOST_S - _SOON_S:
            if self.meter in ("silent", "nan"):
                noticed.append(NO_METER)
            elif self.meter == "frozen" and power_w > FROZEN_ABOVE_W:
                noticed.append(FROZEN)
        return tuple(noticed)

    def acts_at(self, now: float) -> float | None:
        """When something follows by itself; None if never."""
        dues = [self._open_by, None if self._stuck_since is None else self._stuck_since + CLOSES_S]
        dues += [self._wakes_at, self.down_until, self.corrected_at]
        if self.silent_since is not None:
            dues.append(self.silent_since + CONTROLLER_LOST_S)
        since = self._closing_since
        if self.contactor == "bounces" and since is not None and now < since + BOUNCES_S - _SOON_S:
            dues.append(since + (int((now - since + _SOON_S) / _BOUNCE_S) + 1) * _BOUNCE_S)
        if self.meter is not None:
            dues.append(self.meter_since + METER_LOST_S)
        return min((due for due in dues if due is not None and due > now + _SOON_S), default=None)
