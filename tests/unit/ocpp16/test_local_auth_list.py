"""LocalAuthListManagement (OCPP 1.6 §3.5.2 to §3.5.4, §5.10, §5.15)."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.domain.authorization import KIND as CACHE
from chargepoint.errors import StoreError
from chargepoint.store import MemoryStore
from hal.api import Fault, FaultKind
from tests.unit.ocpp16.bench import Bench

PRE = {"LocalPreAuthorize": "true"}
OFF = {"LocalAuthListEnabled": "false"}
WITHOUT = {"SupportedFeatureProfiles": "Core,SmartCharging"}

ACCEPTED: dict[str, Any] = {"status": "Accepted"}
BLOCKED: dict[str, Any] = {"status": "Blocked"}


def ready(listed: dict[str, dict[str, Any] | None] | None = None, **options: Any) -> Bench:
    """A station in operation, with this list in version 5."""
    bench = Bench(**options)
    bench.connect()
    if listed:
        assert send(bench, 5, listed) == "Accepted"
    return bench


def send(
    bench: Bench,
    version: int,
    entries: dict[str, dict[str, Any] | None] | list[dict[str, Any]] | None,
    update: str = "Full",
) -> str:
    """SendLocalList; a tag with None comes without idTagInfo."""
    if isinstance(entries, dict):
        entries = [{"idTag": tag} | ({"idTagInfo": info} if info else {}) for tag, info in entries.items()]
    payload = {"listVersion": version, "updateType": update}
    if entries is not None:
        payload["localAuthorizationList"] = entries
    answer = bench.call("SendLocalList", payload)
    return str(answer["status"] if isinstance(answer, dict) else answer)


def differential(bench: Bench, version: int, entries: dict[str, dict[str, Any] | None] | None) -> str:
    return send(bench, version, entries, "Differential")


def version(bench: Bench) -> Any:
    return bench.call("GetLocalListVersion", {})["listVersion"]


def listed(bench: Bench, *tags: str) -> list[str | None]:
    """The statuses of tags on the list."""
    found = [bench.cp.local_auth_list.lookup(tag) for tag in tags]
    return [None if info is None else info.status for info in found]


def asked(bench: Bench) -> list[str]:
    return [payload["idTag"] for payload in bench.sent("Authorize")]


def cached(bench: Bench) -> list[str]:
    return [key for key, _ in bench.store.items(CACHE)]


def configure(bench: Bench, key: str, value: str) -> None:
    assert bench.call("ChangeConfiguration", {"key": key, "value": value}) == {"status": "Accepted"}


def answer(bench: Bench, action: str, status: str) -> None:
    """The central system judges every identifier so from now on."""
    info: dict[str, Any] = {"idTagInfo": {"status": status}}
    if action == "StartTransaction":
        info["transactionId"] = 7
    bench.csms.answers[action] = lambda payload: info


def told(bench: Bench) -> list[tuple[str, str, str]]:
    """What was said of connector 0 after its first status."""
    return [
        (payload["status"], payload["errorCode"], payload.get("info", ""))
        for payload in bench.sent("StatusNotification")
        if payload["connectorId"] == 0
    ][1:]


# --- TC_008: starting with a listed identifier --------------------------------------------------------


def test_tc_008_1_a_listed_card_starts_without_being_asked_about() -> None:
    bench = ready({"Tag": ACCEPTED}, ocpp=PRE)
    bench.charge("tAG")
    assert asked(bench) == []
    assert [payload["idTag"] for payload in bench.sent("StartTransaction")] == ["tAG"]
    assert bench.statuses() == ["Available", "Preparing", "Charging"]


def test_tc_008_2_a_listed_identifier_starts_from_afar_without_being_asked_about() -> None:
    bench = ready({"TAG": ACCEPTED}, ocpp=PRE | {"AuthorizeRemoteTxRequests": "true"})
    bench.plug_in()
    assert bench.call("RemoteStartTransaction", {"idTag": "TAG", "connectorId": 1}) == ACCEPTED
    bench.advance(10)
    assert asked(bench) == []
    assert bench.statuses() == ["Available", "Preparing", "Charging"]


LONG_AGO, FAR_AHEAD = "2025-12-31T23:59:59Z", "2026-01-01T01:00:00.5+00:30"


@pytest.mark.parametrize(
    ("online", "info", "settings", "asks", "starts"),
    [
        pytest.param(True, ACCEPTED, PRE, False, True, id="online-valid-preauthorized"),
        pytest.param(True, {"status": "ConcurrentTx"}, PRE, False, True, id="online-concurrent-is-valid"),
        pytest.param(True, ACCEPTED, {}, True, True, id="online-valid-asks"),
        pytest.param(True, BLOCKED, PRE, True, True, id="online-not-valid-asks-and-obeys"),
        pytest.param(True, {**ACCEPTED, "expiryDate": LONG_AGO}, PRE, True, True, id="online-expired-asks"),
        pytest.param(True, {**ACCEPTED, "expiryDate": FAR_AHEAD}, PRE, False, True, id="online-not-expired"),
        pytest.param(True, ACCEPTED, PRE | OFF, True, True, id="online-list-switched-off"),
        pytest.param(False, ACCEPTED, {}, False, True, id="offline-valid"),
        pytest.param(
            False, ACCEPTED, {"LocalAuthorizeOffline": "false"}, False, False, id="offline-not-allowed"
        ),
        pytest.param(
            False,
            BLOCKED,
            {"AllowOfflineTxForUnknownId": "true"},
            False,
            False,
            id="offline-blocked-is-no-unknown",
        ),
        pytest.param(False, ACCEPTED, OFF, False, False, id="offline-list-switched-off"),
    ],
)
def test_who_may_start_by_the_list(
    online: bool, info: dict[str, Any], settings: dict[str, str], asks: bool, starts: bool
) -> None:
    bench = ready({"TAG": info})
    for key, value in settings.items():
        configure(bench, key, value)
    if not online:
        bench.disconnect()
    bench.charge()
    assert (asked(bench) == ["TAG"]) is asks
    assert bench.local_status() == ("Charging" if starts else "Preparing")


def test_a_listed_card_is_valid_until_its_date() -> None:
    bench = ready({"TAG": {**ACCEPTED, "expiryDate": "2026-01-01T00:10:00Z"}}, ocpp=PRE)
    bench.advance(599)
    bench.plug_in()
    bench.swipe("TAG")
    assert asked(bench) == []
    bench.swipe("TAG")
    bench.plug_out()
    bench.advance(1)
    bench.charge("TAG")
    assert asked(bench) == ["TAG"]


def test_the_list_names_the_group() -> None:
    """TC_069 without a question: either card is known to be of the family."""
    family = {**ACCEPTED, "parentIdTag": "FAMILY"}
    bench = ready({"ANN": family, "BOB": family}, ocpp=PRE)
    bench.charge("ANN")
    bench.swipe("BOB")
    assert asked(bench) == []
    assert [payload["idTag"] for payload in bench.sent("StopTransaction")] == ["BOB"]


# --- TC_007 and the cache: listed identifiers are not in it -------------------------------------------


def test_tc_007_1_a_cached_card_starts_beside_a_list_without_being_asked_about() -> None:
    bench = ready({"OTHER": ACCEPTED}, ocpp=PRE)
    for _ in range(2):
        bench.charge()
        bench.swipe("TAG")
        bench.plug_out()
    assert asked(bench) == ["TAG"]
    assert cached(bench) == ["tag"]


def test_no_answer_about_a_listed_identifier_enters_the_cache() -> None:
    bench = ready({"Tag": ACCEPTED})
    for action in ("Authorize", "StartTransaction", "StopTransaction"):
        answer(bench, action, "Accepted")
    bench.charge("TAG")
    bench.swipe("TAG")
    assert [len(bench.sent(a)) for a in ("Authorize", "StartTransaction", "StopTransaction")] == [1, 1, 1]
    assert cached(bench) == []


def test_the_list_wins_over_the_cache() -> None:
    bench = ready()
    bench.charge()
    bench.swipe("TAG")
    bench.plug_out()
    assert cached(bench) == ["tag"]
    assert send(bench, 1, {"TAG": BLOCKED}) == "Accepted"
    bench.disconnect()
    bench.charge()
    assert bench.local_status() == "Preparing"


def test_clear_cache_leaves_the_list_alone() -> None:
    bench = ready({"TAG": ACCEPTED}, ocpp=PRE)
    assert bench.call("ClearCache", {}) == ACCEPTED
    assert version(bench) == 5
    bench.charge()
    assert asked(bench) == []


# --- TC_042, TC_043: the messages ---------------------------------------------------------------------


@pytest.mark.parametrize("settings", [OFF, WITHOUT], ids=["switched-off", "profile-absent"])
def test_tc_042_1_tc_043_1_without_a_list(settings: dict[str, str]) -> None:
    bench = ready(ocpp=settings)
    assert version(bench) == -1
    assert send(bench, 1, {"TAG": ACCEPTED}) == "NotSupported"
    assert differential(bench, 1, {"TAG": ACCEPTED}) == "NotSupported"
    assert bench.cp.local_auth_list.lookup("TAG") is None


@pytest.mark.parametrize("entries", [None, {}], ids=["absent", "empty"])
def test_tc_042_2_an_empty_list_has_version_0(entries: dict[str, Any] | None) -> None:
    bench = ready({"TAG": ACCEPTED})
    assert version(bench) == 5
    assert send(bench, 7, entries) == "Accepted"
    assert version(bench) == 0
    assert listed(bench, "TAG") == [None]


def test_tc_043_full_and_differential() -> None:
    bench = ready()
    assert version(bench) == 0
    assert send(bench, 20, {"A": ACCEPTED, "B": ACCEPTED, "C": ACCEPTED}) == "Accepted"
    assert differential(bench, 21, {"a": BLOCKED, "b": None, "gone": None, "D": ACCEPTED}) == "Accepted"
    assert listed(bench, "A", "B", "C", "D") == ["Blocked", None, "Accepted", "Accepted"]
    assert version(bench) == 21
    assert send(bench, 3, {"E": ACCEPTED}) == "Accepted", "a full list may have a lower version"
    assert listed(bench, "A", "C", "D", "E") == [None, None, None, "Accepted"]
    assert version(bench) == 3


def test_tc_043_2_an_old_version_changes_nothing() -> None:
    bench = ready()
    assert send(bench, 2, {"A": ACCEPTED}) == "Accepted"
    assert send(bench, 5, {"A": ACCEPTED}) == "Accepted"
    for old in (4, 5, 0, -1):
        assert differential(bench, old, {"A": None, "B": ACCEPTED}) == "VersionMismatch"
    assert listed(bench, "A", "B") == ["Accepted", None]
    assert version(bench) == 5


@pytest.mark.parametrize("entries", [None, {}], ids=["absent", "empty"])
def test_a_differential_list_without_entries_is_a_new_version(entries: dict[str, Any] | None) -> None:
    bench = ready({"TAG": ACCEPTED})
    assert differential(bench, 6, entries) == "Accepted"
    assert (version(bench), listed(bench, "TAG")) == (6, ["Accepted"])


def test_a_differential_list_may_be_the_first_and_may_leave_nobody() -> None:
    bench = ready()
    assert differential(bench, 0, {"TAG": ACCEPTED}) == "VersionMismatch"
    assert differential(bench, 1, {"TAG": ACCEPTED}) == "Accepted"
    assert version(bench) == 1
    assert differential(bench, 2, {"tag": None}) == "Accepted"
    assert version(bench) == 0


@pytest.mark.parametrize(
    ("number", "entries", "status"),
    [
        pytest.param(0, {"NEW": ACCEPTED}, "Failed", id="0"),
        pytest.param(-1, {"NEW": ACCEPTED}, "Failed", id="negative"),
        pytest.param(-1, {}, "Failed", id="negative-empty"),
        pytest.param(0, {}, "Accepted", id="0-empty-clears"),
        pytest.param(0, None, "Accepted", id="0-absent-clears"),
    ],
)
def test_full_lists_without_a_proper_version(number: int, entries: Any, status: str) -> None:
    bench = ready({"TAG": ACCEPTED})
    assert send(bench, number, entries) == status
    assert version(bench) == (0 if status == "Accepted" else 5)
    assert listed(bench, "TAG", "NEW") == [None if status == "Accepted" else "Accepted", None]


LIMITS = {"LocalAuthListMaxLength": "4", "SendLocalListMaxLength": "3"}


@pytest.mark.parametrize(
    ("update", "entries"),
    [
        pytest.param("Full", {"A": ACCEPTED, "NEW": None}, id="full-without-info"),
        pytest.param("Full", {"NEW": ACCEPTED, "new": BLOCKED}, id="full-twice"),
        pytest.param("Differential", {"NEW": ACCEPTED, "New": None}, id="differential-twice"),
        pytest.param("Full", dict.fromkeys("ABCD", ACCEPTED), id="full-too-many-at-once"),
        pytest.param("Differential", dict.fromkeys("ABCD"), id="differential-too-many-at-once"),
        pytest.param("Differential", dict.fromkeys("XYZ", ACCEPTED), id="differential-too-long"),
    ],
)
def test_tc_043_3_a_list_that_cannot_be_taken_changes_nothing(
    update: str, entries: dict[str, dict[str, Any] | None]
) -> None:
    bench = ready({"A": ACCEPTED, "B": ACCEPTED}, ocpp=LIMITS)
    assert send(bench, 9, entries, update) == "Failed"
    assert version(bench) == 5
    assert listed(bench, "A", "B", "NEW", "X") == ["Accepted", "Accepted", None, None]


def test_a_full_list_has_a_greatest_length_of_its_own() -> None:
    bench = ready(ocpp={"LocalAuthListMaxLength": "2"})
    assert send(bench, 1, dict.fromkeys("ABC", ACCEPTED)) == "Failed"
    assert send(bench, 1, dict.fromkeys("AB", ACCEPTED)) == "Accepted"
    assert send(bench, 2, dict.fromkeys("CD", ACCEPTED)) == "Accepted", "the old entries do not count"


def test_removing_makes_room_in_the_same_message() -> None:
    bench = ready({"A": ACCEPTED, "B": ACCEPTED, "C": ACCEPTED}, ocpp=LIMITS)
    assert differential(bench, 6, {"A": None, "D": ACCEPTED, "E": ACCEPTED}) == "Accepted"
    assert differential(bench, 7, {"B": BLOCKED, "F": ACCEPTED}) == "Failed"
    assert listed(bench, "A", "B", "C", "D", "E", "F") == [None, *["Accepted"] * 4, None]


def test_entries_without_information_are_passed_over_where_the_operator_says_so() -> None:
    bench = ready({"B": ACCEPTED}, compatibility={"full_list_entry_without_info": "skip"})
    assert send(bench, 6, {"A": ACCEPTED, "B": None}) == "Accepted"
    assert (version(bench), listed(bench, "A", "B")) == (6, ["Accepted", None])
    assert send(bench, 7, {"A": None}) == "Accepted"
    assert version(bench) == 0


def test_a_date_that_is_none_is_a_mistake_in_the_payload() -> None:
    bench = ready({"TAG": ACCEPTED})
    wrong = {**ACCEPTED, "expiryDate": "tomorrow"}
    assert differential(bench, 6, {"A": ACCEPTED, "TAG": wrong}) == "PropertyConstraintViolation"
    assert (version(bench), listed(bench, "A", "TAG")) == (5, [None, "Accepted"])


def test_information_may_hold_everything_there_is() -> None:
    """OCPP-J errata 2.3: expiryDate and parentIdTag are properties of idTagInfo."""
    everything = {**ACCEPTED, "expiryDate": "2027-01-01T00:00:00.123456789+01:00", "parentIdTag": "P" * 20}
    bench = ready({"T" * 20: everything})
    found = bench.cp.local_auth_list.lookup("T" * 20)
    assert found is not None
    assert found.parent == "P" * 20
    assert found.expiry_at == pytest.approx(1_798_758_000.123, abs=0.001)
    assert send(bench, 6, {"TAG": {**ACCEPTED, "more": 1}}) == "FormationViolation"


def test_a_list_of_ten_thousand() -> None:
    bench = ready(ocpp=PRE | {"SendLocalListMaxLength": "10000"})
    tags = [f"{n:020X}" for n in range(10_000)]
    assert send(bench, 1, dict.fromkeys(tags, ACCEPTED)) == "Accepted"
    assert differential(bench, 2, {"ONE MORE": ACCEPTED}) == "Failed"
    assert differential(bench, 2, {tags[0]: None, "ONE MORE": ACCEPTED}) == "Accepted"
    bench.charge(tags[-1].lower())
    assert asked(bench) == []
    assert send(bench, 3, {}) == "Accepted"
    assert listed(bench, tags[-1]) == [None]


# --- the store -----------------------------------------------------------------------------------------


def test_the_list_is_there_after_a_power_cut() -> None:
    bench = ready({"TAG": ACCEPTED}, ocpp=PRE)
    bench.restart()
    bench.connect()
    assert version(bench) == 5
    bench.charge()
    assert asked(bench) == []


class FailingStore(MemoryStore):
    """Keeps nothing while `full`."""

    full = False

    def commit(self) -> None:
        if self.full:
            raise StoreError("disk full")
        super().commit()


@pytest.mark.parametrize("update", ["Full", "Differential"])
@pytest.mark.parametrize("then", ["cut", "room"])
def test_a_list_that_cannot_be_kept_leaves_the_old_one(update: str, then: str) -> None:
    store = FailingStore()
    bench = ready({"A": ACCEPTED}, store=store)
    conflict(bench, "A")
    store.full = True
    entries = [{"idTag": "A", "idTagInfo": BLOCKED}, {"idTag": "B", "idTagInfo": ACCEPTED}]
    payload = {"listVersion": 6, "updateType": update, "localAuthorizationList": entries}
    bench.csms.say([2, "list", "SendLocalList", payload])
    bench.clock.advance(0)
    assert [type(error) for error in bench.errors] == [StoreError]
    assert ("tx", [3, "list", {"status": "Failed"}]) in bench.csms.frames
    bench.errors.clear()
    store.full = False
    if then == "cut":
        bench.restart()
        bench.connect()
    bench.advance(60)
    assert version(bench) == 5
    assert listed(bench, "A", "B") == ["Accepted", None]
    if then == "room":
        assert told(bench) == [CONFLICT], "it stands: nothing has changed"


# --- LocalAuthListEnabled ------------------------------------------------------------------------------


def test_a_list_that_is_switched_off_is_kept() -> None:
    bench = ready({"TAG": ACCEPTED}, ocpp=PRE)
    configure(bench, "LocalAuthListEnabled", "false")
    assert (version(bench), send(bench, 6, {})) == (-1, "NotSupported")
    bench.charge()
    assert asked(bench) == ["TAG"]
    assert cached(bench) == ["tag"], "while the list does not count, nobody is on it"
    configure(bench, "LocalAuthListEnabled", "true")
    assert version(bench) == 5


def test_a_list_from_before_the_profile_was_left_out_does_not_count() -> None:
    store = ready({"TAG": ACCEPTED}).store
    bench = ready(store=store, ocpp=PRE | WITHOUT)
    bench.charge()
    assert asked(bench) == ["TAG"]


# --- LocalListConflict --------------------------------------------------------

CONFLICT = ("Available", "LocalListConflict", "A: listed otherwise")
NO_ERROR = ("Available", "NoError", "")


def conflict(bench: Bench, id_tag: str) -> None:
    """The central system refuses an identifier that it had listed as valid."""
    answer(bench, "Authorize", "Invalid")
    bench.swipe(id_tag)


@pytest.mark.parametrize("action", ["Authorize", "StartTransaction", "StopTransaction"])
@pytest.mark.parametrize(
    ("info", "judged", "contradicts"),
    [
        pytest.param(ACCEPTED, "Blocked", True, id="valid-refused"),
        pytest.param({"status": "ConcurrentTx"}, "Invalid", True, id="concurrent-refused"),
        pytest.param(BLOCKED, "Accepted", True, id="not-valid-accepted"),
        pytest.param({**ACCEPTED, "expiryDate": LONG_AGO}, "Accepted", True, id="expired-accepted"),
        pytest.param({**ACCEPTED, "expiryDate": LONG_AGO}, "Expired", False, id="expired"),
        pytest.param(ACCEPTED, "ConcurrentTx", False, id="valid-concurrent"),
        pytest.param(BLOCKED, "Invalid", False, id="not-valid-refused"),
        pytest.param(ACCEPTED, "Accepted", False, id="same"),
    ],
)
def test_a_contradiction_is_told(action: str, info: dict[str, Any], judged: str, contradicts: bool) -> None:
    bench = ready({"A": info}, ocpp={"StopTransactionOnInvalidId": "false"})
    if action != "Authorize":
        bench.csms.answers["StartTransaction"] = lambda payload: {
            "transactionId": 7,
            "idTagInfo": {"status": "Accepted" if in_order(info) else "Blocked"},
        }
    answer(bench, action, judged)
    bench.plug_in()
    if action == "Authorize":
        bench.swipe("A")
    else:
        bench.call("RemoteStartTransaction", {"idTag": "A", "connectorId": 1})
        bench.advance(10)
    if action == "StopTransaction":
        assert told(bench) == []
        bench.swipe("A")
        bench.advance(1)
    assert len(bench.sent(action)) == 1
    assert told(bench) == ([CONFLICT] if contradicts else [])


def in_order(info: dict[str, Any]) -> bool:
    return info["status"] in ("Accepted", "ConcurrentTx") and "expiryDate" not in info


def test_the_last_identifier_is_told_once_and_charging_goes_on() -> None:
    bench = ready({"A": ACCEPTED, "B": ACCEPTED, "C": ACCEPTED}, connectors=2)
    bench.charge("C", 1)
    for tag in ("A", "A", "B", "A"):
        conflict(bench, tag)
    assert [text for _, _, text in told(bench)] == [
        "A: listed otherwise",
        "B: listed otherwise",
        "A: listed otherwise",
    ]
    assert bench.local_status(1) == "Charging"
    assert bench.statuses(0) == ["Available"] * 4


@pytest.mark.parametrize("update", ["Full", "Differential"])
def test_another_list_settles_the_conflict(update: str) -> None:
    bench = ready({"A": ACCEPTED})
    conflict(bench, "A")
    assert send(bench, 5, {"A": BLOCKED}, "Differential") == "VersionMismatch"
    assert told(bench) == [CONFLICT]
    assert send(bench, 6, {"A": BLOCKED}, update) == "Accepted"
    assert told(bench) == [CONFLICT, NO_ERROR]
    conflict(bench, "A")
    assert told(bench) == [CONFLICT, NO_ERROR]


def test_a_list_that_is_switched_off_contradicts_nothing() -> None:
    bench = ready({"A": ACCEPTED})
    conflict(bench, "A")
    configure(bench, "LocalAuthListEnabled", "false")
    assert told(bench) == [CONFLICT, NO_ERROR]
    conflict(bench, "A")
    assert told(bench) == [CONFLICT, NO_ERROR]


def test_a_restart_forgets_the_conflict_and_a_reconnection_does_not() -> None:
    bench = ready({"A": ACCEPTED})
    conflict(bench, "A")
    bench.disconnect()
    bench.connect()
    assert told(bench) == [CONFLICT], "it is known already"
    bench.restart()
    bench.connect()
    assert told(bench) == [CONFLICT, NO_ERROR]


def test_the_faults_of_the_station_and_the_conflict_do_not_disturb_each_other() -> None:
    bench = ready({"A": ACCEPTED})
    conflict(bench, "A")
    for faults in ((Fault(FaultKind.OVER_TEMPERATURE),), ()):
        with bench.cp.turn:
            bench.cp.connectors.faults = faults
            bench.cp.statuses.refresh(0)
        bench.advance(0)
    assert told(bench) == [CONFLICT, ("Faulted", "HighTemperature", ""), CONFLICT]
