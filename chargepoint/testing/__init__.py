"""Stations and the embedded central system for tests that are ordinary functions (docs/pytest.md)."""

from chargepoint.actions import ActionError
from chargepoint.csms import CallFailed, CallTimeout, NotConnected
from chargepoint.testing.bench import Bench, Duration, NotSeen
from chargepoint.testing.charge_point import ChargePoint
from chargepoint.testing.clock import Clock
from chargepoint.testing.csms import Csms
from chargepoint.testing.factory import ChargePoints, Choices
from chargepoint.testing.frames import Frame

__all__ = [
    "ActionError",
    "Bench",
    "CallFailed",
    "CallTimeout",
    "ChargePoint",
    "ChargePoints",
    "Choices",
    "Clock",
    "Csms",
    "Duration",
    "Frame",
    "NotConnected",
    "NotSeen",
]
