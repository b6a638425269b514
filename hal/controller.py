"""What drivers of controllers share: being open, ending safely, and refusing what their device cannot do."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from hal.api import AC_MINIMUM_A, Clock, Unsupported
from hal.device import ControllerInfo, DeviceClosed


class Controller(ABC):
    """Half of an `EvseController`; a driver adds `open`, `status`, `set_limit` and what its device can do.

    `open` sets `_info` once the device is known. `safe_current_a` is what `close` leaves behind. `str` of a
    driver says which device it is.
    """

    def __init__(self, clock: Clock, safe_current_a: float) -> None:
        self._clock = clock
        self._safe_current_a = safe_current_a
        self._info: ControllerInfo | None = None
        self._closed = False

    @property
    def info(self) -> ControllerInfo:
        if self._info is None:
            raise DeviceClosed(f"{self}: not open")
        return self._info

    @abstractmethod
    async def set_limit(self, current_a: float) -> float: ...

    @abstractmethod
    async def _let_go(self) -> None:
        """Give back the bus or port."""

    async def _make_safe(self) -> None:
        """Bring the device into the state in which it is left."""
        await self.set_limit(self._safe_current_a)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            if self._info is not None:
                await self._make_safe()
        except Exception:
            pass  # silent or refusing: nobody is left to be told
        finally:
            await self._let_go()

    async def feed_watchdog(self) -> None:
        return

    async def set_lock(self, wanted: bool) -> None:
        raise Unsupported(f"{self}: no lock")

    async def switch_phases(self, phases: int) -> None:
        raise Unsupported(f"{self}: no phase switch")

    async def interrupt_pilot(self, seconds: float) -> None:
        raise Unsupported(f"{self}: the pilot cannot be interrupted")

    async def test_rcd(self) -> bool:
        raise Unsupported(f"{self}: no test of the residual current detection")


def check_offer(current_a: float) -> None:
    """Raise `ValueError` for what no pilot can offer: below 0, between 0 and 6 A, no number."""
    if not math.isfinite(current_a) or current_a < 0 or 0 < current_a < AC_MINIMUM_A:
        raise ValueError(f"{current_a:g} A: a pilot offers 0 or {AC_MINIMUM_A:g} A and more")
