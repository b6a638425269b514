"""What diagnostics say, what they keep to themselves, and how much of the past they remember."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from chargepoint.config import StationConfig
from chargepoint.diagnostics import (
    LONGEST_LINE,
    MOST_CHARACTERS,
    MOST_LINES,
    RecentLog,
    without_credentials,
)
from chargepoint.domain.ports import Store
from chargepoint.station import Station, assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore, SqliteStore
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import load_vehicle
from tests.bench.stations import START, URL, register

PASSWORD = "correct-horse-battery-staple"


def station(store: Store | None = None, *, keeps_log: bool = True, **config: Any) -> Station:
    """A station that is assembled and powered up, without a link."""
    clock = SteppedClock(START)
    type = StationType(StationConfig.model_validate(config), keeps_log=keeps_log)
    made = assemble(type, store or MemoryStore(), clock, clock, url=URL, identity="CP001", seed=1)
    with made.charge_point.turn:
        made.charge_point.start()
    return made


def registered(**config: Any) -> Station:
    """One that its central system has accepted."""
    made = station(**config)
    register(made)
    return made


def text(of: Station, since: float | None = None, until: float | None = None) -> str:
    return of.outside.log_source.diagnostics(since, until).decode()


def section(of: Station, title: str, **window: float) -> list[str]:
    """The lines under a title."""
    return text(of, **window).split(f"\n== {title} ==\n")[1].split("\n\n==")[0].splitlines()


class TestState:
    def test_head(self) -> None:
        made = registered(station={"serial_number": "S-4711", "firmware_version": "3.2.1"})
        head = text(made, START, START + 60).split("\n\n")[0].splitlines()
        assert head[0] == "Diagnostics of CP001"
        assert {
            "log from: 2026-01-01T00:00:00.000Z",
            "log until: 2026-01-01T00:01:00.000Z",
            "chargePointSerialNumber: S-4711",
            "firmwareVersion: 3.2.1",
            "start of the software: number 1",
            "registration: Accepted, online",
        } <= set(head)

    def test_connectors_queue_and_events(self) -> None:
        made = station(connectors=[{}, {}], behaviour={"transactions_before_accepted": True})
        made.charge_point.configuration.set_service("LocalAuthorizeOffline", "true")
        evse = made.evses[1]
        assert isinstance(evse, SimulatedEvse)
        evse.plug_in(load_vehicle("compact"))
        lines = section(made, "Connectors")
        assert [line.split(",")[0] for line in lines] == ["0: Available", "1: Available", "2: Preparing"]
        assert [word in lines[2] for word in ("plugged", "0 Wh", "no transaction")] == [True] * 3
        assert section(made, "Waiting for delivery") == ["transaction messages: 0", "security events: 1"]

    def test_a_transaction_that_waits_for_its_number(self) -> None:
        made = station(behaviour={"transactions_before_accepted": True, "free_charging_id_tag": "FREE"},
                       ocpp={"AllowOfflineTxForUnknownId": "true"})  # fmt: skip
        evse = made.evses[0]
        assert isinstance(evse, SimulatedEvse)
        evse.plug_in(load_vehicle("compact"))
        advance(made, 10)
        assert "transaction without a number yet since 2026" in section(made, "Connectors")[1]
        assert section(made, "Waiting for delivery")[:2] == [
            "transaction messages: 1",
            "  1: start, 0 attempts failed",
        ]

    def test_configuration_without_secrets(self) -> None:
        made = registered(csms={"authorization_key": PASSWORD})
        assert "HeartbeatInterval = 86400" in section(made, "Configuration")
        assert not any("AuthorizationKey" in line for line in section(made, "Configuration"))

    def test_charging_profiles(self) -> None:
        made = registered()
        call(made, "SetChargingProfile", {
            "connectorId": 0,
            "csChargingProfiles": {
                "chargingProfileId": 5, "stackLevel": 1, "chargingProfilePurpose": "ChargePointMaxProfile",
                "chargingProfileKind": "Absolute",
                "chargingSchedule": {
                    "startSchedule": "2026-01-01T00:00:00Z", "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.5}],
                },
            },
        })  # fmt: skip
        assert section(made, "Charging profiles") == [
            "5: connector 0, ChargePointMaxProfile, Absolute, level 1, 0 s: 16.5 A"
        ]

    def test_a_value_cannot_pass_for_another_line(self) -> None:
        made = station(station={"model": "Wall\nregistration: Rejected"})
        assert "chargePointModel: Wall registration: R" in text(made)  # 20 characters of it
        assert "\nregistration: R\n" not in text(made)


def advance(made: Station, seconds: float) -> None:
    assert isinstance(made.clock, SteppedClock)
    made.clock.advance(seconds)


def call(made: Station, action: str, payload: Any, message_id: str = "c-1") -> None:
    made.frame_received(json.dumps([2, message_id, action, payload]).encode())


class TestRecentLog:
    def test_frames_and_events_both_ways(self) -> None:
        made = registered()
        call(made, "Reset", {"type": "Nonsense"})
        lines = [line.partition(" ")[2] for line in section(made, "Recent log")]
        assert lines[0].startswith("status ")
        assert any(line.startswith('-> [2,"') and "BootNotification" in line for line in lines)
        assert '<- [2, "c-1", "Reset", {"type": "Nonsense"}]' in lines
        assert any(line.startswith('-> [4,"c-1","PropertyConstraintViolation"') for line in lines)
        assert 'connection {"online":true}' in lines

    def test_only_between_two_moments(self) -> None:
        made = registered()
        advance(made, 1000)
        call(made, "ClearCache", {})
        window = {"since": START + 1000, "until": START + 1000}
        assert all(line.startswith("2026-01-01T00:16:40") for line in section(made, "Recent log", **window))
        assert any("ClearCache" in line for line in section(made, "Recent log", **window))
        assert section(made, "Recent log", since=START + 2000) == []
        assert section(made, "Recent log", until=START - 1) == []

    def test_a_station_of_a_fleet_keeps_none(self) -> None:
        made = registered(keeps_log=False)
        assert section(made, "Recent log") == ["(this station keeps none)"]
        assert text(made).startswith("Diagnostics of CP001")

    def test_moments_follow_a_correction_of_the_clock(self) -> None:
        made = station()
        made.charge_point.time.follow = True
        with made.charge_point.turn:
            made.charge_point.time.correct(START + 3600)
        assert all(line.startswith("2026-01-01T01:00:00") for line in section(made, "Recent log"))

    def test_bounded_in_lines(self) -> None:
        log = RecentLog()
        for n in range(3 * MOST_LINES):
            log.add(n, str(n))
        assert [line for _, line in log] == [str(n) for n in range(2 * MOST_LINES, 3 * MOST_LINES)]

    def test_bounded_in_characters(self) -> None:
        log = RecentLog()
        for n in range(500):
            log.add(n, "x" * 10_000)
        assert sum(len(line) for _, line in log) <= MOST_CHARACTERS
        assert [at for at, _ in log][-1] == 499

    def test_a_huge_frame_is_cut(self) -> None:
        made = registered()
        call(made, "DataTransfer", {"vendorId": "V", "data": "x" * 1_000_000})
        lines = section(made, "Recent log")
        assert max(map(len, lines)) < LONGEST_LINE + 100
        assert any("DataTransfer" in line and line.endswith(" characters)") for line in lines)


class TestSecrets:
    def test_the_key_never_shows(self) -> None:
        made = registered(csms={"authorization_key": PASSWORD})
        call(made, "ChangeConfiguration", {"key": "AuthorizationKey", "value": PASSWORD})
        call(made, "ChangeConfiguration", {"value": PASSWORD, "key": "authorizationkey"}, "c-2")
        made.frame_received(f'[2,"x","ChangeConfiguration",{{"key":"AuthorizationKey","{PASSWORD}'.encode())
        made.charge_point.notify("error", message=f"AuthorizationKey is {PASSWORD}")
        assert PASSWORD not in text(made)

    @pytest.mark.parametrize("spelling", [
        "ftp://user:{}@h/in", "ftp:\\/\\/user:{}@h\\/in", "https://h/up?token={}", "https://{}@h/",
    ])  # fmt: skip
    def test_nor_what_the_address_of_an_upload_holds(self, spelling: str) -> None:
        made = registered(behaviour={"transfers": "simulated"})
        location = spelling.format(PASSWORD)
        made.frame_received(f'[2,"g-1","GetDiagnostics",{{"location":"{location}"}}]'.encode())
        assert "GetDiagnostics" in text(made)
        assert PASSWORD not in text(made)

    def test_nor_when_a_long_frame_is_cut_in_the_middle_of_it(self) -> None:
        made = registered()
        for length in range(LONGEST_LINE - 150, LONGEST_LINE, 7):
            filling = {"vendorId": "x" * length, "data": f"ftp://user:{PASSWORD}@h/in"}
            call(made, "DataTransfer", filling)
        assert "orrect" not in text(made)

    @pytest.mark.parametrize(
        ("said", "shown"),
        [
            ("see http://h/a?b=c and ftp://u:p@h/x", "see http://h/a?*** and ftp://***@h/x"),
            ('"ws://h/CP001"', '"ws://h/CP001"'),
            ("a@b ://", "a@b ://"),
            ("ftp://u:p/w@h/x?y", "ftp://***@h/x?***"),
        ],
    )
    def test_masking(self, said: str, shown: str) -> None:
        assert without_credentials(said) == shown


@pytest.mark.search
def test_a_store_that_lost_the_security_log_says_so(tmp_path: Path) -> None:
    """SecurityLogWasCleared, once, and only if something is missing."""
    path = tmp_path / "CP001.sqlite3"

    async def life() -> list[str]:
        store = SqliteStore(path)
        clock = SteppedClock(START)
        made = assemble(StationType(StationConfig()), store, clock, clock, url=URL, identity="CP001", seed=1)
        made.start()
        kinds = [kind for _, kind, _ in made.charge_point.security_events.log.entries()]
        made.close()
        return kinds

    def damage() -> None:
        path.write_bytes(b"this was a database once" * 1000)

    assert asyncio.run(life()) == ["StartupOfTheDevice"]
    assert asyncio.run(life()) == ["StartupOfTheDevice"] * 2
    damage()
    assert asyncio.run(life()) == ["SecurityLogWasCleared", "StartupOfTheDevice"]
    assert asyncio.run(life()) == ["SecurityLogWasCleared", "StartupOfTheDevice", "StartupOfTheDevice"]
