"""The text of a register map: where in it each key stands, and everything that is wrong with it at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from ruamel.yaml.nodes import MappingNode, Node

__all__ = ["Group", "Mistakes"]

_MISSING: Any = object()


class Mistakes:
    """What is wrong in `source`, whose text is `root`."""

    def __init__(self, source: str, root: Node | None) -> None:
        self._source = source
        self._lines = dict(_lines("", root))
        self._found: list[tuple[int, str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, place: str, problem: str) -> None:
        """Something is wrong at `place`, such as `points.power.addr`."""
        inner = place
        while inner not in self._lines and "." in inner:  # what is missing: the group it is missing in
            inner = inner.rpartition(".")[0]
        text = f"{place}: {problem}" if place else problem
        self._found.append((self._lines.get(inner, 1), text))

    def end(self) -> None:
        """Raise `ValueError` with all of them, in the order of their lines, if there are any."""
        if self._found:
            told = [f"{self._source}:{line}: {text}" for line, text in sorted(self._found, key=_line)]
            raise ValueError("\n".join(told))


def _line(mistake: tuple[int, str]) -> int:
    return mistake[0]


def _lines(place: str, node: Node | None) -> Iterator[tuple[str, int]]:
    """Every key below `place` and its line, from 1."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            inner = f"{place}.{key.value}" if place else str(key.value)
            yield inner, key.start_mark.line + 1
            yield from _lines(inner, value)


class Group:
    """A mapping in the text and where it stands.

    A key that is wrong is noted, and something of the right type stands in for it, so that the next mistake
    is found too. Nothing is noted within a group that is no mapping: that was said already.
    """

    def __init__(self, place: str, tree: Any, mistakes: Mistakes, *, silent: bool = False) -> None:
        self.place = place
        self.mistakes = mistakes
        self.tree: dict[str, Any] = tree if isinstance(tree, dict) else {}
        self._silent = silent or not self.tree
        if self._silent and not silent:
            mistakes.add(place, f"{'' if place else 'a register map: '}a mapping of keys to values is wanted")

    def mistake(self, place: str, problem: str) -> None:
        """Something is wrong at `place`, counted from the top."""
        if not self._silent:
            self.mistakes.add(place, problem)

    def wrong(self, key: str, value: object, wanted: str) -> None:
        """The value of `key` is not what is `wanted`."""
        self.mistake(self._at(key), f"{value!r}; {wanted}")

    def allow(self, known: Iterable[str]) -> None:
        """No other keys than these."""
        known = tuple(known)
        for key in self.tree:
            if key not in known:
                near = get_close_matches(str(key), known, n=1)
                remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                self.mistake(self._at(key), f"unknown; {remedy}")

    def group(self, key: str) -> Group:
        """The mapping at `key`."""
        value = self._get(key, _MISSING, "a mapping of keys to values is wanted")
        return Group(self._at(key), value, self.mistakes, silent=value is None and key not in self.tree)

    def without(self, key: str) -> Group:
        """The same group without that key."""
        rest = {other: value for other, value in self.tree.items() if other != key}
        return Group(self.place, rest, self.mistakes, silent=self._silent or not rest)

    def whole(self, key: str, low: int, high: int, default: Any = _MISSING) -> int:
        """A whole number from `low` to `high`."""
        wanted = f"a whole number from {low} to {high} is wanted"
        value = self._get(key, default, wanted)
        if type(value) is int and low <= value <= high:
            return value
        if key in self.tree:
            self.wrong(key, value, wanted)
        return low

    def number(self, key: str, default: float) -> float:
        """A finite number."""
        value = self.tree.get(key, default)
        if key not in self.tree:
            return default
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        self.wrong(key, value, "a number is wanted")
        return default

    def text(self, key: str, default: str) -> str:
        """A text."""
        value = self.tree.get(key, default)
        if isinstance(value, str):
            return value
        self.wrong(key, value, "a text is wanted")
        return default

    def one_of(self, key: str, choices: tuple[Any, ...], default: Any = _MISSING) -> Any:
        """One of `choices`."""
        wanted = "there are " + ", ".join(str(choice) for choice in choices)
        value = self._get(key, default, wanted)
        if any(type(value) is type(choice) and value == choice for choice in choices):
            return value
        if key in self.tree:
            self.wrong(key, value, wanted)
        return choices[0]

    def _get(self, key: str, default: Any, wanted: str) -> Any:
        """The value at `key`; None, and a mistake noted, for one that has to be there and is not."""
        if key in self.tree or default is not _MISSING:
            return self.tree.get(key, default)
        self.mistake(self._at(key), f"missing; {wanted}")
        return None

    def _at(self, key: object) -> str:
        return f"{self.place}.{key}" if self.place else str(key)
