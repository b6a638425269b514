"""The password of one station by the pattern of its group."""

from __future__ import annotations

import re

__all__ = ["password"]

_FIELD = re.compile(r"\{(?:(identity)|n(?::(0?[0-9]{1,2}[dxX]?|[dxX]))?)\}")


def password(pattern: str, identity: str, number: int) -> str:
    """`pattern` with {identity} and {n} or {n:05d} filled in; any other braces are what they are."""
    return _FIELD.sub(lambda found: identity if found[1] else format(number, found[2] or ""), pattern)
