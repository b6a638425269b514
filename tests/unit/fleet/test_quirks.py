"""Each bad habit is seen on the frames where it is switched on, and nowhere else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson
import pytest

from chargepoint.config import StationConfig
from chargepoint.config.quirks import QuirksConfig
from chargepoint.fleet.measures.statistics import Statistics
from chargepoint.quirks.kinds import KINDS
from chargepoint.quirks.line import QuirkyLine
from chargepoint.quirks.quirk import Quirk
from tests.unit.fleet.memory_station import Rig
from tests.unit.ocpp16.bench import START

DAY_S = 86_400.0


def energies(rig: Rig) -> list[dict[str, Any]]:
    """Every sampled energy register, in order."""
    return [
        sample
        for payload in rig.sent("MeterValues")
        for reading in payload["meterValue"]
        for sample in reading["sampledValue"]
        if sample.get("measurand", "Energy.Active.Import.Register").startswith("Energy")
    ]


def registers(rig: Rig) -> list[float]:
    return [float(sample["value"]) for sample in energies(rig)]


def statuses(rig: Rig, connector: int = 1) -> list[str]:
    return [p["status"] for p in rig.sent("StatusNotification") if p["connectorId"] == connector]


def times(rig: Rig, action: str) -> list[float]:
    return [at - START for at, sent in rig.csms.calls if sent == action]


def falls(rig: Rig) -> bool:
    found = registers(rig)
    return any(after < before for before, after in pairwise(found))


def message_ids(rig: Rig) -> list[str]:
    return [frame[1] for frame in rig.calls()]


def soft_reset(rig: Rig) -> Any:
    return rig.call("Reset", {"type": "Soft"})


def profile(rig: Rig, purpose: str) -> Any:
    transaction = {"transactionId": 1} if purpose == "TxProfile" else {}
    return rig.call(
        "SetChargingProfile",
        {
            "connectorId": 1 if transaction else 0,
            "csChargingProfiles": {
                "chargingProfileId": 1,
                **transaction,
                "stackLevel": 0,
                "chargingProfilePurpose": purpose,
                "chargingProfileKind": "Relative" if transaction else "Absolute",
                "chargingSchedule": {
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}],
                    **({} if transaction else {"startSchedule": "2026-01-01T00:00:00Z"}),
                },
            },
        },
    )


def charge(rig: Rig) -> None:
    rig.session(300)


def charge_faulted(rig: Rig) -> None:
    rig.do("fault", connector=1, error_code="HighTemperature")


def begin(rig: Rig) -> None:
    rig.do("plug_in", connector=1)
    rig.do("swipe", id_tag="TAG", connector=1)
    rig.clock.advance(30)


def begin_and_wait(rig: Rig) -> None:
    """Nothing but Heartbeats to say for a while."""
    rig.actions.perform({"cmd": "config", "key": "MeterValueSampleInterval", "value": 0})
    begin(rig)
    rig.clock.advance(3600)


def begin_and_limit(rig: Rig) -> None:
    begin(rig)
    answer = profile(rig, "TxProfile")
    assert answer is not None
    assert answer[2] == {"status": "Accepted"}
    rig.clock.advance(30)


def limited(rig: Rig) -> bool:
    evse: Any = rig.station.evses[0]
    return bool(evse.offered.current_a == 6)


def remote_start(rig: Rig) -> None:
    rig.csms.say([2, "start", "RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG"}])
    rig.clock.advance(0)


def answered_at_once(rig: Rig) -> bool:
    at_once = rig.answer() is not None
    rig.clock.advance(30)
    answer = rig.answer()
    assert answer is not None
    assert answer[2] == {"status": "Accepted"}
    return at_once


@dataclass(frozen=True)
class Case:
    """A quirk, what happens, and how it shows; `shows` is false where the quirk is switched off."""

    name: str
    value: Any
    happens: Callable[[Rig], object]
    shows: Callable[[Rig], bool]


CASES = [
    Case("register_falls", 1, charge, falls),
    Case("kwh", "labelled", charge, lambda rig: all(e.get("unit") == "kWh" for e in energies(rig))),
    Case("kwh", "unlabelled", charge, lambda rig: registers(rig)[-1] < 10),
    Case("long_decimals", True, charge, lambda rig: energies(rig)[0]["value"].endswith(".000000")),
    Case(
        "boots_in_1970",
        True,
        charge,
        lambda rig: rig.sent("StatusNotification")[0]["timestamp"].startswith("1970-01-01T00:00:0"),
    ),
    Case(
        "local_time_h",
        2,
        charge,
        lambda rig: rig.sent("StartTransaction")[0]["timestamp"] == "2026-01-01T02:00:02.000",
    ),
    Case(
        "status_padding",
        "nulls",
        charge,
        lambda rig: rig.sent("StatusNotification")[0].get("info") == "null",
    ),
    Case(
        "status_padding",
        "empty",
        charge,
        lambda rig: all(p.get("vendorId") == "" for p in rig.sent("StatusNotification")),
    ),
    Case(
        "own_error_codes",
        True,
        charge_faulted,
        lambda rig: (
            [
                (p["errorCode"], p.get("vendorErrorCode"))
                for p in rig.sent("StatusNotification")
                if p["errorCode"] != "NoError"
            ]
            == [("Error", "HighTemperature")]
        ),
    ),
    Case("lower_case_status", True, charge, lambda rig: statuses(rig)[0] == "available"),
    Case(
        "status_flood_s",
        60,
        lambda rig: rig.clock.advance(600),
        lambda rig: statuses(rig).count("Available") >= 10,
    ),
    Case("late_status_s", 60, begin, lambda rig: "Charging" not in statuses(rig)),
    Case(
        "no_serial_number",
        True,
        charge,
        lambda rig: "chargeBoxSerialNumber" not in rig.sent("BootNotification")[0],
    ),
    Case("boots_on_reconnect", True, Rig.reconnect, lambda rig: len(rig.sent("BootNotification")) == 2),
    Case(
        "reboots_every_s",
        7 * DAY_S,
        lambda rig: rig.clock.advance(22 * DAY_S),
        lambda rig: len(rig.sent("BootNotification")) in (4, 5),
    ),
    Case(
        "heartbeat_every_s",
        10,
        lambda rig: rig.clock.advance(200),
        lambda rig: len(rig.sent("Heartbeat")) in (19, 20),
    ),
    Case(
        "no_heartbeat_while_charging",
        True,
        begin_and_wait,
        lambda rig: not rig.sent("Heartbeat"),
    ),
    Case("duplicate_start", 1, charge, lambda rig: rig.csms.transactions == 2),
    Case("stop_reason", "DeAuthorized", charge, lambda rig: stop(rig).get("reason") == "DeAuthorized"),
    Case("no_transaction_data", True, charge, lambda rig: "transactionData" not in stop(rig)),
    Case("meter_stop_zero", 1, charge, lambda rig: stop(rig)["meterStop"] == 0),
    Case("loses_stop", 1, charge, lambda rig: not rig.sent("StopTransaction")),
    Case(
        "counting_message_ids",
        True,
        charge,
        lambda rig: message_ids(rig) == [str(n + 1) for n in range(len(rig.calls()))],
    ),
    Case(
        "repeated_message_ids",
        1,
        charge,
        lambda rig: len(set(message_ids(rig))) == 1 and len(rig.calls()) > 5,
    ),
    Case(
        "soft_reset_not_supported",
        True,
        soft_reset,
        lambda rig: rig.answer() is not None and rig.answer()[2] == "NotSupported",  # type: ignore[index]  # not None, as said before
    ),
    Case("slow_remote_start_s", 20, remote_start, lambda rig: not answered_at_once(rig)),
    Case("ignores_tx_profile", True, begin_and_limit, lambda rig: not limited(rig)),
]


def stop(rig: Rig) -> dict[str, Any]:
    """The only StopTransaction."""
    (payload,) = rig.sent("StopTransaction")
    return payload


def played(case: Case, quirks: dict[str, Any], seed: int = 1) -> Rig:
    config = StationConfig.model_validate(
        {
            "quirks": quirks,
            "station": {"charge_box_serial_number": "S1"},
            "ocpp": {
                "DisableSecurityEventNotifications": "true",
                "StopTxnSampledData": "Energy.Active.Import.Register",
            },
        }
    )
    rig = Rig(config, seed).start()
    case.happens(rig)
    return rig


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.value}")
def test_a_quirk_shows_where_it_is_switched_on(case: Case) -> None:
    rig = played(case, {case.name: case.value})
    assert case.shows(rig)
    assert rig.watched() == rig.really_sent()
    assert not [fields for event, fields in rig.events if event == "late"]
    rig.end()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.value}")
def test_it_does_not_show_where_it_is_off(case: Case) -> None:
    rig = played(case, {})
    assert not case.shows(rig)
    rig.end()


def test_every_quirk_has_its_case_and_its_description() -> None:
    assert {case.name for case in CASES} == QuirksConfig.model_fields.keys() == KINDS.keys()
    assert all(field.description for field in QuirksConfig.model_fields.values())


MANY: dict[str, Any] = {
    "duplicate_start": 0.5,
    "loses_stop": 0.5,
    "register_falls": 0.5,
    "meter_stop_zero": 0.5,
}


def many(seed: int) -> list[Any]:
    rig = Rig(seed=seed, **MANY).start()
    for _ in range(8):
        rig.session(200)
    rig.end()
    return [frame[2:] for frame in rig.calls()]


def test_the_same_seed_gives_the_same_frames_and_another_one_others() -> None:
    assert many(1) == many(1)
    assert many(1) != many(2)


def test_a_probability_hits_some_and_not_all() -> None:
    rig = Rig(loses_stop=0.5).start()
    for _ in range(20):
        rig.session(60)
    assert 3 < len(rig.sent("StopTransaction")) < 17
    rig.end()


def test_all_quirks_together_keep_one_call_outstanding() -> None:
    """What the central system answers late comes before the next CALL, made up or not."""
    rig = Rig(
        status_flood_s=5, heartbeat_every_s=3, duplicate_start=1, late_status_s=2, boots_on_reconnect=True
    )
    outstanding: set[str] = set()
    send, deliver = rig.csms.send, rig.csms.deliver
    seen: list[int] = []

    def sent(data: bytes | str) -> None:
        frame = rig_frame(data)
        if frame[0] == 2:
            outstanding.add(frame[1])
            seen.append(len(outstanding))
        send(data)

    def delivered(data: bytes) -> None:
        outstanding.discard(rig_frame(data)[1])
        deliver(data)

    rig.link.carry = sent
    rig.csms.deliver = delivered
    rig.start()
    rig.session(600)
    rig.reconnect()
    rig.session(60)
    assert len(rig.sent("Heartbeat")) > 100
    assert set(seen) == {1}
    rig.end()


def rig_frame(data: bytes | str) -> list[Any]:
    frame: list[Any] = orjson.loads(data)
    return frame


def test_a_made_up_call_without_an_answer_keeps_the_line_for_a_while_only() -> None:
    rig = Rig(heartbeat_every_s=100)
    rig.csms.answers["Heartbeat"] = lambda payload: None
    rig.start()
    rig.clock.advance(1000)
    rig.csms.answers.clear()
    rig.session(60)
    assert len(rig.sent("StopTransaction")) == 1
    rig.end()


def test_the_answer_to_a_slow_request_is_not_sent_over_the_next_connection() -> None:
    rig = Rig(slow_remote_start_s=20).start()
    remote_start(rig)
    rig.reconnect()
    rig.clock.advance(60)
    assert rig.answer() is None
    rig.end()


def test_a_slow_remote_start_is_answered_before_the_transaction_begins() -> None:
    """The charge controller is asked first: nothing begins before it knows."""
    rig = Rig(slow_remote_start_s=20).start()
    rig.do("plug_in", connector=1)
    remote_start(rig)
    rig.clock.advance(19)
    assert not rig.sent("StartTransaction")
    rig.clock.advance(60)
    assert rig.answer() is not None
    assert len(rig.sent("StartTransaction")) == 1
    rig.end()


def test_heartbeats_come_again_after_a_transaction_whose_start_was_repeated() -> None:
    rig = Rig(no_heartbeat_while_charging=True)
    refused = iter((True, False))
    usual = rig.csms.usual("StartTransaction")
    rig.csms.answers["StartTransaction"] = lambda payload: (
        "InternalError" if next(refused, False) else usual(payload)
    )
    rig.start()
    rig.session(1000)
    assert len(rig.sent("StartTransaction")) == 2
    assert not rig.sent("Heartbeat")
    rig.clock.advance(4000)
    assert rig.sent("Heartbeat")
    rig.end()


def test_a_late_status_still_says_when_it_was_and_comes_in_order() -> None:
    plain, late = Rig().start(), Rig(late_status_s=20).start()
    for rig in (plain, late):
        rig.session(120)
        rig.clock.advance(60)
    assert late.sent("StatusNotification") == plain.sent("StatusNotification")
    delays = zip(times(plain, "StatusNotification"), times(late, "StatusNotification"), strict=True)
    assert {round(after - before) for before, after in delays} == {20}
    late.end()


def test_a_duplicate_follows_its_original_at_once_and_the_station_keeps_the_first_transaction() -> None:
    rig = Rig(duplicate_start=1).start()
    rig.session(60)
    actions = [frame[2] for frame in rig.calls()]
    first = actions.index("StartTransaction")
    assert actions[first : first + 2] == ["StartTransaction"] * 2
    assert rig.sent("StartTransaction")[0] == rig.sent("StartTransaction")[1]
    assert stop(rig)["transactionId"] == 1
    rig.end()


def test_a_station_without_quirks_has_no_edge() -> None:
    assert Rig().station._edges == ()


def counted(**quirks: Any) -> tuple[Rig, Statistics]:
    """A station with a fleet's statistics, and these; nothing has happened yet."""
    statistics = Statistics()
    return Rig(observer=statistics, **quirks), statistics


def test_a_stop_that_was_kept_back_is_lost_and_not_counted_as_sent() -> None:
    rig, statistics = counted(loses_stop=1)
    rig.start()
    rig.session(60)
    rig.end()
    [entry] = statistics.ledger
    assert (entry.verdict, entry.note) == ("missing", "StopTransaction was kept back by the station, a quirk")
    assert statistics.ledger.totals().lost == 1
    assert "StopTransaction" not in [frame[2] for frame in rig.calls()]
    assert statistics.actions["StopTransaction"].sent == statistics.actions["StopTransaction"].answered == 0
    assert statistics.sent == len(rig.calls())


def test_a_duplicate_start_that_got_a_number_of_its_own_is_doubled() -> None:
    rig, statistics = counted(duplicate_start=1)
    numbers = iter((7, 8))
    rig.csms.answers["StartTransaction"] = lambda payload: {
        "transactionId": next(numbers),
        "idTagInfo": {"status": "Accepted"},
    }
    rig.start()
    rig.session(60)
    rig.end()
    [entry] = statistics.ledger
    assert (entry.verdict, entry.transaction_id, entry.other_ids) == ("doubled", 7, [8])


@pytest.mark.parametrize(
    "quirks",
    [
        {"late_status_s": 20},
        {"no_heartbeat_while_charging": True},
        {"heartbeat_every_s": 30},
        {"status_flood_s": 30},
        {"duplicate_start": 1},
        {"loses_stop": 1},
    ],
    ids=lambda quirks: next(iter(quirks)),
)
def test_what_is_counted_is_what_passed_over_the_link(quirks: dict[str, Any]) -> None:
    rig, statistics = counted(**quirks)
    rig.start()
    rig.session(1000)
    rig.clock.advance(60)
    calls = Counter(frame[2] for frame in rig.calls())
    figures = {action: figures.sent for action, figures in statistics.actions.items() if figures.sent}
    assert figures == calls
    assert statistics.sent == sum(calls.values()) == sum(f.answered for f in statistics.actions.values())
    rig.end()


def test_a_made_up_call_without_an_answer_is_counted_as_failed() -> None:
    rig, statistics = counted(heartbeat_every_s=100)
    rig.csms.answers["Heartbeat"] = lambda payload: None
    rig.start()
    rig.clock.advance(150)
    assert statistics.actions["Heartbeat"].errors == {"Timeout": 1}
    rig.end()


class Renaming(Quirk):
    """Gives each message an id that says how often it was renamed."""

    def rename(self, action: str, message_id: str) -> str:
        """One letter longer."""
        return f"{message_id}+"


def test_a_call_renamed_by_two_lines_is_waited_for_in_station_time() -> None:
    rig = Rig()
    rig.station.tamper(QuirkyLine((Renaming(1),), 1))
    rig.station.tamper(QuirkyLine((Renaming(1),), 2))
    rig.start()
    rig.csms.answers["Heartbeat"] = lambda payload: None
    rig.clock.advance(1)
    rig.do("config", key="HeartbeatInterval", value=60)
    while not rig.sent("Heartbeat"):
        rig.clock.advance(1)
    outstanding = rig.station.charge_point.session.outstanding
    assert outstanding is not None
    wired = message_ids(rig)[-1]
    assert wired == f"{outstanding.message_id}++"
    assert outstanding.held
    rig.station.unanswered(wired)
    assert not outstanding.held
    rig.end()


def test_a_late_answer_to_a_made_up_call_is_nobody_s() -> None:
    rig = Rig()
    line = QuirkyLine((), 7)
    rig.station.tamper(line)
    rig.start()
    heard: list[bytes] = []
    above = line.edge._above

    def hear(data: bytes) -> None:
        heard.append(data)
        above(data)

    line.edge._above = hear
    rig.csms.answers["Heartbeat"] = lambda payload: None
    line.call("Heartbeat", {})
    made_up = message_ids(rig)[-1]
    rig.station.unanswered(made_up)
    answer = [3, made_up, {"currentTime": "2026-01-01T00:00:00Z"}]
    rig.station.frame_received(orjson.dumps(answer))
    assert heard == []
    answer[1] = "somebody else's"
    rig.station.frame_received(orjson.dumps(answer))
    assert len(heard) == 1
    rig.end()
