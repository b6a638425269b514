"""Tells a card that is held before a reader from one that is presented again."""

from __future__ import annotations

from collections.abc import Callable

AWAY_S = 2.0
"""A card unseen for this long has been taken away."""


class Presence:
    """The cards in sight of one reader; `now` is any clock in seconds that never goes back."""

    __slots__ = ("_now", "_seen")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: dict[str, float] = {}

    def arrives(self, uid: str) -> bool:
        """Take note that a card is in sight; True if that is news."""
        now = self._now()
        self._seen = {card: at for card, at in self._seen.items() if now - at < AWAY_S}
        news = uid not in self._seen
        self._seen[uid] = now
        return news
