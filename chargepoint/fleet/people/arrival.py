"""When something happens: a Poisson process whose rate follows the hours of a week, without ticks.

The integral of the rate is inverted in closed form, so the next moment is found at once however far it is.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate
from zoneinfo import ZoneInfo

HOUR_S = 3_600.0
DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
HOURS = 168

_MONDAY_BEFORE_EPOCH_S = 3 * DAY_S  # 1970-01-01 was a Thursday


class Week:
    """A rate that is constant within each hour of a week, which begins on Monday at midnight."""

    __slots__ = ("_rates_s", "_sums")

    def __init__(self, per_hour: Sequence[float]) -> None:
        assert len(per_hour) == HOURS
        self._rates_s = tuple(rate / HOUR_S for rate in per_hour)
        self._sums = (0.0, *accumulate(per_hour))

    @property
    def total(self) -> float:
        """How many happen in a whole week, on average."""
        return self._sums[-1]

    def rate_s(self, position_s: float) -> float:
        """How many happen per second at that moment of the week."""
        return self._rates_s[min(int(position_s // HOUR_S), HOURS - 1)]

    def wait_s(self, position_s: float, amount: float, times: float = 1.0, flat_s: float = 0.0) -> float:
        """How long after `position_s` the integral of `times` the rate plus `flat_s` has grown by `amount`.

        Infinite where nothing ever happens.
        """
        whole = times * self._sums[-1] + flat_s * WEEK_S
        if whole <= 0.0:
            return math.inf

        def up_to(hour: int) -> float:
            return times * self._sums[hour] + flat_s * HOUR_S * hour

        def rate_in(hour: int) -> float:
            return times * self._rates_s[hour] + flat_s

        now = min(int(position_s // HOUR_S), HOURS - 1)
        done = up_to(now) + rate_in(now) * (position_s - now * HOUR_S)
        weeks, rest = divmod(done + amount, whole)
        hour = bisect_right(range(1, HOURS), rest, key=up_to)
        rate = rate_in(hour)
        within_s = min((rest - up_to(hour)) / rate, HOUR_S) if rate > 0.0 else 0.0
        return max(0.0, weeks * WEEK_S + hour * HOUR_S + within_s - position_s)


class LocalTime:
    """Where in its week a place is: in its time zone, moved by `shift_s` if a day begins when a run does."""

    __slots__ = ("_zone", "shift_s")

    def __init__(self, zone: str, shift_s: float = 0.0) -> None:
        self._zone = None if zone == "UTC" else ZoneInfo(zone)
        self.shift_s = shift_s

    def position_s(self, utc: float) -> float:
        """Seconds since Monday, midnight."""
        return (utc + self._offset_s(utc) + self.shift_s + _MONDAY_BEFORE_EPOCH_S) % WEEK_S

    def later(self, utc: float, wait_s: float) -> float:
        """The moment at which the clock on the wall has moved on by `wait_s` since `utc`."""
        if wait_s == math.inf:
            return math.inf
        guess = utc + wait_s
        moved = guess + self._offset_s(utc) - self._offset_s(guess)
        return moved if moved > utc else guess

    def _offset_s(self, utc: float) -> float:
        return 0.0 if self._zone is None else _offset_s(self._zone, int(utc // 900))


@lru_cache(maxsize=4096)
def _offset_s(zone: ZoneInfo, quarter: int) -> float:
    """Summer time begins and ends on a quarter of an hour."""
    offset = datetime.fromtimestamp(quarter * 900, UTC).astimezone(zone).utcoffset()
    return 0.0 if offset is None else offset.total_seconds()
