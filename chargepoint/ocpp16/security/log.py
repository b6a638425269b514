"""The security log: every security event, in blocks that roll over (whitepaper A04.FR.06, N01)."""

from __future__ import annotations

from collections.abc import Iterator

from chargepoint.domain.ports import Document, Store
from chargepoint.ocpp16.times import format_time

KIND = "security_log"
"""Under this kind the store keeps blocks of entries, by ascending number."""

BLOCK = 25
"""Entries of one block: as many are written again when one is added."""

MOST_BLOCKS = 40

Entry = tuple[float, str, str]
"""When (UTC), what, and what else there is to say."""


class SecurityLog:
    """The newest thousand entries, oldest first; it never commits.

    `start` is the number of this start of the station.
    """

    __slots__ = ("_fresh", "_start", "_store")

    def __init__(self, store: Store, start: int) -> None:
        self._store = store
        self._start = start
        self._fresh = 0  # entries made since this start

    def append(self, at: float, kind: str, tech_info: str) -> None:
        """Add an entry; where there is no room the oldest ones go."""
        blocks = list(self._store.items(KIND))
        number, entries = (int(blocks[-1][0]), blocks[-1][1]["entries"]) if blocks else (1, [])
        if len(entries) >= BLOCK:
            number, entries = number + 1, []
            for key, _ in blocks[: max(len(blocks) + 1 - MOST_BLOCKS, 0)]:
                self._store.delete(KIND, key)
        self._write(f"{number:08d}", [*entries, [at, kind, tech_info]])
        self._fresh += 1

    def _write(self, key: str, entries: list[list[float | str]]) -> None:
        self._store.put(KIND, key, {"start": self._start, "entries": entries})

    def entries(self) -> Iterator[Entry]:
        """All there are."""
        for _, block in self._store.items(KIND):
            for at, kind, tech_info in block["entries"]:
                yield float(at), str(kind), str(tech_info)

    @property
    def newest(self) -> Entry | None:
        """The last entry."""
        return next(reversed(list(self.entries())), None)

    @property
    def whole(self) -> bool:
        """Nothing is missing, as far as can be seen: each start of the station leaves an entry."""
        blocks: list[tuple[str, Document]] = list(self._store.items(KIND))
        if not blocks:
            return False
        numbers = [int(key) for key, _ in blocks]
        gapless = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        return gapless and int(blocks[-1][1]["start"]) in (self._start - 1, self._start)

    def shift(self, by_s: float) -> None:
        """The entries since this start were made in a guessed time: `by_s` puts them right."""
        left = self._fresh
        for key, block in reversed(list(self._store.items(KIND))):
            if left <= 0:
                return
            entries = block["entries"]
            old = entries[: max(len(entries) - left, 0)]
            fresh = [[at + by_s, kind, tech_info] for at, kind, tech_info in entries[len(old) :]]
            self._write(key, [*old, *fresh])
            left -= len(fresh)

    def text(self, identity: str, made_at: float, oldest: float | None, latest: float | None) -> bytes:
        """The entries between two moments, both included: a head, then one line each."""
        lines = [
            f"{format_time(at)} {_printable(kind)} {_printable(tech_info)}".rstrip()
            for at, kind, tech_info in self.entries()
            if (oldest is None or at >= oldest) and (latest is None or at <= latest)
        ]
        since = "the beginning" if oldest is None else format_time(oldest)
        until = "now" if latest is None else format_time(latest)
        head = f"# Security log of {_printable(identity)}, made {format_time(made_at)}: "
        head += f"{len(lines)} events from {since} until {until}"
        return "\n".join([head, *lines, ""]).encode(errors="replace")


def _printable(text: str) -> str:
    """What cannot pass for another line."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
