"""The identities of a group: a pattern with a number in it, and whether two groups share one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["PATTERN_HINT", "Numbering", "pattern_problem"]

PATTERN_HINT = "text with one {n} for the number, such as CP{n:05d}"

_PATTERN = re.compile(r"([^{}]*)\{n(?::(0?[0-9]{1,2})?([dxX])?)?\}([^{}]*)")


def pattern_problem(pattern: str, count: int, first: int, longest: int) -> str | None:
    """What is wrong with a pattern of which `count` texts are made, of at most `longest` characters each."""
    if not pattern.isprintable() or pattern != pattern.strip():
        return "has blanks around it or characters that cannot be printed; remove them"
    if not _PATTERN.fullmatch(pattern):
        if "{" in pattern or "}" in pattern:
            return f'is not a pattern (is "{pattern}"); write {PATTERN_HINT}'
        if count > 1:
            return f"has no number, so all {count} would be {pattern!r}; write {PATTERN_HINT}"
    last = pattern.format(n=first + count - 1)
    if not last or len(last) > longest:
        return f"makes {len(last)} characters of number {first + count - 1}; at most {longest} are possible"
    return None


@dataclass(frozen=True, slots=True)
class Numbering:
    """The texts that a valid pattern makes of the numbers from `first` on."""

    pattern: str
    count: int
    first: int

    def __getitem__(self, index: int) -> str:
        """The text at a position from 0, negative ones from the end."""
        if not -self.count <= index < self.count:
            raise IndexError(index)
        return self.pattern.format(n=self.first + (index if index >= 0 else self.count + index))

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(self.count))

    def number(self, text: str) -> int | None:
        """The number of which the pattern makes `text`; None if it makes that of none of its numbers."""
        found = _PATTERN.fullmatch(self.pattern)
        if found is None:
            return self.first if text == self.pattern else None
        head, _, form, tail = found.groups()
        digits = text[len(head) : len(text) - len(tail)]
        try:
            number = int(digits, 16 if form in ("x", "X") else 10)
        except ValueError:
            return None
        within = self.first <= number < self.first + self.count
        # Made anew and compared: 7, 07 and +7 are one number.
        return number if within and self.pattern.format(n=number) == text else None

    def first_collision(self, other: Numbering) -> str | None:
        """The first text of `other` that this numbering makes too."""
        head, tail = self._ends()
        other_head, other_tail = other._ends()
        if not (head.startswith(other_head) or other_head.startswith(head)):
            return None
        if not (tail.endswith(other_tail) or other_tail.endswith(tail)):
            return None
        return next((text for text in other if self.number(text) is not None), None)

    def _ends(self) -> tuple[str, str]:
        """What stands in front of the number and behind it."""
        found = _PATTERN.fullmatch(self.pattern)
        return (found[1], found[4]) if found else (self.pattern, self.pattern)
