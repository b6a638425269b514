"""Takes a serial driver's settings apart; what is wrong with one is said as "part: key: problem"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SerialSettings:
    """The settings of one part; each is taken once, and what nobody took is refused by `finish`."""

    __slots__ = ("_driver", "_left", "_part")

    def __init__(self, part: str, settings: Mapping[str, Any]) -> None:
        self._part = part
        self._left = dict(settings)
        self._driver = self._left.pop("driver", "")

    def text(self, key: str, hint: str) -> str:
        """A text that must be there; `hint` says what it is."""
        if key not in self._left:
            raise ValueError(f"{self._part}: {key}: missing; {hint}")
        value = self._left.pop(key)
        if not isinstance(value, str) or not value:
            raise self._wrong(key, value, hint)
        return value

    def optional_text(self, key: str, hint: str) -> str | None:
        """A text, or None if it is not given."""
        return self.text(key, hint) if self._left.get(key) is not None else self._left.pop(key, None)

    def choice(self, key: str, *choices: str) -> str:
        """One of `choices`, the first if it is not given."""
        value = self._left.pop(key, choices[0])
        if value not in choices:
            raise self._wrong(key, value, f"there are {', '.join(choices)}")
        return str(value)

    def number(self, key: str, default: float, lowest: float, highest: float) -> float:
        """A number within bounds."""
        value = self._left.pop(key, default)
        try:
            number = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not lowest <= number <= highest:
            raise self._wrong(key, value, f"a number from {lowest:g} to {highest:g} is wanted")
        return number

    def whole(self, key: str, default: int, lowest: int, highest: int) -> int:
        """A whole number within bounds."""
        number = self.number(key, default, lowest, highest)
        if number != int(number):
            raise self._wrong(key, number, "a whole number is wanted")
        return int(number)

    def finish(self) -> None:
        """Raises `ValueError` for a setting this driver does not have."""
        for key in self._left:
            raise ValueError(f"{self._part}: {key}: unknown; driver {self._driver!r} has no such setting")

    def _wrong(self, key: str, value: object, wanted: str) -> ValueError:
        return ValueError(f"{self._part}: {key}: {value!r}; {wanted}")
