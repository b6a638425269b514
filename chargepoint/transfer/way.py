"""How a transfer is carried out: patience, room, trust and proxy."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

__all__ = ["USUAL", "Bounds", "Way"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a transfer may take to connect and to stand still, in real time, and how much it may store."""

    connect_s: float = 20.0
    idle_s: float = 60.0
    limit_bytes: int = 2**30
    keep_free_bytes: int = 64 * 2**20


USUAL = Bounds()


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach a server: whom to trust, if it takes TLS, through which proxy, with how much patience."""

    context: ssl.SSLContext | None
    proxy: str | None = field(repr=False)  # its URL may carry a password
    bounds: Bounds
