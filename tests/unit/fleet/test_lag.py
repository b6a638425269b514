"""When the simulator is the bottleneck, and when it no longer is."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chargepoint.fleet.measures.lag import (
    BUSY_SHARE,
    ENTER_AFTER,
    EVERY_S,
    LATE_S,
    LEAVE_AFTER,
    STARVED_SHARE,
    Judgement,
    Lag,
    rss_bytes,
    starved_s,
)


def looked(judgement: Judgement, times: int, late_s: float = 0.0, share: float = 0.1) -> Judgement:
    for _ in range(times):
        judgement.look(late_s, share * EVERY_S, EVERY_S)
    return judgement


def test_one_late_look_is_no_bottleneck() -> None:
    judgement = looked(Judgement(), 1, late_s=2.0)
    assert judgement.bottleneck is None
    assert judgement.lag_max_s == 2.0


def test_several_in_a_row_are_and_the_reason_says_why() -> None:
    judgement = looked(Judgement(), ENTER_AFTER, late_s=LATE_S * 2, share=0.5)
    assert judgement.bottleneck is not None
    assert "200 ms late" in judgement.bottleneck


def test_it_takes_longer_to_be_trusted_again() -> None:
    judgement = looked(Judgement(), ENTER_AFTER, late_s=1.0)
    assert looked(judgement, LEAVE_AFTER - 1).bottleneck is not None
    assert looked(judgement, 1, late_s=1.0).bottleneck is not None
    assert looked(judgement, LEAVE_AFTER - 1).bottleneck is not None
    assert looked(judgement, 1).bottleneck is None
    assert judgement.bottleneck_s > LEAVE_AFTER * EVERY_S


def test_a_full_core_is_one_even_before_the_loop_is_late() -> None:
    judgement = looked(Judgement(), 100, share=1.0)
    assert judgement.cpu_share > BUSY_SHARE
    assert judgement.bottleneck is not None
    assert "of a core" in judgement.bottleneck


def test_whoever_waits_for_a_core_is_one_though_its_timers_come_nearly_in_time() -> None:
    judgement = Judgement()
    for _ in range(20):
        judgement.look(LATE_S / 2, 0.1 * EVERY_S, EVERY_S, starved_s=STARVED_SHARE * 2 * EVERY_S)
    assert judgement.bottleneck is not None
    assert judgement.bottleneck.startswith("no core is free for it 59% of the time")
    assert looked(judgement, 20 + LEAVE_AFTER).bottleneck is None


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="needs Linux with schedstats")
@pytest.mark.search
def test_a_thread_without_a_core_knows_for_how_long() -> None:
    core = min(os.sched_getaffinity(0))
    busy = f"import os; os.sched_setaffinity(0, {{{core}}}); print(flush=True)\nwhile True: pass"
    other = subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE)
    allowed = os.sched_getaffinity(0)
    try:
        assert other.stdout is not None
        other.stdout.readline()
        os.sched_setaffinity(0, {core})
        before, until = starved_s(), time.monotonic() + 0.5
        while time.monotonic() < until:
            pass
        assert 0.1 < starved_s() - before < 0.6
    finally:
        os.sched_setaffinity(0, allowed)
        other.kill()
        other.communicate()


def test_a_blocked_loop_is_seen_by_one_timer() -> None:
    async def story() -> Lag:
        seen = asyncio.Event()
        lag = Lag(on_look=seen.set)
        lag.start()
        time.sleep(EVERY_S + 0.15)  # what blocks a loop
        await seen.wait()
        lag.close()
        lag.close()
        return lag

    lag = asyncio.run(story())
    assert 0.1 < lag.judgement.lag_s < 10.0
    assert lag.judgement.bottleneck is None


@pytest.mark.search
def test_whoever_is_to_run_as_fast_as_it_can_is_never_late_but_its_cpu_is_known() -> None:
    async def story() -> Judgement:
        seen = asyncio.Event()
        lag = Lag(on_look=seen.set)
        lag.judging = False
        lag.start()
        until = time.process_time() + EVERY_S + 0.75
        while time.process_time() < until:
            pass
        await seen.wait()
        lag.close()
        return lag.judgement

    judgement = asyncio.run(story())
    assert (judgement.lag_s, judgement.lag_max_s, judgement.bottleneck) == (0.0, 0.0, None)
    assert judgement.cpu_share > 0


def test_memory_is_what_the_system_says() -> None:
    assert 5_000_000 < rss_bytes() < 100_000_000_000


def test_one_long_standstill_is_as_bad_as_several_looks() -> None:
    judgement = Judgement()
    judgement.look(0.7, 0.1, EVERY_S + 0.7)
    assert judgement.bottleneck is not None
    judgement = Judgement()
    judgement.look(0.2, 0.1, EVERY_S + 0.2)
    assert judgement.bottleneck is None, "a hiccup is none"
