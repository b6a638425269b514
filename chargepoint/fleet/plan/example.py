"""The commented fleet's file to start from."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["example"]


def example() -> str:
    """A fleet of a thousand stations with every key there is, each explained in front of it."""
    return files("chargepoint.fleet.plan").joinpath("example.yaml").read_text(encoding="utf-8")
