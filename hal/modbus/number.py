"""Numbers in Modbus registers: types, word orders and the patterns that mean "not available"."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Literal

WordOrder = Literal["big", "little"]
"""Which register of a longer number comes first: the high word (big) or the low word (little)."""

_CODES = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}

TYPES = tuple(_CODES)
"""The types a point may have."""


def width(kind: str) -> int:
    """The registers that a number of this type takes."""
    return struct.calcsize(">" + _CODES[kind]) // 2


def sentinel(kind: str) -> int | None:
    """What a meter sends for "not available": all ones, or the largest signed number; floats have NaN."""
    if kind.startswith("float"):
        return None
    bits = 16 * width(kind) - (0 if kind.startswith("uint") else 1)
    return (1 << bits) - 1


def decode(registers: Sequence[int], kind: str, order: WordOrder) -> int | float:
    """The number in `registers`, NaN and infinity included."""
    words = registers if order == "big" else registers[::-1]
    number: int | float = struct.unpack(">" + _CODES[kind], struct.pack(f">{len(words)}H", *words))[0]
    return number


def encode(number: float, kind: str, order: WordOrder) -> list[int]:
    """The registers of `number`; integers are rounded and kept within their range."""
    if not kind.startswith("float"):
        bits = 16 * width(kind)
        low, high = (0, 2**bits - 1) if kind.startswith("uint") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        # Rounding a float near 2^63 may leave the range.
        number = min(high, max(low, number if isinstance(number, int) else math.floor(number + 0.5)))
    words = struct.unpack(f">{width(kind)}H", struct.pack(">" + _CODES[kind], number))
    return list(words if order == "big" else words[::-1])
