"""Carries firmware and logs from and to servers, or pretends to."""

from chargepoint.transfer.real import RealTransfers
from chargepoint.transfer.simulated import SimulatedTransfers
from chargepoint.transfer.trust import trusting
from chargepoint.transfer.way import Bounds

__all__ = ["Bounds", "RealTransfers", "SimulatedTransfers", "trusting"]
