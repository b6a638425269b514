"""The three smart charging messages and moments on the wire: OCPP 1.6 §3.13, §3.15, §5.4, §5.7, §5.11, §5.16.

Errata 3.24-3.26, 3.38, 3.39, 3.41, 3.42, 3.44, 3.57.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp.exceptions import PropertyConstraintViolationError
from ocpp.v16 import call

from chargepoint.domain.limiter import bound
from chargepoint.domain.limits import Hardware, Period, Profile
from chargepoint.domain.profiles import ProfileBook
from chargepoint.domain.transaction import Transaction
from chargepoint.ocpp16.smart_charging import SmartCharging
from chargepoint.ocpp16.times import format_time, parse_time
from chargepoint.store import MemoryStore

NOW = parse_time("2026-03-29T10:00:00.4Z")
MAXIMUM, DEFAULT, TX = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"


@dataclass
class Keys:
    max_stack_level: int = 20
    max_periods: int = 5
    max_profiles_installed: int = 3
    allowed_units: tuple[str, ...] = ("A", "W")


@dataclass
class Switches:
    set_profile_bad_connector: str = "callerror"
    absolute_without_start: str = "accept"
    relative_max_profile: str = "accept"
    composite_start_schedule: str = "omit"
    expired_profile: str = "accept"
    remote_start_profile_transaction_id: str = "reject"


@dataclass
class Station:
    """Two connectors; a transaction runs on the first, known to the central system as 77."""

    count: int = 2
    book: ProfileBook = field(default_factory=lambda: ProfileBook(MemoryStore()))
    transactions: dict[int, Transaction] = field(
        default_factory=lambda: {1: Transaction("t1", 1, "TAG", None, NOW - 100, 0, csms_id=77)}
    )
    changes: int = 0
    notes: list[str] = field(default_factory=list)

    def utc(self) -> float:
        return NOW

    def hardware(self, connector_id: int) -> Hardware:
        return Hardware(32.0)

    def charging(self, connector_id: int) -> Transaction | None:
        return self.transactions.get(connector_id)

    def charging_since(self, connector_id: int) -> float:
        return self.transactions[connector_id].started_at

    def installation(self, connector_id: int) -> None:
        return None

    def profiles_changed(self) -> None:
        self.changes += 1

    def note(self, text: str) -> None:
        self.notes.append(text)


def smart(station: Station, keys: Keys | None = None, /, **switches: str) -> SmartCharging:
    return SmartCharging(station, keys or Keys(), Switches(**switches))


def raw(purpose: str = DEFAULT, /, **given: Any) -> dict[str, Any]:
    """A profile from the wire; what belongs to its schedule is sorted in there, None leaves a field out."""
    schedule = {
        "charging_rate_unit": "A",
        "charging_schedule_period": [{"start_period": 0, "limit": 10}],
        "start_schedule": "2026-03-29T10:00:00Z",
        "duration": None,
        "min_charging_rate": None,
    }
    profile = {
        "charging_profile_id": 1,
        "stack_level": 0,
        "charging_profile_purpose": purpose,
        "charging_profile_kind": "Absolute",
    }
    for name, value in given.items():
        (schedule if name in schedule else profile)[name] = value
    profile["charging_schedule"] = {name: value for name, value in schedule.items() if value is not None}
    return profile


def periods(*steps: tuple[Any, ...]) -> list[dict[str, Any]]:
    names = ("start_period", "limit", "number_phases")
    return [dict(zip(names, step, strict=False)) for step in steps]


def put(handler: SmartCharging, connector_id: int, profile: dict[str, Any]) -> str:
    return str(handler.on_set_charging_profile(call.SetChargingProfile(connector_id, profile)).status)


# --- SetChargingProfile -------------------------------------------------------------------------------------

NO_START = {"start_schedule": None}
RELATIVE = {"charging_profile_kind": "Relative", "start_schedule": None}
DAILY = {"charging_profile_kind": "Recurring", "recurrency_kind": "Daily"}


@pytest.mark.parametrize(
    ("connector_id", "profile", "switches", "status"),
    [
        (1, raw(stack_level=20), {}, "Accepted"),
        (1, raw(stack_level=21), {}, "Rejected"),
        (1, raw(stack_level=-1), {}, "Rejected"),
        (1, raw(charging_schedule_period=periods(*((n, 6) for n in range(5)))), {}, "Accepted"),
        (1, raw(charging_schedule_period=periods(*((n, 6) for n in range(6)))), {}, "Rejected"),
        (1, raw(charging_schedule_period=[]), {}, "Rejected"),
        (1, raw(charging_schedule_period=periods((1, 6))), {}, "Rejected"),
        (1, raw(charging_schedule_period=periods((0, 6), (60, 7), (60, 8))), {}, "Rejected"),
        (1, raw(charging_schedule_period=periods((0, 6), (60, 7), (50, 8))), {}, "Rejected"),
        (1, raw(charging_schedule_period=periods((0, -0.1))), {}, "Rejected"),
        (1, raw(charging_schedule_period=periods((0, float("nan")))), {}, "Rejected"),
        (1, raw(charging_schedule_period=periods((0, 10**400))), {}, "Rejected"),
        (1, raw(charging_schedule_period=periods((0, 6), (10**400, 7))), {}, "Rejected"),
        (1, raw(charging_schedule_period=periods((0.0, 6.5, 3.0), (60.0, 0))), {}, "Accepted"),
        (1, raw(charging_schedule_period=periods((0, 6, 0))), {}, "Rejected"),
        (1, raw(charging_schedule_period=periods((0, 6, 4))), {}, "Rejected"),
        (1, raw(duration=0), {}, "Rejected"),
        (1, raw(duration=-5), {}, "Rejected"),
        (1, raw(duration=10**400), {}, "Rejected"),
        (1, raw(min_charging_rate=-1), {}, "Rejected"),
        (1, raw(**DAILY), {}, "Accepted"),
        (1, raw(**DAILY, duration=200_000), {}, "Accepted"),
        (1, raw(**DAILY, start_schedule=None), {}, "Rejected"),
        (1, raw(charging_profile_kind="Recurring"), {}, "Rejected"),
        (1, raw(**NO_START), {}, "Accepted"),
        (1, raw(**NO_START), {"absolute_without_start": "reject"}, "Rejected"),
        (1, raw(), {"absolute_without_start": "reject"}, "Accepted"),
        (1, raw(**RELATIVE), {"absolute_without_start": "reject"}, "Accepted"),
        (1, raw(recurrency_kind="Daily"), {}, "Accepted"),
        (1, raw(charging_profile_kind="Relative"), {}, "Accepted"),
        (1, raw(transaction_id=99), {}, "Accepted"),
        (0, raw(MAXIMUM), {}, "Accepted"),
        (1, raw(MAXIMUM), {}, "Rejected"),
        (0, raw(MAXIMUM, **RELATIVE), {}, "Accepted"),
        (0, raw(MAXIMUM, **RELATIVE), {"relative_max_profile": "reject"}, "Rejected"),
        (0, raw(MAXIMUM, **NO_START), {"relative_max_profile": "reject"}, "Accepted"),
        (0, raw(**RELATIVE), {"relative_max_profile": "reject"}, "Accepted"),
        (0, raw(), {}, "Accepted"),
        (0, raw(TX), {}, "Rejected"),
        (2, raw(TX), {}, "Rejected"),
        (1, raw(TX), {}, "Accepted"),
        (1, raw(TX, transaction_id=77), {}, "Accepted"),
        (1, raw(TX, transaction_id=78), {}, "Rejected"),
        (1, raw(valid_from="2026-04-01T00:00:00Z", valid_to="2026-04-02T00:00:00Z"), {}, "Accepted"),
        (1, raw(valid_from="2026-04-01T00:00:00Z", valid_to="2026-04-01T00:00:00Z"), {}, "Rejected"),
        (1, raw(valid_to="2026-03-29T09:00:00Z"), {}, "Accepted"),
        (1, raw(valid_to="2026-03-29T09:00:00Z"), {"expired_profile": "reject"}, "Rejected"),
        (1, raw(valid_to="2026-03-29T11:00:00Z"), {"expired_profile": "reject"}, "Accepted"),
        (3, raw(), {"set_profile_bad_connector": "rejected"}, "Rejected"),
    ],
    ids=["level-20", "level-21", "level-negative", "5-periods", "6-periods", "no-period", "first-not-at-0",
         "same-start-twice", "starts-descend", "limit-negative", "limit-nan", "limit-beyond-float",
         "start-beyond-time", "numbers-as-floats", "no-phases", "4-phases", "duration-0", "duration-negative",
         "duration-beyond-time", "minimum-negative", "daily", "daily-too-long-is-cut", "daily-without-start",
         "recurring-without-kind", "absolute-without-start", "absolute-without-start-refused",
         "absolute-with-start", "relative-needs-no-start", "recurrency-ignored", "start-ignored",
         "transaction-ignored", "maximum", "maximum-at-connector", "maximum-relative",
         "maximum-relative-refused", "maximum-without-start", "relative-default", "default-for-all",
         "tx-profile-at-0", "tx-profile-without-transaction", "tx-profile", "tx-profile-named",
         "tx-profile-other-transaction", "validity", "validity-empty", "expired", "expired-refused",
         "not-yet-expired", "unknown-connector-refused"],
)  # fmt: skip
def test_set(connector_id: int, profile: dict[str, Any], switches: dict[str, str], status: str) -> None:
    """Only what is accepted is installed, and the connectors hear of it exactly then."""
    station = Station()
    assert put(smart(station, **switches), connector_id, profile) == status
    accepted = status == "Accepted"
    assert (len(station.book), station.changes) == (accepted, accepted)
    assert accepted or station.notes


@pytest.mark.parametrize("connector_id", [-1, 3])
def test_set_at_an_unknown_connector(connector_id: int) -> None:
    station = Station()
    with pytest.raises(PropertyConstraintViolationError):
        put(smart(station), connector_id, raw())
    assert not station.book.all


@pytest.mark.parametrize("name", ["valid_from", "valid_to", "start_schedule"])
def test_set_with_a_moment_that_is_none(name: str) -> None:
    with pytest.raises(PropertyConstraintViolationError):
        put(smart(Station()), 1, raw(**{name: "tomorrow"}))


def test_set_in_a_unit_that_is_not_offered() -> None:
    keys = Keys(allowed_units=("A",))
    assert put(smart(Station(), keys), 1, raw(charging_rate_unit="W")) == "Rejected"
    assert put(smart(Station(), keys), 1, raw(charging_rate_unit="A")) == "Accepted"


def test_set_for_a_transaction_the_central_system_has_not_numbered() -> None:
    station = Station()
    station.transactions[1].csms_id = None
    assert put(smart(station), 1, raw(TX, transaction_id=77)) == "Rejected"
    assert put(smart(station), 1, raw(TX)) == "Accepted"
    assert [profile.transaction_key for profile in station.book] == ["t1"]


def test_set_keeps_every_field() -> None:
    station = Station()
    given = raw(
        TX, charging_profile_id=5, stack_level=2, **DAILY, valid_from="2026-03-01T00:00:00+01:00",
        valid_to="2027-01-01T00:00:00Z", transaction_id=77, charging_rate_unit="W", duration=3600,
        min_charging_rate=4140, charging_schedule_period=periods((0, 11000.5), (60, 7360, 1)),
    )  # fmt: skip
    assert put(smart(station), 1, given) == "Accepted"
    (found,) = station.book
    assert (found.id, found.connector_id, found.stack_level, found.purpose) == (5, 1, 2, "TxProfile")
    assert (found.kind, found.recurrency, found.transaction_key) == ("Recurring", "Daily", "t1")
    assert (found.valid_from_at, found.valid_to_at) == (
        parse_time("2026-02-28T23:00:00Z"),
        parse_time("2027-01-01T00:00:00Z"),
    )
    schedule = found.schedule
    assert schedule.periods == (Period(0, 11000.5), Period(60, 7360.0, 1))
    assert (schedule.unit, schedule.duration_s, schedule.minimum) == ("W", 3600, 4140.0)
    assert (schedule.start_at, found.installed_at) == (parse_time("2026-03-29T10:00:00Z"), NOW)


def test_fields_without_meaning_are_left_out_and_noted() -> None:
    station = Station()
    put(smart(station), 1, raw(charging_profile_kind="Relative", recurrency_kind="Daily", transaction_id=77))
    (found,) = station.book
    assert (found.recurrency, found.schedule.start_at, found.transaction_key) == (None, None, None)
    assert all(word in station.notes[0] for word in ("recurrencyKind", "startSchedule", "transactionId"))


def test_a_replacement_does_not_count_as_one_more() -> None:
    station = Station()
    handler = smart(station)
    for number in (1, 2, 3):
        assert put(handler, 1, raw(charging_profile_id=number, stack_level=number)) == "Accepted"
    assert put(handler, 1, raw(charging_profile_id=4, stack_level=4)) == "Rejected"
    assert put(handler, 2, raw(charging_profile_id=3, stack_level=4)) == "Accepted"
    assert put(handler, 1, raw(charging_profile_id=4, stack_level=1)) == "Accepted"
    assert sorted(profile.id for profile in station.book) == [2, 3, 4]
    fewer = smart(station, Keys(max_profiles_installed=1))
    assert put(fewer, 1, raw(charging_profile_id=4, stack_level=1)) == "Accepted"
    assert put(fewer, 1, raw(charging_profile_id=5, stack_level=5)) == "Rejected"


# --- ClearChargingProfile -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "status", "left"),
    [
        ({}, "Accepted", []),
        ({"id": 2}, "Accepted", [1, 3]),
        ({"id": 2, "connector_id": 0, "stack_level": 7}, "Accepted", [1, 3]),
        ({"id": 9}, "Unknown", [1, 2, 3]),
        ({"connector_id": 0}, "Accepted", [2, 3]),
        ({"charging_profile_purpose": TX}, "Accepted", [1, 2]),
        ({"stack_level": 1}, "Accepted", [1, 3]),
        ({"connector_id": 1, "charging_profile_purpose": DEFAULT, "stack_level": 0}, "Unknown", [1, 2, 3]),
    ],
    ids=["all", "id", "id-only", "unknown-id", "connector-0", "purpose", "level", "no-match"],
)
def test_clear(filters: dict[str, Any], status: str, left: list[int]) -> None:
    station = Station()
    handler = smart(station)
    put(handler, 0, raw(MAXIMUM, charging_profile_id=1))
    put(handler, 1, raw(charging_profile_id=2, stack_level=1))
    put(handler, 1, raw(TX, charging_profile_id=3))
    answer = handler.on_clear_charging_profile(call.ClearChargingProfile(**filters))
    assert (answer.status, sorted(profile.id for profile in station.book)) == (status, left)
    assert station.changes == 3 + (status == "Accepted")


def test_clear_of_nothing() -> None:
    assert smart(Station()).on_clear_charging_profile(call.ClearChargingProfile()).status == "Unknown"


# --- GetCompositeSchedule -----------------------------------------------------------------------------------


def asked(handler: SmartCharging, connector_id: int, duration_s: int, unit: Any = None) -> Any:
    """The answer to GetCompositeSchedule."""
    return handler.on_get_composite_schedule(call.GetCompositeSchedule(connector_id, duration_s, unit))


def test_composite_schedule() -> None:
    """TC_066 with its profiles in both units; evaluated at 10:00:00.4, reported from 10:00:00 on."""
    station = Station()
    handler = smart(station)
    put(handler, 0, raw(MAXIMUM, charging_profile_id=1))
    steps = periods((0, 6 * 690), (60, 6900), (120, 8 * 690), (180, 25 * 690), (260, 8 * 690))
    put(handler, 1, raw(charging_profile_id=2, duration=300, charging_rate_unit="W",
                        charging_schedule_period=steps))  # fmt: skip
    steps = periods((0, 8), (50, 11), (140, 16), (200, 6), (240, 12))
    put(handler, 1, raw(TX, charging_profile_id=3, duration=260, charging_schedule_period=steps))
    answer = asked(handler, 1, 400, "A")
    assert (answer.status, answer.connector_id) == ("Accepted", 1)
    assert answer.schedule_start == "2026-03-29T10:00:00.000Z"
    assert answer.charging_schedule == {
        "duration": 400,
        "charging_rate_unit": "A",
        "charging_schedule_period": periods(
            (0, 8, 3), (50, 10, 3), (200, 6, 3), (240, 10, 3), (260, 8, 3), (300, 10, 3)
        ),
    }


@pytest.mark.parametrize(
    ("request_", "units", "found"),
    [
        ((3, 60), "AW", None),
        ((-1, 60), "AW", None),
        ((1, 0), "AW", None),
        ((1, -1), "AW", None),
        ((1, 60, "W"), "A", None),
        ((1, 60, "W"), "AW", ("W", 60, 22_080)),
        ((1, 60), "AW", ("A", 60, 32)),
        ((1, 60), "W", ("W", 60, 22_080)),
        ((0, 60), "AW", ("A", 60, 64)),
        ((1, 10**12), "AW", ("A", 365 * 86_400, 32)),
    ],
    ids=["unknown", "negative", "no-duration", "negative-duration", "unit-not-offered", "watts", "first-unit",
         "only-unit", "station", "a-year-at-most"],
)  # fmt: skip
def test_composite_schedule_without_profiles(
    request_: tuple[Any, ...], units: str, found: tuple[str, int, float] | None
) -> None:
    handler = smart(Station(), Keys(allowed_units=tuple(units)))
    answer = asked(handler, *request_)
    if found is None:
        assert (answer.status, answer.connector_id, answer.charging_schedule) == ("Rejected", None, None)
    else:
        schedule = answer.charging_schedule
        (step,) = schedule["charging_schedule_period"]
        assert (schedule["charging_rate_unit"], schedule["duration"], step["limit"]) == found


def test_composite_schedule_may_repeat_its_start() -> None:
    handler = smart(Station(), composite_start_schedule="include")
    answer = asked(handler, 1, 60)
    assert answer.charging_schedule["start_schedule"] == answer.schedule_start


def test_composite_schedule_knows_when_the_transaction_started() -> None:
    """A Relative profile counts from there; on the idle connector as if one started now."""
    handler = smart(Station())
    steps = periods((0, 6), (130, 9))
    put(handler, 0, raw(**RELATIVE, charging_schedule_period=steps))
    for connector_id, start in ((1, 30), (2, 130)):
        answer = asked(handler, connector_id, 200)
        assert answer.charging_schedule["charging_schedule_period"] == periods((0, 6, 3), (start, 9, 3))


# --- RemoteStartTransaction ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "switches", "accepted"),
    [
        (raw(TX), {}, True),
        (raw(DEFAULT), {}, False),
        (raw(MAXIMUM), {}, False),
        (raw(TX, transaction_id=5), {}, False),
        (raw(TX, transaction_id=5), {"remote_start_profile_transaction_id": "ignore"}, True),
        (raw(TX, stack_level=21), {}, False),
        (raw(TX, charging_schedule_period=periods((5, 6))), {}, False),
        (raw(TX, valid_to="soon"), {}, False),
    ],
    ids=[
        "tx-profile",
        "default",
        "maximum",
        "transaction",
        "transaction-ignored",
        "level",
        "period",
        "moment",
    ],
)
def test_profile_of_a_remote_start(profile: dict[str, Any], switches: dict[str, str], accepted: bool) -> None:
    station = Station()
    found = smart(station, **switches).check_remote_start_profile(profile)
    assert (found is not None) == accepted
    assert accepted or station.notes
    assert not station.book.all


def test_profile_of_a_remote_start_is_bound_to_its_transaction() -> None:
    """It then stacks with and is replaced by others like any TxProfile (errata 3.42)."""
    station = Station(transactions={})
    handler = smart(station)
    profile = handler.check_remote_start_profile(raw(TX))
    assert isinstance(profile, Profile)
    station.transactions[2] = Transaction("t9", 2, "TAG", None, NOW, 0)
    station.book.install(bound(profile, station.transactions[2]))
    assert [(p.connector_id, p.transaction_key) for p in station.book] == [(2, "t9")]
    put(handler, 2, raw(TX, charging_profile_id=2, stack_level=1))
    assert sorted(p.id for p in station.book) == [1, 2]
    put(handler, 2, raw(TX, charging_profile_id=3))
    assert sorted(p.id for p in station.book) == [2, 3]


# --- moments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-03-29T14:05:06Z", 1_774_793_106.0),
        ("2026-03-29t14:05:06z", 1_774_793_106.0),
        ("2026-03-29 14:05:06", 1_774_793_106.0),
        ("2026-03-29T14:05", 1_774_793_100.0),
        ("2026-03-29T16:05:06+02:00", 1_774_793_106.0),
        ("2026-03-29T16:05:06+0200", 1_774_793_106.0),
        ("2026-03-29T16:05:06+02", 1_774_793_106.0),
        ("2026-03-29T08:35:06-05:30", 1_774_793_106.0),
        ("2026-03-30T00:00:00+14:00", 1_774_778_400.0),
        ("2026-03-29T14:05:06.5Z", 1_774_793_106.5),
        ("2026-03-29T14:05:06,25Z", 1_774_793_106.25),
        ("2026-03-29T14:05:06.1234567890123456789+00:00", 1_774_793_106.123_456_7),
        ("2016-12-31T23:59:60Z", 1_483_228_800.0),
        ("2024-02-29T12:00:00Z", 1_709_208_000.0),
        ("2100-12-31T23:59:59Z", 4_133_980_799.0),
    ],
)
def test_parse(text: str, epoch: float) -> None:
    assert parse_time(text) == pytest.approx(epoch, abs=1e-6, rel=0)


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-03-29", "14:05:06Z", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
     "2026-03-29T24:00:00Z", "2026-03-29T14:60:00Z", "2026-03-29T14:05:61Z", "2026-03-29T14:05:06.Z",
     "2026-03-29T14:05:06+25:00", "2026-03-29T14:05:06Zx", " 2026-03-29T14:05:06Z", "٢٠٢٦-03-29T14:05:06Z"],
)  # fmt: skip
def test_parse_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_time(text)


@pytest.mark.parametrize(
    ("epoch", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_774_793_106.123, "2026-03-29T14:05:06.123Z"),
        (1_774_793_106.9996, "2026-03-29T14:05:07.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (4_133_980_799.0, "2100-12-31T23:59:59.000Z"),
    ],
)
def test_format(epoch: float, text: str) -> None:
    assert format_time(epoch) == text


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2100, 12, 30)),
    st.integers(-23 * 60, 23 * 60),
    st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]),
)
def test_moments_agree_with_the_library(moment: datetime, offset_min: int, precision: str) -> None:
    """Written at any offset and precision, read as what datetime counts; to the millisecond and back."""
    aware = moment.replace(tzinfo=UTC)
    if precision == "seconds":
        aware = aware.replace(microsecond=0)
    elif precision == "milliseconds":
        aware = aware.replace(microsecond=aware.microsecond // 1000 * 1000)
    text = aware.astimezone(timezone(timedelta(minutes=offset_min))).isoformat(timespec=precision)
    epoch = parse_time(text)
    assert epoch == pytest.approx(aware.timestamp(), abs=1e-6, rel=0)
    rounded = round(epoch * 1000) / 1000
    assert parse_time(format_time(epoch)) == pytest.approx(rounded, abs=1e-6, rel=0)
