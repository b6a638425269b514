"""Who starts and who stops, as it shows on the wire and at the plug (OCPP 1.6 §3.4, §3.5, §3.10, §4.1)."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.domain.authorization import IdTagInfo
from tests.unit.ocpp16.bench import Answer, Bench


def ready(connectors: int = 1, **options: Any) -> Bench:
    bench = Bench(connectors, **options)
    bench.connect()
    return bench


def info(status: str = "Accepted", parent: str | None = None) -> dict[str, Any]:
    return {"idTagInfo": {"status": status} | ({"parentIdTag": parent} if parent else {})}


def authorize(bench: Bench, answers: dict[str, Answer]) -> None:
    """Answer Authorize by identifier; others are unknown."""
    bench.csms.answers["Authorize"] = lambda payload: answers.get(payload["idTag"], info("Invalid"))


def start_answer(bench: Bench, status: str, parent: str | None = None) -> None:
    bench.csms.answers["StartTransaction"] = lambda payload: {"transactionId": 7, **info(status, parent)}


def learn(bench: Bench, id_tag: str, status: str) -> None:
    with bench.cp.turn:
        bench.cp.transactions.authorizer.learn(id_tag, IdTagInfo(status))


def asked(bench: Bench) -> list[str]:
    return [payload["idTag"] for payload in bench.sent("Authorize")]


def stops(bench: Bench) -> list[tuple[str, str | None]]:
    return [(payload["reason"], payload.get("idTag")) for payload in bench.sent("StopTransaction")]


# --- starting -------------------------------------------------------------------

PRE = {"LocalPreAuthorize": "true"}
ALONE = {"LocalAuthorizeOffline": "false"}
ANYBODY = {"AllowOfflineTxForUnknownId": "true"}


@pytest.mark.parametrize(
    ("online", "known", "settings", "asks", "starts"),
    [
        pytest.param(True, "Accepted", PRE, False, True, id="online-valid-preauthorized"),
        pytest.param(True, "Accepted", {}, True, True, id="online-valid"),
        pytest.param(True, "Blocked", PRE, True, True, id="online-not-valid-asks-and-obeys"),
        pytest.param(True, "ConcurrentTx", PRE, True, True, id="online-cached-concurrent-asks"),
        pytest.param(True, None, PRE, True, True, id="online-unknown"),
        pytest.param(False, "Accepted", {}, False, True, id="offline-valid"),
        pytest.param(False, "Accepted", ALONE | ANYBODY, False, False, id="offline-valid-not-allowed"),
        pytest.param(False, "Blocked", ANYBODY, False, False, id="offline-blocked-is-no-unknown"),
        pytest.param(False, "Expired", ANYBODY, False, False, id="offline-expired-is-no-unknown"),
        pytest.param(False, None, ANYBODY, False, True, id="offline-unknown-allowed"),
        pytest.param(False, None, {}, False, False, id="offline-unknown"),
    ],
)
def test_who_may_start(
    online: bool, known: str | None, settings: dict[str, str], asks: bool, starts: bool
) -> None:
    bench = ready(ocpp=settings)
    if known is not None:
        learn(bench, "TAG", known)
    if not online:
        bench.disconnect()
    bench.charge()
    assert (asked(bench) == ["TAG"]) is asks
    assert bench.local_status() == ("Charging" if starts else "Preparing")


@pytest.mark.parametrize("status", ["Invalid", "Blocked", "Expired", "ConcurrentTx"])
@pytest.mark.parametrize("plug_first", [True, False], ids=["plug-first", "tag-first"])
def test_a_refused_card_starts_nothing(status: str, plug_first: bool) -> None:
    bench = ready()
    authorize(bench, {"TAG": info(status)})
    if plug_first:
        bench.plug_in()
        bench.swipe("TAG")
    else:
        bench.swipe("TAG")
        bench.plug_in()
    bench.advance(60)
    assert bench.statuses() == ["Available", "Preparing"]
    assert bench.sent("StartTransaction") == []


@pytest.mark.parametrize("answer", [{}, {"idTagInfo": {}}, "InternalError"], ids=str)
def test_an_answer_without_sense_refuses_or_is_none(answer: Answer) -> None:
    bench = ready()
    authorize(bench, {"TAG": answer})
    bench.charge()
    assert bench.local_status() == "Preparing"
    authorize(bench, {"TAG": info()})
    bench.swipe("TAG")
    assert len(bench.sent("StartTransaction")) == 1


def test_no_answer_is_decided_as_if_offline() -> None:
    bench = ready(ocpp=ANYBODY)
    authorize(bench, {"TAG": None})
    bench.plug_in()
    bench.swipe("TAG")
    bench.advance(29)
    assert bench.sent("StartTransaction") == []
    bench.advance(10)
    assert bench.local_status() == "Charging"


def test_a_lost_link_decides_at_once() -> None:
    bench = ready(ocpp=ANYBODY)
    authorize(bench, {"TAG": None})
    bench.plug_in()
    bench.swipe("TAG")
    bench.disconnect()
    bench.advance(10)
    assert bench.local_status() == "Charging"


def test_an_answer_whose_cable_was_pulled_only_teaches() -> None:
    bench = ready(ocpp=PRE)
    authorize(bench, {"TAG": None})
    bench.plug_in()
    bench.swipe("TAG")
    bench.plug_out()
    message_id = next(f[1] for way, f in reversed(bench.csms.frames) if way == "tx" and f[2] == "Authorize")
    bench.csms.say([3, message_id, info()])
    bench.advance(0)
    assert bench.statuses() == ["Available", "Preparing", "Available"]
    bench.charge()
    assert asked(bench) == ["TAG"], "it is in the cache by now"
    assert bench.local_status() == "Charging"


def test_cards_are_not_lost_while_one_is_being_asked_about() -> None:
    bench = ready(2)
    bench.charge("ANN")
    authorize(bench, {"BOB": None, "CAT": info()})
    bench.plug_in(2)
    bench.swipe("BOB")
    bench.swipe("BOB")  # impatient
    bench.swipe("CAT")
    bench.swipe("ANN")  # needs no asking: it stops its own at once
    assert stops(bench) == []  # the line is busy
    assert bench.local_status(1) == "Finishing"
    bench.advance(30)
    assert asked(bench) == ["ANN", "BOB", "CAT"]
    assert stops(bench) == [("Local", "ANN")]
    assert [payload["idTag"] for payload in bench.sent("StartTransaction")] == ["ANN", "CAT"]


# --- stopping -------------------------------------------------------------------


def test_the_same_card_stops_without_being_asked_about() -> None:
    bench = ready()
    bench.charge("Tag")
    bench.swipe("WRONG")
    bench.swipe("tAG")
    assert asked(bench) == ["Tag"]
    assert stops(bench) == [("Local", "tAG")]
    assert bench.statuses()[-1] == "Finishing"


def group(parent_from_start: bool) -> Bench:
    """ANN of the group FAMILY charges; its parent is known from Authorize, or only from StartTransaction."""
    bench = ready()
    family = info(parent="FAMILY")
    authorize(bench, {"ANN": info() if parent_from_start else family, "BOB": family, "FAMILY": info()})
    if parent_from_start:
        start_answer(bench, "Accepted", "FAMILY")
    bench.charge("ANN")
    return bench


@pytest.mark.parametrize("parent_from_start", [False, True], ids=["by-authorize", "by-start"])
def test_another_card_of_the_group_stops(parent_from_start: bool) -> None:
    bench = group(parent_from_start)
    bench.swipe("BOB")
    assert asked(bench) == ["ANN", "BOB"]
    assert stops(bench) == [("Local", "BOB")]


@pytest.mark.parametrize(
    ("answer", "stopped"),
    [
        pytest.param(info("ConcurrentTx", "FAMILY"), True, id="concurrent"),
        pytest.param(info("Blocked", "FAMILY"), False, id="blocked"),
        pytest.param(info("Accepted", "OTHERS"), False, id="other-group"),
        pytest.param(info("Accepted"), False, id="no-group"),
        pytest.param(None, False, id="no-answer"),
    ],
)
def test_which_cards_of_a_group_stop(answer: Answer, stopped: bool) -> None:
    bench = group(False)
    authorize(bench, {"BOB": answer})
    bench.swipe("BOB")
    bench.advance(31)
    assert stops(bench) == ([("Local", "BOB")] if stopped else [])


def test_a_parent_is_never_compared_with_an_identifier() -> None:
    bench = group(False)
    bench.swipe("FAMILY")
    assert stops(bench) == []
    assert bench.local_status() == "Charging"


def test_a_start_answer_without_a_parent_takes_none_away() -> None:
    bench = ready()
    authorize(bench, {"ANN": info(parent="FAMILY"), "BOB": info(parent="FAMILY")})
    start_answer(bench, "Accepted")
    bench.charge("ANN")
    bench.swipe("BOB")
    assert stops(bench) == [("Local", "BOB")]


def test_offline_with_the_parent_unknown_a_card_is_ignored() -> None:
    bench = group(False)
    bench.disconnect()
    bench.swipe("BOB")
    assert bench.local_status() == "Charging"


@pytest.mark.parametrize("link", ["online", "offline"])
def test_a_card_known_to_be_of_the_group_stops(link: str) -> None:
    bench = group(False)
    bench.swipe("BOB")  # teaches the cache, and stops
    bench.plug_out()
    bench.charge("ANN")
    if link == "offline":
        bench.disconnect()
    bench.swipe("BOB")
    assert bench.local_status() == "Finishing"


def test_during_finishing_a_card_does_nothing() -> None:
    bench = ready()
    bench.charge()
    bench.swipe("TAG")
    bench.swipe("TAG")
    bench.swipe("OTHER")
    bench.advance(10)
    assert len(bench.sent("StartTransaction")) == len(bench.sent("StopTransaction")) == 1
    assert bench.statuses()[-1] == "Finishing"


def test_during_finishing_a_card_starts_again_if_the_operator_likes() -> None:
    bench = ready(behaviour={"restart_without_replug": True})
    bench.charge()
    bench.swipe("TAG")
    bench.swipe("OTHER")
    bench.advance(10)
    assert bench.statuses()[-3:] == ["Finishing", "Preparing", "Charging"]
    assert len(bench.sent("StartTransaction")) == 2


def test_a_card_prefers_its_vehicle_to_one_that_was_served() -> None:
    bench = ready(2, behaviour={"restart_without_replug": True})
    bench.charge("ANN", 1)
    bench.swipe("ANN")
    bench.plug_in(2)
    bench.swipe("BOB")
    assert [p["connectorId"] for p in bench.sent("StartTransaction")] == [1, 2]


# --- an identifier that turns out not to be valid --------------------------------

REFUSALS = ["Invalid", "Blocked", "Expired", "ConcurrentTx"]


@pytest.mark.parametrize("link", ["online", "offline"])
@pytest.mark.parametrize("status", REFUSALS)
def test_a_refused_transaction_stops(status: str, link: str) -> None:
    bench = refused(status, {"StopTransactionOnInvalidId": "true"}, link)
    assert stops(bench) == [("DeAuthorized", None)]
    assert bench.statuses()[-1] == "Finishing"
    assert bench.evses[0].locked
    bench.swipe("OTHER")
    assert bench.evses[0].locked
    bench.swipe("TAG")
    assert not bench.evses[0].locked
    assert len(bench.sent("StartTransaction")) == len(bench.sent("StopTransaction")) == 1


@pytest.mark.parametrize("link", ["online", "offline"])
@pytest.mark.parametrize("status", REFUSALS)
def test_a_refused_transaction_is_suspended(status: str, link: str) -> None:
    bench = refused(status, {"StopTransactionOnInvalidId": "false"}, link)
    assert bench.statuses()[-1] == "SuspendedEVSE"
    assert bench.evses[0].offered.zero
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}]}
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
    }
    bench.call("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile})
    bench.advance(600)
    assert bench.statuses()[-1] == "SuspendedEVSE", "a profile does not start it again"
    bench.swipe("OTHER")
    assert bench.evses[0].locked
    bench.swipe("TAG")
    assert stops(bench) == [("Local", "TAG")]
    assert not bench.evses[0].locked
    assert bench.statuses()[-1] == "Finishing"


def refused(status: str, settings: dict[str, str], link: str) -> Bench:
    bench = ready(ocpp=settings | ANYBODY)
    start_answer(bench, status)
    if link == "offline":
        bench.disconnect()
    bench.charge()
    if link == "offline":
        assert bench.local_status() == "Charging"
        bench.connect()
        bench.advance(1)
    return bench


@pytest.mark.parametrize("stops_on_invalid", ["true", "false"])
def test_some_energy_is_delivered_first(stops_on_invalid: str) -> None:
    settings = {"StopTransactionOnInvalidId": stops_on_invalid, "MaxEnergyOnInvalidId": "500"}
    bench = refused("Blocked", settings, "online")
    assert bench.local_status() == "Charging"
    bench.advance(3600)
    assert 500 <= bench.evses[0].reading().energy_wh <= 510
    if stops_on_invalid == "true":
        assert stops(bench) == [("DeAuthorized", None)]
    else:
        assert bench.statuses()[-1] == "SuspendedEVSE"


def test_the_group_may_stop_a_suspended_transaction_and_gets_a_held_cable() -> None:
    for stops_on_invalid in ("true", "false"):
        bench = ready(ocpp={"StopTransactionOnInvalidId": stops_on_invalid})
        authorize(bench, {"ANN": info(parent="FAMILY"), "BOB": info(parent="FAMILY")})
        start_answer(bench, "Invalid")
        bench.charge("ANN")
        assert bench.evses[0].locked
        bench.swipe("BOB")
        assert not bench.evses[0].locked
        expected = ("DeAuthorized", None) if stops_on_invalid == "true" else ("Local", "BOB")
        assert stops(bench) == [expected]


def test_a_refusal_after_the_end_only_teaches() -> None:
    bench = ready(ocpp=ANYBODY | PRE)
    start_answer(bench, "Blocked")
    bench.disconnect()
    bench.charge()
    bench.swipe("TAG")
    bench.connect()
    assert stops(bench) == [("Local", "TAG")]
    bench.plug_out()
    authorize(bench, {"TAG": info("Blocked")})
    bench.charge()
    assert asked(bench) == ["TAG"]
    assert bench.local_status() == "Preparing"


# --- free charging ----------------------------------------------------------------------------------


def test_without_cards_a_vehicle_charges_at_once_and_only_once() -> None:
    bench = ready(behaviour={"free_charging_id_tag": "FREE"}, ocpp=PRE)
    bench.plug_in()
    bench.advance(10)
    assert asked(bench) == []
    assert bench.sent("StartTransaction")[0]["idTag"] == "FREE"
    bench.call("RemoteStopTransaction", {"transactionId": 1})
    bench.advance(600)
    assert len(bench.sent("StartTransaction")) == 1
    bench.plug_out()
    bench.plug_in()
    assert len(bench.sent("StartTransaction")) == 2


@pytest.mark.parametrize("event", ["operative", "cleared", "accepted", "restarted"])
def test_free_charging_begins_when_nothing_stands_against_it_any_more(event: str) -> None:
    bench = Bench(behaviour={"free_charging_id_tag": "FREE"})
    if event != "accepted":
        bench.connect()
    if event == "operative":
        bench.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
    elif event == "cleared":
        bench.evses[0].break_lock(True)
    elif event == "restarted":
        bench.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
    bench.plug_in()
    bench.advance(10)
    assert not bench.evses[0].closed
    if event == "cleared":
        bench.evses[0].break_lock(False)
    elif event == "accepted":
        bench.connect()
    else:
        if event == "restarted":
            bench.restart()
            bench.connect()
        bench.call("ChangeAvailability", {"connectorId": 1, "type": "Operative"})
    bench.advance(10)
    assert bench.evses[0].closed
