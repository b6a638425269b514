"""UpdateFirmware (OCPP 1.6 §5.19, §8.1; errata 3.12, 3.47 to 3.50, 3.63; TC_044)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chargepoint.domain.outside import TransferFailed
from chargepoint.ocpp16.firmware_management.job import file_version, presentable, retry_interval_s
from chargepoint.ocpp16.times import format_time
from tests.unit.ocpp16.bench import START
from tests.unit.ocpp16.firmware import BROKEN, URL, FirmwareBench, ready
from tests.unit.ocpp16.test_power_loss import Disk

WHOLE = ["Downloading", "Downloaded", "Installing", "Installed"]
NOT_DOWNLOADED = ["Downloading", "DownloadFailed"]
REJECTED = {"status": "Rejected"}


def actions_since(bench: FirmwareBench, n: int) -> list[str]:
    """The CALLs of the station after so many, with the status where they have one."""
    calls = [frame for way, frame in bench.csms.frames if way == "tx" and frame[0] == 2]
    said = []
    for frame in calls[n:]:
        connector, status = frame[3].get("connectorId"), frame[3].get("status")
        words = [
            frame[2],
            "" if connector is None else f" {connector}",
            "" if status is None else f" {status}",
        ]
        said.append("".join(words))
    return said


def finish(bench: FirmwareBench) -> None:
    """Let the update end, and everything after it."""
    bench.go_on()
    bench.advance(10)
    assert bench.errors == []
    assert bench.illegal_statuses() == []
    assert not bench.cp.connectors.updating
    assert bench.transfers.discarded[-1] == f"firmware-{bench.job['serial']}"


def pending(bench: FirmwareBench) -> Callable[[dict[str, Any]], Any]:
    """Not accepted yet."""
    return lambda payload: {
        "status": "Pending",
        "currentTime": format_time(bench.clock.now()),
        "interval": 100,
    }


class TestTC044:
    def test_1_update(self) -> None:
        bench = ready()
        before = len(bench.actions())
        assert bench.update() == {}
        finish(bench)
        assert actions_since(bench, before) == [
            "FirmwareStatusNotification Downloading",
            "FirmwareStatusNotification Downloaded",
            "StatusNotification 1 Unavailable",
            "FirmwareStatusNotification Installing",
            "BootNotification",
            "StatusNotification 0 Available",
            "StatusNotification 1 Available",
            "FirmwareStatusNotification Installed",
        ]
        assert bench.version() == "fw-2.0"
        assert bench.reboots == ["Reboot"]
        assert bench.became() == WHOLE
        assert bench.transfers.downloads[0].what == {"url": URL, "name": "firmware-1"}
        assert bench.installer.installations[0].what == {"path": "/firmware", "version": "fw-2.0"}

    def test_2_download_failed(self) -> None:
        bench = ready()
        bench.update(retries=0)
        bench.serve(BROKEN)
        finish(bench)
        assert bench.told() == NOT_DOWNLOADED
        assert bench.statuses() == ["Available"]
        assert bench.reboots == []
        assert any("could not be downloaded" in event.get("message", "") for event in bench.events)

    def test_3_installation_failed(self) -> None:
        bench = ready()
        bench.update()
        bench.serve()
        assert bench.local_status() == "Unavailable"
        bench.serve("the disk is full")
        finish(bench)
        assert bench.told() == ["Downloading", "Downloaded", "Installing", "InstallationFailed"]
        assert bench.statuses() == ["Available", "Unavailable", "Available"]
        bench.cut()
        assert bench.version() == "1.0.0"


class TestRequest:
    def test_the_answer_goes_first(self) -> None:
        bench = ready()
        n = len(bench.csms.frames)
        bench.update()
        sent = [frame for way, frame in bench.csms.frames[n:] if way == "tx"]
        assert [frame[0] for frame in sent] == [3, 2]

    @pytest.mark.parametrize("date", ["", "tomorrow", "2026-13-01T00:00:00Z"])
    def test_a_date_that_is_none(self, date: str) -> None:
        bench = ready()
        answer = bench.call("UpdateFirmware", {"location": URL, "retrieveDate": date})
        assert answer == "PropertyConstraintViolation"
        bench.advance(3600)
        assert bench.told() == []

    def test_the_file_is_fetched_when_that_was_asked_for(self) -> None:
        bench = ready()
        bench.update(in_s=3600)
        bench.advance(3599)
        assert (bench.told(), bench.step) == ([], "scheduled")
        bench.advance(1)
        assert bench.told() == ["Downloading"]

    def test_a_corrected_clock_counts(self) -> None:
        bench = ready()
        bench.update(in_s=3600)
        late = format_time(START + 7200)
        bench.csms.answers["Heartbeat"] = lambda payload: {"currentTime": late}
        bench.advance(400)
        assert bench.told() == ["Downloading"]

    def test_a_profile_that_is_not_in_use(self) -> None:
        bench = ready(ocpp={"SupportedFeatureProfiles": "Core,RemoteTrigger"})
        assert bench.update() == "NotSupported"
        trigger = bench.call("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
        assert trigger == {"status": "NotImplemented"}

    @pytest.mark.parametrize(
        ("choice", "profile", "answer"),
        [
            ("by_profile", 0, {}),
            ("by_profile", 1, "NotSupported"),
            ("by_profile", 2, "NotSupported"),
            ("by_profile", 3, "NotSupported"),
            (True, 3, {}),
            (False, 0, "NotSupported"),
        ],
    )
    def test_unsigned_firmware(self, choice: Any, profile: int, answer: Any) -> None:
        """Whitepaper L01.FR.20."""
        bench = ready(compatibility={"allow_unsigned_firmware": choice}, security_profile=profile)
        assert bench.update() == answer
        assert bench.told() == (["Downloading"] if answer == {} else [])

    def test_a_new_request_takes_the_place_of_one_that_is_fetching(self) -> None:
        bench = ready()
        bench.update()
        old = bench.transfers.downloads[0]
        bench.update("https://files.example/fw-3.0.bin")
        assert old.cancelled
        assert bench.transfers.discarded == ["firmware-1"]
        finish(bench)
        assert bench.told() == ["Downloading", *WHOLE]
        assert bench.version() == "fw-3.0"
        assert [work.what["name"] for work in bench.transfers.downloads] == ["firmware-1", "firmware-2"]

    def test_a_new_request_takes_the_place_of_one_that_waits_for_users(self) -> None:
        bench = ready(2)
        bench.charge()
        bench.update()
        bench.serve()
        assert bench.local_status(2) == "Unavailable"
        bench.update(in_s=3600)
        assert bench.local_status(2) == "Available"
        bench.swipe("TAG", 1)
        bench.advance(600)
        assert bench.installer.installations == []

    def test_a_new_request_while_installing_is_ignored(self) -> None:
        bench = ready()
        bench.update()
        bench.serve()
        assert bench.update("https://files.example/fw-3.0.bin") == {}
        finish(bench)
        assert bench.told() == WHOLE
        assert bench.version() == "fw-2.0"
        assert any("was ignored" in event.get("message", "") for event in bench.events)

    def test_nobody_resets_a_station_that_writes_its_firmware(self) -> None:
        bench = ready()
        bench.update()
        bench.serve()
        assert bench.call("Reset", {"type": "Hard"}) == REJECTED
        finish(bench)
        assert bench.reboots == ["Reboot"]
        assert bench.call("Reset", {"type": "Soft"}) == {"status": "Accepted"}


class TestRetries:
    @pytest.mark.parametrize(
        ("fields", "attempts"),
        [
            ({"retries": 0}, 1),
            ({"retries": 2}, 3),
            ({}, 4),
            ({"retries": -1}, 1),
            ({"retries": -(10**30)}, 1),
        ],
    )
    def test_each_attempt_is_reported(self, fields: dict[str, Any], attempts: int) -> None:
        bench = ready()
        bench.update(**fields)
        for _ in range(attempts):
            bench.serve(BROKEN)
            bench.advance(60)
        assert bench.step == "ended"
        assert bench.told() == NOT_DOWNLOADED * attempts
        assert {work.what["name"] for work in bench.transfers.downloads} == {"firmware-1"}

    @pytest.mark.parametrize(
        ("interval", "seconds"), [(None, 60), (30, 30), (0, 1), (-5, 1), (86_400, 86_400)]
    )
    def test_the_interval(self, interval: int | None, seconds: int) -> None:
        bench = ready()
        fields: dict[str, Any] = {} if interval is None else {"retryInterval": interval}
        bench.update(**fields)
        bench.serve(BROKEN)
        bench.advance(seconds - 1)
        assert bench.told() == NOT_DOWNLOADED
        bench.advance(1)
        assert bench.told() == [*NOT_DOWNLOADED, "Downloading"]

    def test_absurdly_many(self) -> None:
        assert retry_interval_s(10**400) == 2**31 - 1
        bench = ready()
        bench.update(retries=10**40, retryInterval=0)
        for _ in range(50):
            bench.serve(BROKEN)
            bench.advance(1)
        finish(bench)
        assert bench.told() == [*NOT_DOWNLOADED * 50, *WHOLE]

    def test_a_correction_of_the_clock_does_not_shorten_the_wait(self) -> None:
        bench = ready(ocpp={"HeartbeatInterval": "10"})
        late = format_time(START + 7200)
        bench.csms.answers["Heartbeat"] = lambda payload: {"currentTime": late}
        bench.update(retryInterval=600)
        bench.serve(BROKEN)
        bench.advance(599)
        assert bench.told() == NOT_DOWNLOADED

    @pytest.mark.parametrize(
        "location",
        ["sftp://host/fw.bin", "fw.bin", "", "http:", "file:///etc/passwd", "gopher://x/1"],
    )
    def test_what_no_protocol_here_can_fetch_fails_at_once(self, location: str) -> None:
        bench = ready(ocpp={"SupportedFileTransferProtocols": "FTPS,HTTPS"})
        assert bench.update(location) == {}
        assert bench.told() == NOT_DOWNLOADED
        assert bench.transfers.downloads == []
        assert bench.step == "ended"

    def test_a_protocol_in_capitals(self) -> None:
        bench = ready()
        bench.update("HTTPS://files.example/a.bin")
        assert len(bench.transfers.downloads) == 1

    def test_what_the_transfer_cannot_do_is_not_tried_again(self) -> None:
        bench = ready()
        bench.update()
        bench.serve(TransferFailed("unsupported", "this URL has no host"))
        finish(bench)
        assert bench.told() == NOT_DOWNLOADED


class TestConnectors:
    """§5.19: charging goes on to its end, and nobody begins while firmware is written."""

    def test_a_transaction_ends_by_itself_first(self) -> None:
        bench = ready(3)
        bench.charge("TAG", 1)
        bench.update()
        bench.serve()
        assert bench.step == "clearing"
        assert [bench.local_status(n) for n in (1, 2, 3)] == ["Charging", "Unavailable", "Unavailable"]
        bench.advance(7200)
        assert bench.told() == ["Downloading", "Downloaded"]
        bench.plug_out(1)
        assert bench.statuses(1)[-1] == "Unavailable"
        assert bench.told() == ["Downloading", "Downloaded", "Installing"]
        assert bench.sent("StopTransaction")[0]["reason"] == "EVDisconnected"
        finish(bench)
        assert [bench.statuses(n)[-1] for n in (1, 2, 3)] == ["Available"] * 3
        assert bench.statuses(0) == ["Available"] * 2  # it stays as commanded

    def test_who_is_still_plugged_after_charging_does_not_hold_it_up(self) -> None:
        bench = ready()
        bench.charge()
        bench.update()
        bench.serve()
        bench.swipe("TAG", 1)
        bench.advance(10)
        assert (bench.step, bench.local_status()) == ("installing", "Finishing")
        bench.plug_out()
        assert bench.local_status() == "Unavailable"
        finish(bench)

    def test_who_is_already_at_it_is_served(self) -> None:
        bench = ready(2)
        bench.swipe("TAG", 1)
        bench.update()
        bench.serve()
        assert (bench.local_status(1), bench.local_status(2)) == ("Preparing", "Unavailable")
        bench.plug_in(1)
        bench.advance(10)
        assert bench.local_status(1) == "Charging"
        bench.plug_out(1)
        finish(bench)
        assert len(bench.sent("StopTransaction")) == 1

    def test_who_is_already_at_it_has_no_more_time_than_ever(self) -> None:
        bench = ready()
        bench.swipe("TAG", 1)
        bench.update()
        bench.serve()
        bench.advance(119)
        assert bench.step == "clearing"
        bench.advance(1)
        assert bench.step == "installing"

    @pytest.mark.parametrize("state", ["clearing", "installing"])
    def test_nobody_begins(self, state: str) -> None:
        bench = ready(2)
        if state == "clearing":
            bench.charge("OTHER", 2)
        bench.update()
        bench.serve()
        assert bench.step == state
        bench.swipe("TAG", 1)
        bench.plug_in(1)
        bench.swipe("TAG", 1)
        remote = {"connectorId": 1, "idTag": "TAG"}
        assert bench.call("RemoteStartTransaction", remote) == REJECTED
        assert bench.call("RemoteStartTransaction", {"idTag": "TAG"}) == REJECTED
        reserve = {"connectorId": 1, "expiryDate": format_time(START + 9e6), "idTag": "T", "reservationId": 1}
        assert bench.call("ReserveNow", reserve) == {"status": "Unavailable"}
        bench.advance(300)
        assert bench.local_status(1) == "Unavailable"
        assert [p["idTag"] for p in bench.sent("StartTransaction")] == ["OTHER"] * (state == "clearing")
        if state == "clearing":
            bench.swipe("OTHER", 2)
        finish(bench)
        assert bench.local_status(1) == "Preparing"
        bench.swipe("TAG", 1)
        bench.advance(10)
        assert bench.local_status(1) == "Charging"

    def test_an_authorisation_that_comes_too_late(self) -> None:
        bench = ready()
        bench.csms.answers["Authorize"] = lambda payload: None
        bench.update()
        bench.plug_in()
        bench.swipe("TAG", 1)
        (message_id,) = [f[1] for way, f in bench.csms.frames if way == "tx" and f[2:3] == ["Authorize"]]
        bench.serve()
        bench.csms.say([3, message_id, {"idTagInfo": {"status": "Accepted"}}])
        bench.advance(20)
        assert bench.sent("StartTransaction") == []
        finish(bench)

    def test_a_free_vehicle_charges_afterwards(self) -> None:
        bench = ready(behaviour={"free_charging_id_tag": "FREE"})
        bench.update()
        bench.serve()
        bench.plug_in()
        bench.advance(60)
        assert bench.sent("StartTransaction") == []
        finish(bench)
        assert bench.local_status() == "Charging"

    @pytest.mark.parametrize("fails", [None, "broken"])
    def test_what_was_commanded_holds_afterwards(self, fails: str | None) -> None:
        bench = ready(3)
        bench.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
        bench.update()
        bench.serve()
        answer = bench.call("ChangeAvailability", {"connectorId": 2, "type": "Inoperative"})
        assert answer == {"status": "Accepted"}
        bench.serve(fails)
        finish(bench)
        assert [bench.local_status(n) for n in (1, 2, 3)] == ["Unavailable", "Unavailable", "Available"]

    def test_operative_is_a_command_too(self) -> None:
        bench = ready()
        bench.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
        bench.update()
        bench.serve()
        bench.call("ChangeAvailability", {"connectorId": 1, "type": "Operative"})
        assert bench.local_status() == "Unavailable"
        finish(bench)
        assert bench.local_status() == "Available"

    @pytest.mark.parametrize("connector", [0, 1])
    def test_a_reservation_outlasts_it(self, connector: int) -> None:
        bench = ready()
        reserve = {"expiryDate": format_time(START + 9e6), "idTag": "T", "reservationId": 1}
        assert bench.call("ReserveNow", {**reserve, "connectorId": connector}) == {"status": "Accepted"}
        bench.update()
        bench.serve()
        assert bench.local_status() == "Unavailable"
        bench.serve("it does not fit")
        finish(bench)
        assert bench.local_status() == "Reserved"

    def test_an_installer_that_blocks_nobody(self) -> None:
        bench = ready(2, compatibility={"firmware_restart": "none"})
        bench.installer.blocks_charging = False
        bench.charge()
        bench.update()
        bench.serve()
        assert (bench.local_status(1), bench.local_status(2)) == ("Charging", "Available")
        finish(bench)
        assert bench.told() == WHOLE
        assert bench.local_status(1) == "Charging"

    def test_the_restart_waits_for_users_all_the_same(self) -> None:
        bench = ready(2)
        bench.installer.blocks_charging = False
        bench.charge()
        bench.update()
        bench.serve()
        bench.serve()
        bench.advance(3600)
        assert bench.reboots == []
        assert (bench.local_status(1), bench.local_status(2)) == ("Charging", "Unavailable")
        bench.plug_out()
        finish(bench)
        assert bench.sent("StopTransaction")[0]["reason"] == "EVDisconnected"
        assert bench.told() == WHOLE

    def test_a_reset_meanwhile_comes_first(self) -> None:
        bench = ready()
        bench.charge()
        bench.update()
        bench.serve()
        assert bench.call("Reset", {"type": "Soft"}) == {"status": "Accepted"}
        bench.advance(10)
        assert bench.reboots == ["SoftReset"]
        finish(bench)
        assert bench.told() == WHOLE
        assert bench.reboots == ["SoftReset", "Reboot"]
        assert len(bench.installer.installations) == 1


class TestRestart:
    def test_after_installed(self) -> None:
        bench = ready(compatibility={"firmware_restart": "after_installed"})
        bench.update()
        before = len(bench.actions())
        finish(bench)
        assert actions_since(bench, before) == [
            "FirmwareStatusNotification Downloaded",
            "StatusNotification 1 Unavailable",
            "FirmwareStatusNotification Installing",
            "FirmwareStatusNotification Installed",
            "BootNotification",
            "StatusNotification 0 Available",
            "StatusNotification 1 Available",
        ]
        assert bench.version() == "fw-2.0"

    def test_none(self) -> None:
        bench = ready(compatibility={"firmware_restart": "none"})
        bench.update()
        finish(bench)
        assert bench.told() == WHOLE
        assert (bench.reboots, len(bench.sent("BootNotification"))) == ([], 1)
        assert bench.statuses() == ["Available", "Unavailable", "Available"]
        bench.cut()
        assert bench.version() == "fw-2.0"

    def test_a_station_that_cannot_restart_goes_on(self) -> None:
        bench = ready()
        bench.cp.on_restart = lambda reason: False
        bench.update()
        finish(bench)
        assert bench.told() == WHOLE
        assert bench.local_status() == "Available"


class TestVersion:
    @pytest.mark.parametrize(
        ("location", "version"),
        [
            ("https://h/fw-2.0.bin", "fw-2.0"),
            ("ftp://u:p@h/a/b/v1.2.3.tar.gz", "v1.2.3"),
            ("https://h/fw-2.1", "fw-2.1"),
            ("https://h/fw-2.1?token=secret#x", "fw-2.1"),
            ("https://h/firm%20ware%2F1.0.swu", "1.0"),
            ("https://h/%e2%82%ac1.zip", "1"),
            ("https://h/" + "v" * 60 + ".bin", "v" * 50),
            ("https://h/dir/", ""),
            ("https://h", ""),
            ("https://h/1.0-rc.1", "1.0-rc.1"),
            ("http://[broken/fw.bin", ""),
            ("https://h/%00%0a.bin", ""),
            ("https://h/.bin", ".bin"),
            ("", ""),
        ],
    )
    def test_of_a_file(self, location: str, version: str) -> None:
        assert file_version(location) == version

    def test_a_file_without_a_name_leaves_the_old_one(self) -> None:
        bench = ready()
        bench.update("https://files.example/latest/")
        finish(bench)
        assert bench.version() == "1.0.0"

    @pytest.mark.parametrize("factory", [None, "1.0.0"])
    def test_the_installer_knows_better(self, factory: str | None) -> None:
        bench = ready(factory_version=factory)
        bench.update()
        bench.serve()
        bench.serve(brings="7.1 \n(build €9)")
        finish(bench)
        assert bench.version() == "7.1 (build 9)"

    def test_an_installer_that_says_nothing(self) -> None:
        bench = ready(factory_version=None)
        bench.update()
        bench.serve()
        bench.serve(brings="")
        finish(bench)
        assert bench.version() is None

    def test_it_lasts_until_the_configuration_file_says_something_new(self) -> None:
        bench = ready()
        bench.update()
        finish(bench)
        bench.cut()
        assert bench.version() == "fw-2.0"
        bench.factory_version = "1.1.0"
        bench.cut()
        assert bench.version() == "1.1.0"
        bench.factory_version = "1.0.0"
        bench.cut()
        assert bench.version() == "1.0.0"

    def test_presentable(self) -> None:
        assert presentable(" a\tb\x7fü" + "c" * 60) == "ab" + "c" * 48


class TestOutcome:
    """The verb firmware_outcome."""

    @pytest.mark.parametrize(
        ("fail", "told"),
        [
            ("download", NOT_DOWNLOADED * 2),
            ("install", ["Downloading", "Downloaded", "Installing", "InstallationFailed"]),
            ("signature", WHOLE),  # nothing is signed
        ],
    )
    def test_it_fails_where_a_script_wants_it(self, fail: str, told: list[str]) -> None:
        bench = ready()
        bench.outside.firmware_outcome.fail = fail
        for _ in range(2):  # until it is taken back
            n = len(bench.told())
            bench.update(retries=1)
            finish(bench)
            assert bench.told()[n:] == told
        bench.outside.firmware_outcome.fail = None
        n = len(bench.told())
        bench.update()
        finish(bench)
        assert bench.told()[n:] == WHOLE

    def test_it_brings_the_version_a_script_wants(self) -> None:
        bench = ready()
        bench.outside.firmware_outcome.version = "9.9"
        bench.update()
        finish(bench)
        assert bench.version() == "9.9"


class TestReports:
    def test_offline_they_wait_in_order(self) -> None:
        bench = ready()
        bench.update(in_s=60)
        bench.disconnect()
        bench.advance(60)
        bench.serve()
        bench.serve("no room")
        assert bench.told() == []
        bench.cut()
        expected = ["Downloading", "Downloaded", "Installing", "InstallationFailed"]
        assert bench.told() == expected == bench.became()
        assert bench.store.get("firmware", "unsaid") is None

    def test_they_come_after_everybodys_status(self) -> None:
        bench = ready()
        bench.update(in_s=60)
        bench.cut(100)
        n = len(bench.actions())
        assert bench.told() == ["Downloading"]
        bench.cut()
        assert actions_since(bench, n)[:3] == [
            "BootNotification",
            "StatusNotification 0 Available",
            "StatusNotification 1 Available",
        ]

    def test_of_many_attempts_the_outcome_matters(self) -> None:
        bench = ready()
        bench.update(in_s=60, retries=9, retryInterval=1)
        bench.disconnect()
        bench.advance(60)
        for _ in range(10):
            bench.serve(BROKEN)
            bench.advance(1)
        assert bench.became() == NOT_DOWNLOADED * 10
        bench.reconnect()
        bench.advance(5)
        assert bench.told() == NOT_DOWNLOADED

    def test_one_on_its_way_is_not_taken_back(self) -> None:
        bench = ready()
        answers: list[Any] = [None, {}, {}, {}, {}, {}, {}]
        bench.csms.answers["FirmwareStatusNotification"] = lambda payload: answers.pop(0)
        bench.update(retryInterval=1)
        bench.serve(BROKEN)
        bench.advance(1)
        bench.serve(BROKEN)
        bench.disconnect()
        bench.reconnect()
        bench.advance(0)
        assert bench.told() == ["Downloading", "Downloading", "DownloadFailed"]

    def test_the_link_is_lost_with_one_on_its_way(self) -> None:
        bench = ready()
        bench.csms.answers["FirmwareStatusNotification"] = lambda payload: None
        bench.update()
        bench.disconnect()
        del bench.csms.answers["FirmwareStatusNotification"]
        bench.advance(100)
        bench.reconnect()
        bench.advance(0)
        finish(bench)
        assert bench.told() == ["Downloading", *WHOLE]

    @pytest.mark.parametrize("answer", ["NotImplemented", "InternalError", {"unexpected": 1}])
    def test_a_refusal_means_that_it_was_heard(self, answer: Any) -> None:
        bench = ready()
        bench.csms.answers["FirmwareStatusNotification"] = lambda payload: answer
        bench.update()
        finish(bench)
        assert bench.told() == WHOLE

    def test_silence_is_asked_once_more(self) -> None:
        bench = ready()
        bench.csms.answers["FirmwareStatusNotification"] = lambda payload: None
        bench.update(retries=0)
        bench.serve(BROKEN)
        bench.advance(600)
        assert bench.told() == ["Downloading"] * 2 + ["DownloadFailed"] * 2

    def test_nothing_is_said_before_acceptance(self) -> None:
        bench = ready()
        bench.csms.answers["BootNotification"] = pending(bench)
        bench.cut()
        assert bench.update() == {}
        bench.serve()
        bench.serve("no")
        bench.advance(60)
        assert bench.told() == []
        del bench.csms.answers["BootNotification"]
        bench.advance(100)
        assert bench.told() == ["Downloading", "Downloaded", "Installing", "InstallationFailed"]

    def test_what_was_called_off_is_not_told_any_more(self) -> None:
        bench = ready()
        bench.csms.answers["BootNotification"] = pending(bench)
        bench.cut()
        bench.update()
        bench.serve(BROKEN)
        bench.update(in_s=10_000)
        del bench.csms.answers["BootNotification"]
        bench.advance(100)
        assert bench.told() == []

    def test_a_flood_of_requests_before_acceptance_is_bounded(self) -> None:
        bench = ready()
        bench.csms.answers["BootNotification"] = pending(bench)
        bench.cut()
        for _ in range(60):
            bench.update("sftp://h/x")
        entries = (bench.store.get("firmware", "unsaid") or {})["entries"]
        assert len(entries) == 50
        assert entries[-1][2] == "DownloadFailed"


class TestTrigger:
    def trigger(self, bench: FirmwareBench) -> list[str]:
        n = len(bench.told())
        answer = bench.call("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
        assert answer == {"status": "Accepted"}
        return bench.told()[n:]

    def test_tells_the_present_step(self) -> None:
        bench = ready()
        assert self.trigger(bench) == ["Idle"]
        bench.update(in_s=60)
        assert self.trigger(bench) == ["Idle"]
        bench.advance(60)
        assert self.trigger(bench) == ["Downloading"]
        bench.serve()
        assert self.trigger(bench) == ["Installing"]
        finish(bench)
        assert bench.told()[-1] == "Installed"
        assert self.trigger(bench) == ["Idle"]

    def test_idle_after_a_failure(self) -> None:
        bench = ready()
        bench.update(retries=0)
        bench.serve(BROKEN)
        assert self.trigger(bench) == ["Idle"]

    def test_before_acceptance(self) -> None:
        bench = ready()
        bench.csms.answers["BootNotification"] = pending(bench)
        bench.cut()
        bench.update()
        assert self.trigger(bench) == ["Downloading"]


def order(bench: FirmwareBench) -> None:
    """An update that will pass through every step a plain one can have."""
    bench.charge()
    bench.update(in_s=60)


def fetch(bench: FirmwareBench) -> None:
    """Download it at the second attempt."""
    bench.advance(60)
    bench.serve()


def leave(bench: FirmwareBench) -> None:
    """Nobody charges any more."""
    if bench.cp.connectors.in_use:
        bench.swipe("TAG", 1)


def begin_restart(bench: FirmwareBench) -> None:
    """Install, but fail to restart before the power goes."""
    bench.cp.on_restart = lambda reason: True
    bench.serve()


WAY: dict[str, Callable[[FirmwareBench], None]] = {
    "scheduled": order,
    "downloading": lambda bench: bench.advance(60),
    "retrying": lambda bench: bench.serve(BROKEN),
    "clearing": fetch,
    "installing": leave,
    "restarting": begin_restart,
    "ended": lambda bench: bench.cut(),
}
"""Step -> how it follows from the one before."""


class TestPowerCut:
    @pytest.mark.parametrize("restart", ["before_installed", "after_installed", "none"])
    @pytest.mark.parametrize("reachable", [True, False])
    @pytest.mark.parametrize("step", WAY)
    def test_it_goes_on_from_each_step(self, step: str, reachable: bool, restart: str) -> None:
        bench = ready(
            compatibility={"firmware_restart": restart}, behaviour={"resume_tx_after_power_loss": True}
        )
        for here, to_next in WAY.items():
            to_next(bench)
            if here == "scheduled" and not reachable:
                bench.reachable = False
                bench.disconnect()
            if here == step:
                break
        last = {"after_installed": "leaving", "none": "ended"}.get(restart, "restarting")
        assert bench.step == {"restarting": last}.get(step, step)
        bench.cut()
        while bench.step != "ended":
            if bench.under_way():
                bench.serve()
            elif bench.step == "clearing":
                leave(bench)
            bench.advance(1)
        bench.reachable = True
        bench.reconnect()
        bench.advance(10)
        expected = [*NOT_DOWNLOADED, *WHOLE] if step not in ("scheduled", "downloading") else WHOLE
        told = expected if reachable else WHOLE  # an attempt that did not matter is not told afterwards
        assert bench.became() == expected
        assert bench.told() == told
        assert bench.illegal_statuses() == []
        assert bench.local_status() == "Finishing"
        assert len(bench.installer.installations) == (2 if step == "installing" else 1)
        assert bench.transfers.discarded[-1] == "firmware-1"
        assert {work.what["name"] for work in bench.transfers.downloads} == {"firmware-1"}
        bench.cut()
        assert bench.version() == "fw-2.0"
        assert bench.told() == told

    def test_an_installation_is_tried_once_more_and_no_oftener(self) -> None:
        bench = ready()
        bench.update()
        bench.serve()
        bench.cut()
        assert bench.local_status() == "Unavailable"
        assert [work.what["path"] for work in bench.installer.installations] == ["/firmware"] * 2
        bench.cut()
        bench.advance(60)
        assert len(bench.installer.installations) == 2
        assert bench.told() == ["Downloading", "Downloaded", "Installing", "InstallationFailed"]
        assert bench.local_status() == "Available"
        assert bench.transfers.discarded[-1] == "firmware-1"

    def test_the_moment_passes_while_the_power_is_off(self) -> None:
        bench = ready()
        bench.update(in_s=60)
        bench.cut(100)
        assert bench.told() == ["Downloading"]

    def test_attempts_are_counted_over_power_cuts(self) -> None:
        bench = ready()
        bench.update(retries=1)
        bench.cut()
        bench.serve(BROKEN)
        bench.cut()
        bench.advance(60)
        bench.serve(BROKEN)
        assert bench.step == "ended"
        assert bench.told() == NOT_DOWNLOADED * 2


class TestStore:
    """Nothing is begun or told that a power cut would undo."""

    def disk(self, bench: FirmwareBench) -> Disk:
        assert isinstance(bench.store, Disk)
        return bench.store

    def test_a_request_that_cannot_be_kept(self) -> None:
        bench = ready(store=Disk())
        self.disk(bench).full = True
        bench.csms.say([2, "1", "UpdateFirmware", {"location": URL, "retrieveDate": format_time(START)}])
        bench.clock.advance(5)
        assert bench.transfers.downloads == []
        assert bench.told() == []
        self.disk(bench).full = False
        bench.clock.advance(10)
        bench.errors.clear()
        assert len(bench.transfers.downloads) == 1
        finish(bench)
        assert bench.told() == WHOLE

    def test_a_step_that_cannot_be_kept(self) -> None:
        bench = ready(store=Disk())
        bench.update()
        self.disk(bench).full = True
        (work,) = bench.under_way()
        bench.served.append(work)
        work.done("/firmware")
        bench.clock.advance(5)
        assert bench.installer.installations == []
        self.disk(bench).full = False
        bench.clock.advance(10)
        bench.errors.clear()
        finish(bench)
        assert bench.told() == WHOLE
