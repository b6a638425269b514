"""The seam between a station and its link: frames changed, kept back, doubled and made up, both ways."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from chargepoint.tamper import Tamper
from tests.unit.fleet.memory_station import Rig

Change = Callable[[Tamper, bytes], None]


class Script(Tamper):
    """Does with each frame what a test says."""

    def __init__(self, out: Change | None = None, back: Change | None = None) -> None:
        self.out = out
        self.back = back
        self.told: list[str] = []

    def outgoing(self, data: bytes) -> None:
        """From the station."""
        if self.out is None:
            super().outgoing(data)
        else:
            self.out(self, data)

    def incoming(self, data: bytes) -> None:
        """For the station."""
        if self.back is None:
            super().incoming(data)
        else:
            self.back(self, data)

    def link_up(self) -> None:
        """Connected."""
        self.told.append("up")

    def link_down(self) -> None:
        """Not connected."""
        self.told.append("down")

    def close(self) -> None:
        """The end."""
        self.told.append("end")


class Wire:
    """What really goes over the link, unread, as it may be rubbish; the central system reads what it can."""

    def __init__(self, rig: Rig) -> None:
        self.raw: list[bytes] = []
        self._rig = rig
        rig.link.carry = self.carry

    def carry(self, data: bytes) -> None:
        """One frame."""
        self.raw.append(data)
        try:
            orjson.loads(data)
        except orjson.JSONDecodeError:
            return
        self._rig.csms.send(data)

    @property
    def told(self) -> list[bytes]:
        """What the watchers were told went out."""
        return [data for way, data in self._rig.told if way == "tx"]


def tampered(out: Change | None = None, back: Change | None = None) -> tuple[Rig, Wire, Script]:
    rig = Rig()
    wire = Wire(rig)
    script = Script(out, back)
    rig.station.tamper(script)
    return rig.start(), wire, script


def action(data: bytes) -> str:
    frame = orjson.loads(data)
    return str(frame[2]) if frame[0] == 2 else ""


def test_what_is_passed_on_arrives_as_it_was() -> None:
    rig, wire, script = tampered()
    rig.session(60)
    plain = Rig()
    bare = Wire(plain)
    plain.start()
    plain.session(60)
    assert wire.raw == bare.raw
    rig.end()
    assert script.told == ["up", "down", "end"] or script.told == ["up", "end", "down"]


def corrupted(tamper: Tamper, data: bytes) -> None:
    tamper.edge.transmit(b"#" + data if action(data) == "StatusNotification" else data)


def truncated(tamper: Tamper, data: bytes) -> None:
    tamper.edge.transmit(data[:20] if action(data) == "StatusNotification" else data)


def doubled(tamper: Tamper, data: bytes) -> None:
    tamper.edge.transmit(data)
    if action(data) == "StatusNotification":
        tamper.edge.transmit(data)


def oversize(tamper: Tamper, data: bytes) -> None:
    tamper.edge.transmit(data + b" " * 100_000 if action(data) == "StatusNotification" else data)


@pytest.mark.parametrize(
    ("change", "looks"),
    [
        (corrupted, lambda raw: any(data.startswith(b"#") for data in raw)),
        (truncated, lambda raw: any(len(data) == 20 for data in raw)),
        (doubled, lambda raw: len(set(raw)) < len(raw)),
        (oversize, lambda raw: any(len(data) > 100_000 for data in raw)),
    ],
    ids=["corrupted", "truncated", "doubled", "oversize"],
)
def test_a_frame_is_changed_on_its_way_out_and_watchers_see_what_went_out(
    change: Change, looks: Callable[[list[bytes]], bool]
) -> None:
    rig, wire, _ = tampered(out=change)
    rig.session(60)
    assert looks(wire.raw)
    assert wire.told == wire.raw
    rig.end()


def test_a_call_that_is_lost_runs_into_its_timeout_and_the_next_one_goes() -> None:
    lost: list[bytes] = []

    def lose(tamper: Tamper, data: bytes) -> None:
        if action(data) == "Authorize" and not lost:
            lost.append(data)
        else:
            tamper.edge.transmit(data)

    rig, wire, _ = tampered(out=lose)
    rig.do("plug_in", connector=1)
    rig.do("swipe", id_tag="TAG", connector=1)
    assert lost
    assert lost[0] not in wire.told
    rig.clock.advance(60)
    rig.do("swipe", id_tag="TAG", connector=1)
    assert len(rig.sent("StartTransaction")) == 1
    rig.end()


def test_two_frames_are_swapped() -> None:
    kept: list[bytes] = []

    def swap(tamper: Tamper, data: bytes) -> None:
        if action(data) == "" and not kept:
            kept.append(data)
            return
        tamper.edge.transmit(data)
        while kept:
            tamper.edge.transmit(kept.pop())

    rig, _, _ = tampered(out=swap)
    rig.csms.say([2, "a", "GetLocalListVersion", {}])
    rig.csms.say([2, "b", "GetLocalListVersion", {}])
    rig.clock.advance(0)
    assert [frame[1] for way, frame in rig.csms.frames if way == "tx" and frame[0] == 3] == ["b", "a"]
    rig.end()


def test_an_answer_made_up_for_the_station_comes_after_its_turn() -> None:
    def answer(tamper: Tamper, data: bytes) -> None:
        if action(data) == "Heartbeat":
            frame = orjson.loads(data)
            tamper.edge.deliver(orjson.dumps([3, frame[1], {"currentTime": "2026-01-01T00:05:00Z"}]))
        else:
            tamper.edge.transmit(data)

    rig, _, _ = tampered(out=answer)
    rig.clock.advance(1000)
    assert rig.sent("Heartbeat") == []
    assert rig.station.charge_point.session.outstanding is None
    rig.end()


def test_an_incoming_frame_is_withheld_and_delivered_late_and_twice() -> None:
    def withhold(tamper: Tamper, data: bytes) -> None:
        wire = tamper.edge.host.wire
        frame = orjson.loads(data)
        if frame[0] == 3 and "transactionId" in frame[2]:
            for delay_s in (5, 6):
                wire.call_at(wire.now() + delay_s, lambda: tamper.edge.deliver(data))
        else:
            tamper.edge.deliver(data)

    rig, _, _ = tampered(back=withhold)
    rig.session(60)
    (stop,) = rig.sent("StopTransaction")
    assert stop["transactionId"] == 1
    rig.end()


def test_a_request_is_answered_in_the_station_s_place() -> None:
    def refuse(tamper: Tamper, data: bytes) -> None:
        if action(data) == "Reset":
            tamper.edge.transmit(orjson.dumps([4, orjson.loads(data)[1], "InternalError", "", {}]))
        else:
            tamper.edge.deliver(data)

    rig, _, _ = tampered(back=refuse)
    assert rig.call("Reset", {"type": "Hard"}) == [4, "theirs", "InternalError", "", {}]
    rig.clock.advance(10)
    assert len(rig.sent("BootNotification")) == 1
    rig.end()


def test_a_second_tamper_acts_on_what_the_first_makes() -> None:
    seen: list[bytes] = []

    def note(tamper: Tamper, data: bytes) -> None:
        seen.append(data)
        tamper.edge.transmit(data)

    rig = Rig(counting_message_ids=True)
    rig.station.tamper(Script(out=note))
    rig.start()
    assert [orjson.loads(data)[1] for data in seen[:2]] == ["1", "2"]
    assert rig.station.accepted
    rig.end()


def test_one_that_comes_while_connected_acts_at_once() -> None:
    rig = Rig().start()
    script = Script(out=doubled)
    rig.station.tamper(script)
    assert script.told == ["up"]
    before = len(rig.sent("StatusNotification"))
    rig.do("plug_in", connector=1)
    assert len(rig.sent("StatusNotification")) == before + 2
    rig.end()


def test_nothing_leaves_and_nobody_is_told_while_there_is_no_link() -> None:
    rig, wire, script = tampered()
    rig.link.pause()
    before = len(wire.raw)
    script.edge.transmit(b"[2]")
    assert len(wire.raw) == before
    assert wire.told == wire.raw
    rig.end()
