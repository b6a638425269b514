"""Faults on demand and by chance: of the link, single frames, the clock, TLS and the simulated hardware."""

from scenarios.faults.model import Disturbance
from scenarios.faults.setting import Applied, BadDisturbance, Setting, Struck, Unsuitable

__all__ = ["Applied", "BadDisturbance", "Disturbance", "Setting", "Struck", "Unsuitable"]
