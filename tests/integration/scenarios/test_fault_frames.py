"""Faults of single messages: seen on the wire, repeatable by seed, gone afterwards; nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, get_args

import orjson
import pytest

from chargepoint.csms.calls import CallTimeout
from scenarios.faults.model import FrameKind
from tests.integration.piped import play
from tests.integration.scenarios.fault_rig import CP, FREE, Rig, live

KINDS = get_args(FrameKind)

Dated = list[tuple[float, bytes]]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost(kind: str) -> None:
    """Three sessions while a third of all messages suffers; afterwards all is as if nothing had been."""

    async def run() -> None:
        async with live(7, behaviour=FREE) as rig:
            await rig.disturb(frame=kind, chance=0.3)
            await rig.charge_freely(3)
            assert len({struck.what for struck in rig.struck}) > 1
            await rig.nothing_is_lost()
            assert len(rig.transactions) == 3
            assert all(transaction.energy_wh > 0 for transaction in rig.transactions)
            assert rig.clock.lost_s == 0
            struck = len(rig.struck)
            rig.forget_frames()
            await rig.charge_freely(1)
            assert len(rig.struck) == struck
            assert rig.sent == rig.probe.said
            assert rig.came == rig.probe.got

    play(run)


def test_the_same_seed_gives_the_same_faults() -> None:
    async def once(seed: int) -> tuple[Any, ...]:
        async with live(seed, behaviour=FREE) as rig:
            await rig.disturb(frame="drop", chance=0.3)
            await rig.disturb(frame="corrupt", chance=0.2, direction="to_csms")
            await rig.disturb(link="slow", latency="300ms", jitter="1s")
            await rig.charge_freely(2)
            return [(one.at, one.what) for one in rig.struck], rig.sent, rig.came

    async def run() -> None:
        first, again, other = await once(1), await once(1), await once(2)
        assert first == again
        assert first[0] != other[0]

    play(run)


# --- each kind, seen on the wire ----------------------------------------------------------------------


def _one_other(before: Dated, after: Dated) -> tuple[bytes, bytes]:
    """The one message that is different."""
    assert len(before) == len(after)
    changed = [(one, other) for (_, one), (_, other) in zip(before, after, strict=True) if one != other]
    assert len(changed) == 1
    return changed[0]


def _lost(before: Dated, after: Dated) -> None:
    left = list(before)
    for message in after:
        left.remove(message)
    assert len(left) == 1


def _doubled(before: Dated, after: Dated) -> None:
    texts = [data for _, data in after]
    doubled = [n for n in range(1, len(texts)) if texts[n] == texts[n - 1]]
    assert len(doubled) == 1
    del texts[doubled[0]]
    assert texts == [data for _, data in before]


def _overtaken(before: Dated, after: Dated) -> None:
    one, other = [data for _, data in before], [data for _, data in after]
    assert one != other
    assert sorted(one) == sorted(other)


def _corrupted(before: Dated, after: Dated) -> None:
    one, other = _one_other(before, after)
    assert len(one) == len(other)
    assert sum(a != b for a, b in zip(one, other, strict=True)) == 1


def _truncated(before: Dated, after: Dated) -> None:
    one, other = _one_other(before, after)
    assert one.startswith(other)
    assert other


def _grown(before: Dated, after: Dated) -> None:
    one, other = _one_other(before, after)
    assert len(other) == 5000
    assert orjson.loads(one) == orjson.loads(other)


def _other_label(place: int, label: Callable[[Any], bool]) -> Callable[[Dated, Dated], None]:
    def check(before: Dated, after: Dated) -> None:
        one, other = (orjson.loads(data) for data in _one_other(before, after))
        assert label(other[place])
        assert one[place] != other[place]
        del one[place], other[place]
        assert one == other

    return check


def _later(before: Dated, after: Dated) -> None:
    assert sorted(data for _, data in before) == sorted(data for _, data in after)
    arrived = {data: at for at, data in after}
    assert [arrived[data] - at for at, data in before if arrived[data] != at] == pytest.approx([12])


SEEN: dict[str, tuple[dict[str, Any], Callable[[Dated, Dated], None]]] = {
    "drop": ({}, _lost),
    "duplicate": ({}, _doubled),
    "reorder": ({}, _overtaken),
    "corrupt": ({}, _corrupted),
    "truncate": ({}, _truncated),
    "oversize": ({"size": 5000}, _grown),
    "wrong_id": ({}, _other_label(1, lambda label: len(label) == 36)),
    "wrong_type": ({}, _other_label(0, lambda label: label == 9)),
    "withhold": ({}, _lost),
    "late": ({"delay": "12s"}, _later),
    "twice": ({}, _doubled),
}
"""Kind, what else is said about it, how the messages differ before and behind it."""

ANSWERS = ("withhold", "late", "twice")
WAYS = [(kind, way) for kind in KINDS for way in ("to_csms", "from_csms")]


async def _told_once(rig: Rig) -> None:
    """A StatusNotification that the central system asks for, and something that may overtake it."""
    rig.forget_frames()
    trigger = {"requestedMessage": "StatusNotification", "connectorId": 1}
    await rig.csms.call(CP, "TriggerMessage", trigger)
    await rig.csms.call(CP, "GetConfiguration", {"key": ["HeartbeatInterval"]})
    await rig.wait(300)


async def _answered_once(rig: Rig) -> None:
    """An answer of the station that may go wrong."""
    rig.forget_frames()
    call = asyncio.ensure_future(rig.csms.call(CP, "GetConfiguration", {"key": ["HeartbeatInterval"]}))
    await rig.wait(300)
    with suppress(CallTimeout):
        await call


@pytest.mark.parametrize("planted", [False, True], ids=["as it should be", "a fault that does nothing"])
@pytest.mark.parametrize(("kind", "way"), WAYS, ids=[f"{kind} {way}" for kind, way in WAYS])
def test_it_is_seen_on_the_wire(kind: str, way: str, planted: bool) -> None:
    more, check = SEEN[kind]
    stations_answer = kind in ANSWERS and way == "to_csms"
    action = "GetConfiguration" if stations_answer else "StatusNotification"

    async def run() -> None:
        async with live() as rig:
            if not planted:
                await rig.disturb(frame=kind, direction=way, action=action, times=1, **more)
            await (_answered_once if stations_answer else _told_once)(rig)
            before, after = (rig.probe.said, rig.sent) if way == "to_csms" else (rig.came, rig.probe.got)
            if planted:
                with pytest.raises(AssertionError):
                    check(before, after)
            else:
                check(before, after)
                assert [one.name for one in rig.struck] == [kind]

    play(run)


def test_what_a_fault_of_requests_leaves_alone() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(frame="drop", of="calls", action="StatusNotification", direction="to_csms")
            await rig.charge_freely(1)
            await rig.wait(300)
            assert len(rig.calls("StatusNotification")) == 2  # those of the start
            assert {one.what for one in rig.struck} == {"drop: StatusNotification request, to_csms"}
            assert len(rig.calls("StopTransaction")) == 1

    play(run)


@pytest.mark.parametrize("way", ["to_csms", "from_csms"])
@pytest.mark.parametrize("kind", ["drop", "truncate"])
def test_a_lost_request_of_the_central_system_costs_no_real_time(kind: str, way: str) -> None:
    async def run() -> None:
        async with live() as rig:
            await rig.disturb(frame=kind, action="GetConfiguration", direction=way, times=1)
            began = time.monotonic()
            with pytest.raises(CallTimeout):
                await rig.csms.call(CP, "GetConfiguration", {})
            assert time.monotonic() - began < 5
            assert "configurationKey" in await rig.csms.call(CP, "GetConfiguration", {})
            assert rig.clock.lost_s == 0

    play(run)


def test_an_answer_later_than_the_station_waits_for_it() -> None:
    """It is ignored; the transaction message is sent again, and one transaction is billed."""

    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(frame="late", action="StartTransaction", delay="45s", times=1)
            began = time.monotonic()
            await rig.charge_freely(1)
            await rig.nothing_is_lost()
            assert time.monotonic() - began < 5
            starts = rig.calls("StartTransaction")
            assert len(starts) == 2
            assert starts[0] == starts[1]
            assert len(rig.transactions) == 1

    play(run)


def test_more_than_a_station_takes_in_closes_the_link() -> None:
    """RFC 6455 §7.4.1: 1009."""

    async def run() -> None:
        async with live() as rig:
            await rig.disturb(frame="oversize", direction="from_csms", size=2**25, times=1)
            await rig.do("data_transfer", vendor_id="V")
            await rig.wait(300)
            reasons = [
                fields["reason"]
                for _, name, fields in rig.events
                if name == "connection" and "reason" in fields
            ]
            assert reasons == ["closed by the station (1009)"]
            assert rig.station.online

    play(run)
