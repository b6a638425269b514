"""Stations with bad habits: what the field does other than the specification says, at the link's edge."""

from chargepoint.quirks.line import QuirkyLine

__all__ = ["QuirkyLine"]
