"""The security extension of OCPP 1.6 (whitepaper "Improved security for OCPP 1.6-J", edition 3)."""

from __future__ import annotations

EXTENSION = "Security"
"""What its messages and keys belong to: no feature profile, so always there."""
