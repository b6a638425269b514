"""A machine that stands still for a while, and tests of real time that must not take that for a mistake.

Where real time itself is the matter (a watchdog, an answer within a second, a board's supervision) a test
cannot tell a program that was late from a machine that was. A thread that looks at the clock can: where it
saw the machine stand still while a test failed, the test is played again; where it did not, the test fails.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

LOOKS_EVERY_S = 0.02
NOTICED_S = 0.25
"""A gap this long is no scheduling between some busy processes, and short of what these tests wait for."""

TRIES = 5


class Standstills:
    """Notes the longest time for which a thread that only sleeps did not come to run."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(LOOKS_EVERY_S):
            now = time.monotonic()
            self.longest_s = max(self.longest_s, now - before - LOOKS_EVERY_S)
            before = now


def again_after_a_standstill(
    test: Callable[..., None], watch: Callable[[], Standstills] = Standstills
) -> Callable[..., None]:
    """Play a test in real time again, in another folder, if it failed and the machine had stood still."""

    @functools.wraps(test)
    def played(tmp_path: Path, **more: Any) -> None:
        for number in range(1, TRIES + 1):
            folder = tmp_path / f"try{number}"
            folder.mkdir()
            with watch() as seen:
                try:
                    return test(tmp_path=folder, **more)
                except Exception as error:
                    failed = error
            if seen.longest_s < NOTICED_S or number == TRIES:
                raise failed

    return played
