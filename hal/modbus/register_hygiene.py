"""The energy register as it is billed: never falling, never believing nonsense, over resets and restarts."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["EnergyRegister", "KnownEnergy"]

CONFIRMATIONS = 3  # readings that must agree before a register that leapt is believed
COARSE_WH = 100.0  # steps so large that a short session would show nothing
FROZEN_W = 500.0  # power at which a register must move,
FROZEN_S = 60.0  # within this time,
FROZEN_STEPS = 2.0  # unless less than so many of its steps have flowed

_MARGIN_WH = 10.0  # the step of most meters
_MARGIN = 1.5  # times the rated power
_NO_RESET_WH = 100.0  # a smaller fall is the end of a value misread upwards
_BRIDGED_S = 10.0  # the longest gap between readings over which their power is integrated


@dataclass(frozen=True, slots=True)
class KnownEnergy:
    """What must survive a restart for the register to go on from where it was.

    `offset_wh` is what the register shows beyond the meter's own. `at` bounds what may have flowed since;
    without it, or on a clock that went back, any higher value of the meter is believed.
    """

    wh: float
    offset_wh: float = 0.0
    at: float | None = None


@dataclass(slots=True)
class _Doubt:
    """A value that does not follow from the ones before, and how often it was confirmed."""

    first_wh: float
    wh: float
    at: float
    times: int = 1


class EnergyRegister:
    """One direction of a meter, fed with every reading.

    What leaps, up or down, is another meter, a reset or a rollover, or nonsense: it is believed when
    `CONFIRMATIONS` readings in a row agree, and then the register goes on from where it was. Energy between
    the last good value and the first of those is not counted: no register says what it was. The first value
    of all, without one from before a restart, is believed when `first` readings agree. A fall of up to
    `_NO_RESET_WH` (or a step) is waited out.

    Between the steps of a coarse meter the power is integrated, never beyond the next step.
    """

    __slots__ = (
        "_at",
        "_between_wh",
        "_doubt",
        "_fed_at",
        "_first",
        "_flowed_wh",
        "_max_power_w",
        "_moved_at",
        "_offset_wh",
        "_shown_wh",
        "_step_wh",
        "_wh",
    )

    def __init__(
        self, max_power_w: float, *, step_wh: float = 0.0, known: KnownEnergy | None = None, first: int = 1
    ) -> None:
        self._first = first
        self._max_power_w = max_power_w
        self._step_wh = step_wh
        self._offset_wh = known.offset_wh if known else 0.0
        self._shown_wh = known.wh if known else None
        self._wh = known.wh - known.offset_wh if known else None  # the meter's own, when last believed
        self._at = known.at if known else None
        self._doubt: _Doubt | None = None
        self._between_wh = 0.0  # since the last step
        self._fed_at: float | None = None
        self._moved_at: float | None = None  # since when power flows and the meter stands still
        self._flowed_wh = 0.0  # since then

    @property
    def known(self) -> KnownEnergy | None:
        """What to keep for the next start; None before the first value."""
        if self._shown_wh is None:
            return None
        return KnownEnergy(self._shown_wh, self._offset_wh, self._at)

    @property
    def offset_wh(self) -> float:
        """What the register shows beyond the meter's own."""
        return self._offset_wh

    @property
    def frozen(self) -> bool:
        """Power flows and the meter does not count it."""
        if self._moved_at is None or self._fed_at is None:
            return False
        enough_wh = FROZEN_STEPS * max(self._step_wh, _MARGIN_WH)
        return self._fed_at - self._moved_at >= FROZEN_S and self._flowed_wh > enough_wh

    def feed(self, wh: float | None, power_w: float | None, now: float) -> float | None:
        """What to show after the meter said `wh` at `now`; None while it is in doubt.

        `power_w` is the power in this register's direction, None if it is not known.
        """
        if wh is None or not math.isfinite(wh) or wh < 0.0:
            return None
        if self._wh is None or not self._follows(self._wh, self._at, wh, now, self._small_fall_wh):
            doubt = self._doubted(wh, now)
            if doubt.times < (self._first if self._wh is None else CONFIRMATIONS):
                return None
            if self._wh is not None:
                self._offset_wh += self._wh - doubt.first_wh
        self._watch(wh, power_w, now)
        self._wh, self._at, self._doubt = wh, now, None
        shown_wh = wh + self._offset_wh + self._between_wh
        self._shown_wh = shown_wh if self._shown_wh is None else max(self._shown_wh, shown_wh)
        return self._shown_wh

    @property
    def _small_fall_wh(self) -> float:
        return max(_NO_RESET_WH, self._step_wh)

    def _follows(self, before_wh: float, before_at: float | None, wh: float, now: float, fall: float) -> bool:
        """The meter can have come from `before_wh` to `wh`."""
        elapsed_s = math.inf if before_at is None or now < before_at else max(now - before_at, 1.0)
        possible_wh = self._max_power_w * elapsed_s / 3600.0 + self._flowed_wh  # a stuck register catches up
        most_wh = _MARGIN * possible_wh + max(_MARGIN_WH, self._step_wh)
        return -fall <= wh - before_wh <= most_wh

    def _doubted(self, wh: float, now: float) -> _Doubt:
        """The doubt about `wh`, which confirms the one before if it can follow from it."""
        doubt = self._doubt
        if doubt is None or not self._follows(doubt.wh, doubt.at, wh, now, 0.0):
            self._doubt = _Doubt(wh, wh, now)
        else:
            doubt.wh, doubt.at, doubt.times = wh, now, doubt.times + 1
        assert self._doubt is not None
        return self._doubt

    def _watch(self, wh: float, power_w: float | None, now: float) -> None:
        """Integrate the power since the meter moved: what is between its steps, and whether it is stuck."""
        elapsed_s = 0.0 if self._fed_at is None else min(max(now - self._fed_at, 0.0), _BRIDGED_S)
        flowed_wh = max(power_w or 0.0, 0.0) * elapsed_s / 3600.0
        self._fed_at = now
        if wh != self._wh:
            self._between_wh = 0.0
        elif self._step_wh >= COARSE_WH:
            self._between_wh = min(self._step_wh, self._between_wh + flowed_wh)
        if self._moved_at is None or wh != self._wh or power_w is None or power_w < FROZEN_W:
            self._moved_at, self._flowed_wh = now, 0.0
        else:
            self._flowed_wh += flowed_wh
