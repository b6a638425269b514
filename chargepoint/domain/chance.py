"""Randomness as a function: the same seed, station, purpose and number always give the same draw."""

from __future__ import annotations

from hashlib import blake2b

_VARIANTS = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def digest(seed: int, station: str, purpose: str, n: int) -> bytes:
    """16 bytes that look random and depend on all four arguments."""
    return blake2b(f"{seed}\x00{station}\x00{purpose}\x00{n}".encode(), digest_size=16).digest()


def draw(seed: int, station: str, purpose: str, n: int) -> float:
    """A number in [0, 1)."""
    return int.from_bytes(digest(seed, station, purpose, n)[:7], "big") / (1 << 56)


def message_id(seed: int, station: str, boot: int, n: int) -> str:
    """A message id in the form of a version 4 UUID, unique per boot and number (OCPP-J 1.6 errata 3.1)."""
    text = digest(seed, station, f"message {boot}", n).hex()
    variant = _VARIANTS[text[16]]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"
