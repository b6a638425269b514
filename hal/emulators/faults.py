"""What can go wrong on the wire between a Modbus master and its devices, on demand or by chance."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

KINDS = (
    "drop_request",
    "drop_reply",
    "exception",
    "short",
    "wrong_unit",
    "flip",
    "truncate",
    "noise",
    "split",
    "delay",
    "duplicate",
    "echo",
)


@dataclass(slots=True)
class Faults:
    """How likely each fault is, 0 to 1, for every request to `unit` (None: to any); may change at any moment.

    `once` plans faults for the next request instead. Equal seeds give equal faults; `injected` counts them.
    """

    drop_request: float = 0.0  # the device does not hear it: a write does not happen
    drop_reply: float = 0.0  # the device does it, its answer is lost
    exception: float = 0.0  # it refuses, with one of `exception_codes`
    short: float = 0.0  # it answers with one value fewer, and the right checksum
    wrong_unit: float = 0.0  # it answers as the unit after it, with the right checksum
    flip: float = 0.0  # one bit is turned over on the way (undetectable on TCP, which has no checksum)
    truncate: float = 0.0  # the end of the answer is lost
    noise: float = 0.0  # stray bytes before the answer, as when a line has no bias resistors
    split: float = 0.0  # the answer comes in three pieces, `split_s` apart
    delay: float = 0.0  # it takes `delay_s` to answer
    duplicate: float = 0.0  # the answer comes twice
    echo: float = 0.0  # the adapter hears what it says (serial lines only)
    unit: int | None = None
    exception_codes: tuple[int, ...] = (4,)
    delay_s: float = 0.7
    split_s: float = 0.02
    seed: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    _random: random.Random = field(init=False, repr=False)
    _planned: list[frozenset[str]] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def set(self, kind: str, probability: float = 1.0) -> None:
        """Let `kind` happen that often from now on; `ValueError` for what is no fault or no probability."""
        self._check(kind)
        if not 0 <= probability <= 1:
            raise ValueError(f"{kind}: {probability}: a probability from 0 to 1 is wanted")
        setattr(self, kind, probability)

    def clear(self) -> None:
        """No faults from now on, planned ones neither."""
        for kind in KINDS:
            setattr(self, kind, 0.0)
        self._planned.clear()

    def once(self, *kinds: str) -> None:
        """Let all of `kinds` happen to the next request that has no faults planned yet."""
        for kind in kinds:
            self._check(kind)
        self._planned.append(frozenset(kinds))

    def draw(self, unit: int) -> frozenset[str]:
        """The faults of the request to `unit` that just came."""
        if self.unit is not None and unit != self.unit:
            return frozenset()
        if self._planned:
            drawn = self._planned.pop(0)
        else:
            drawn = frozenset(
                kind for kind in KINDS if (chance := getattr(self, kind)) and self._random.random() < chance
            )
        self.injected.update(drawn)
        return drawn

    def exception_code(self) -> int:
        """One of `exception_codes`."""
        return self._random.choice(self.exception_codes)

    def flipped(self, frame: bytes) -> bytes:
        """`frame` with one bit turned over."""
        bit = self._random.randrange(len(frame) * 8)
        return bytes(byte ^ (1 << bit % 8 if bit // 8 == index else 0) for index, byte in enumerate(frame))

    def truncated(self, frame: bytes) -> bytes:
        """`frame` without its end, possibly without anything."""
        return frame[: self._random.randrange(len(frame))]

    def noisy(self, frame: bytes) -> bytes:
        """`frame` after one to three of the bytes that an unbiased line makes up."""
        return bytes(self._random.choices(b"\x00\xff\xf8\x7f\xfe", k=self._random.randint(1, 3))) + frame

    def pieces(self, frame: bytes) -> list[bytes]:
        """`frame` in up to three pieces."""
        first, second = sorted((self._random.randrange(len(frame)), self._random.randrange(len(frame))))
        return [piece for piece in (frame[:first], frame[first:second], frame[second:]) if piece]

    @staticmethod
    def _check(kind: str) -> None:
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no fault of a wire; there are {', '.join(KINDS)}")
