"""How long a device may take to answer, in real seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from hal.device import DeviceTimeout

T = TypeVar("T")

ANSWERS_WITHIN_S = 3.0


async def answer(question: Awaitable[T], within_s: float = ANSWERS_WITHIN_S) -> T:
    """What the device says; raises `DeviceTimeout` if it takes longer."""
    try:
        # Not wait_for, which before Python 3.12 loses a cancellation that comes together with the answer.
        async with asyncio.timeout(within_s):
            return await question
    except TimeoutError:
        raise DeviceTimeout(f"no answer within {within_s:g} s") from None
