"""A simulated card reader: somebody presents a card by calling it."""

from __future__ import annotations

from collections.abc import Callable

from hal.api import Fault
from hal.whitelist import Whitelist

_LONGEST_TAG = 20


class SimulatedReader:
    """A reader that reads what it is told.

    Unlike a real one it takes any text, since the id tags of a central system under test need not be hex.
    """

    __slots__ = ("_others", "_shut", "_whitelist", "on_fault", "on_tag")

    def __init__(self, whitelist: Whitelist | None = None, *, others: bool = True) -> None:
        self.on_tag: Callable[[str], None] | None = None
        self.on_fault: Callable[[Fault | None], None] | None = None
        self._whitelist = whitelist
        self._others = others  # cards that are not on the whitelist are handed on
        self._shut = False

    def present(self, id_tag: str) -> None:
        """Hold a card before the reader, once; unheard after `close` or without `on_tag`.

        Raises `ValueError` unless it has 1 to 20 characters.
        """
        if not 1 <= len(id_tag) <= _LONGEST_TAG:
            raise ValueError(f"an id tag has 1 to {_LONGEST_TAG} characters, {id_tag!r} has {len(id_tag)}")
        heard = self._others or self.vouches(id_tag)
        if self.on_tag is not None and not self._shut and heard:
            self.on_tag(id_tag)

    def vouches(self, id_tag: str) -> bool:
        return self._whitelist is not None and id_tag in self._whitelist

    def close(self) -> None:
        self._shut = True
