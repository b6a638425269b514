"""What a bus remembers of one unit: whether it answers, how fast, and which answers may be under way yet."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from hal.modbus.wire import Request

_FAILURES_TO_OPEN = 3
_LATENCIES = 256
_LATEST = 5
"""How many quiet times after its request an answer may come and still be told from another's."""


@dataclass(frozen=True, slots=True)
class UnitStatistics:
    """How one unit has done since its bus was opened."""

    requests: int  # frames sent to it, second tries included
    answered: int
    silent: int  # no answer in time
    garbled: int  # bytes came that were no answer: noise, a wrong checksum, another unit
    mismatched: int  # an answer to something else
    refused: int  # exception codes
    retried: int
    skipped: int  # not sent, because the unit had failed too often to try again already
    failed_in_row: int
    p50_s: float | None  # latency of the last 256 answers, the time on the wire included
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class _Owed:
    """A request whose answer may come yet, until `until`."""

    request: Request
    writes: int
    sent_at: float
    until: float


class UnitMemory:
    """All moments are seconds on the loop's clock.

    A Modbus RTU answer says neither which request it answers nor which address it read. So a read that could
    be confused with one whose answer is still owed, because it is as long but means something else, is not
    sent before that answer can no longer come. Answers to writes name the address, and those of Modbus TCP
    their request (`numbered`): they cannot be confused.
    """

    def __init__(self, quiet_s: float, probe_s: tuple[float, ...], *, numbered: bool = False) -> None:
        self.quiet_s = quiet_s
        self._probe_s = probe_s
        self._numbered = numbered
        self._owed: list[_Owed] = []
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._writes = 0
        self.counts: Counter[str] = Counter()
        self.failed_in_row = 0
        self.quiet_until = 0.0
        self._gave_up_at = 0.0

    @property
    def probing(self) -> bool:
        """It failed so often that it gets one try now and then."""
        return self.failed_in_row >= _FAILURES_TO_OPEN

    def free_at(self, request: Request) -> float:
        """When `request` may be sent."""
        confusable = (
            owed.until
            for owed in self._owed
            if (owed.request.function, owed.request.count) == (request.function, request.count)
            and (owed.request.address, owed.writes) != (request.address, self._writes)
        )
        return max(self.quiet_until, *confusable, 0.0)

    def sent(self, request: Request) -> None:
        """A frame went out; what was read before a write does not speak for what is read after it."""
        self.counts["requests"] += 1
        if request.values is not None:
            self._writes += 1

    def answered(self, request: Request, sent_at: float, now: float) -> None:
        """The answer to `request`, or to an equal one before it, came."""
        self.counts["answered"] += 1
        self._latencies.append(now - sent_at)
        self._owed = [owed for owed in self._owed if owed.until > now]
        for owed in self._owed:
            if (owed.request, owed.writes) == (request, self._writes):
                # If this was the owed answer, the one to this request is as late as that was.
                until = min(now + 1.2 * (sent_at - owed.sent_at), sent_at + _LATEST * self.quiet_s)
                self._owed.remove(owed)
                self._owed.append(_Owed(request, self._writes, sent_at, until))
                break

    def failed(self, request: Request, kind: str, sent_at: float, now: float) -> None:
        """No answer to `request`, or not the right one."""
        self.counts[kind] += 1
        self.quiet_until = now + self.quiet_s
        self._owed = [owed for owed in self._owed if owed.until > now]
        if request.values is None and not self._numbered:
            self._owed.append(_Owed(request, self._writes, sent_at, sent_at + _LATEST * self.quiet_s))

    def gave_up(self, now: float) -> None:
        """All tries of a request failed."""
        self.failed_in_row += 1
        self._gave_up_at = now

    def probe_at(self, request: Request) -> float:
        """When a unit that failed too often is tried again; soon for a write, which may be what stops it."""
        if not self.probing:
            return 0.0
        longer = 0 if request.values is not None else self.failed_in_row - _FAILURES_TO_OPEN
        return self._gave_up_at + self._probe_s[min(longer, len(self._probe_s) - 1)]

    def statistics(self) -> UnitStatistics:
        """The figures so far."""
        ordered = sorted(self._latencies)
        return UnitStatistics(
            failed_in_row=self.failed_in_row,
            p50_s=ordered[len(ordered) // 2] if ordered else None,
            p95_s=ordered[len(ordered) * 95 // 100] if ordered else None,
            **{kind: self.counts[kind] for kind in _COUNTED},
        )


_COUNTED = ("requests", "answered", "silent", "garbled", "mismatched", "refused", "retried", "skipped")
