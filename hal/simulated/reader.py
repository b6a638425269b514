"""A simulated card reader: somebody presents a card by calling it."""

from __future__ import annotations

from collections.abc import Callable

_LONGEST_TAG = 20


class SimulatedReader:
    """A reader that reads what it is told.

    Unlike a real one it takes any text, since the id tags of a central system under test need not be hex.
    """

    __slots__ = ("_shut", "on_tag")

    def __init__(self) -> None:
        self.on_tag: Callable[[str], None] | None = None
        self._shut = False

    def present(self, id_tag: str) -> None:
        """Hold a card before the reader, once; unheard after `close` or without `on_tag`.

        Raises `ValueError` unless it has 1 to 20 characters.
        """
        if not 1 <= len(id_tag) <= _LONGEST_TAG:
            raise ValueError(f"an id tag has 1 to {_LONGEST_TAG} characters, {id_tag!r} has {len(id_tag)}")
        if self.on_tag is not None and not self._shut:
            self.on_tag(id_tag)

    def close(self) -> None:
        self._shut = True
