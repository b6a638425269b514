"""Firmware management: firmware comes in, diagnostics go out (OCPP 1.6 §3.3; whitepaper L01, N01)."""

from __future__ import annotations

PROFILE = "FirmwareManagement"
"""Its id in SupportedFeatureProfiles; the messages of the security extension are there without it."""
