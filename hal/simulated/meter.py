"""The simulated meter: voltages, currents and power factor that belong to one power.

Power is what a simulated charge knows; everything else follows from it, so that on each phase voltage times
current times power factor is the power, at every load.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from hal.api import EvseInfo

FREQUENCY_HZ = 50.0
AMBIENT_C = 25.0

_IMPEDANCE_OHM = (0.15, 0.17, 0.14)  # of the supply, L1..L3: what makes the voltage sag under load
_DISTORTION_VA = 612.0  # per phase: brings the power factor to 0.90 at 6 A and 0.98 at 16 A
_BODY_RISE_K = 20.0  # at full load, in the end
_BODY_SETTLES_S = 900.0  # time constant
_TYPICAL_PACK_V = 400.0


class Flow(NamedTuple):
    """What the terminals show at one instant, in the fields of a `MeterReading`."""

    current_a: tuple[float, ...]
    voltage_v: tuple[float, ...]
    power_phase_w: tuple[float, ...]
    power_factor: float | None
    frequency_hz: float | None


def phase_power_w(current_a: float, supply_v: float, phases: int, full_load_factor: float) -> float:
    """The active power per phase at which the most loaded of the first `phases` phases draws `current_a`."""
    apparent_va = current_a * (supply_v - max(_IMPEDANCE_OHM[:phases]) * current_a)
    return full_load_factor * apparent_va**2 / math.hypot(apparent_va, _DISTORTION_VA)


def ac_flow(power_w: float, phases: int, installed: int, supply_v: float, full_load_factor: float) -> Flow:
    """`power_w` drawn evenly from the first `phases` of the `installed` phases.

    The meter sits before the contactor: without load it shows the supply's voltage and a power factor of 1.
    """
    each_w = power_w / phases
    apparent_va = _apparent_va(each_w, full_load_factor)
    power_factor = each_w / apparent_va if apparent_va else 1.0
    frequency_hz = FREQUENCY_HZ if supply_v else 0.0
    if installed == 1:
        ohm = _IMPEDANCE_OHM[0]
        only_a = _current_a(apparent_va, supply_v, ohm)
        return Flow((only_a,), (supply_v - ohm * only_a,), (each_w,), power_factor, frequency_hz)
    idle = (0.0,) * (installed - phases)
    current_a = (*[_current_a(apparent_va, supply_v, ohm) for ohm in _IMPEDANCE_OHM[:phases]], *idle)
    voltage_v = (*[supply_v - ohm * a for ohm, a in zip(_IMPEDANCE_OHM, current_a, strict=False)],)
    return Flow(current_a, voltage_v, (each_w,) * phases + idle, power_factor, frequency_hz)


def dc_flow(power_w: float, pack_v: float) -> Flow:
    """`power_w` at the outlet; `pack_v` is 0 while the contactor is open."""
    return Flow((power_w / pack_v if pack_v else 0.0,), (pack_v,), (), None, None)


def body_c(before_c: float, seconds: float, energy_wh: float, info: EvseInfo) -> float:
    """The body's temperature `seconds` after it was `before_c`, under the mean load since then."""
    if seconds <= 0.0:
        return before_c
    load = energy_wh * 3600.0 / seconds / _rated_w(info)
    settled_c = AMBIENT_C + _BODY_RISE_K * min(1.0, load) ** 2
    return settled_c + (before_c - settled_c) * math.exp(-seconds / _BODY_SETTLES_S)


def _apparent_va(power_w: float, full_load_factor: float) -> float:
    """The inverse of power = factor x S^2 / hypot(S, distortion), a quadratic equation in S^2."""
    root = math.hypot(power_w, 2.0 * full_load_factor * _DISTORTION_VA)
    return math.sqrt(power_w * (power_w + root) / 2.0) / full_load_factor


def _current_a(apparent_va: float, supply_v: float, ohm: float) -> float:
    """The smaller solution of S = I x (V - R x I), in the form that does not cancel at small loads."""
    if not apparent_va:
        return 0.0
    return 2.0 * apparent_va / (supply_v + math.sqrt(supply_v**2 - 4.0 * ohm * apparent_va))


def _rated_w(info: EvseInfo) -> float:
    if info.current == "dc":
        return info.max_power_w or info.max_current_a * _TYPICAL_PACK_V
    return info.max_current_a * info.nominal_voltage_v * info.phases
