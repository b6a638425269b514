"""GetDiagnostics and GetLog (OCPP 1.6 §5.9, §4.4, errata 3.31, 3.50; whitepaper N01; TC_045, TC_079)."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.domain.outside import TransferFailed
from chargepoint.ocpp16.firmware_management.upload import target
from tests.unit.ocpp16.bench import Bench
from tests.unit.ocpp16.outside import MemoryTransfers, Work

PLACE = "ftp://files.example/in"
NAME = "CP001-diagnostics-20260101T000000Z.txt"


def station(*, connected: bool = True, **options: Any) -> Bench:
    bench = Bench(**options)
    if connected:
        bench.connect()
    return bench


def uploads(bench: Bench) -> list[Work]:
    """Every attempt so far."""
    transfers = bench.outside.transfers
    assert isinstance(transfers, MemoryTransfers)
    return transfers.uploads


def succeed(bench: Bench) -> None:
    uploads(bench)[-1].done()
    bench.advance(0)


def fail(bench: Bench, kind: str = "refused") -> None:
    uploads(bench)[-1].failed(TransferFailed(kind, "it did not work"))
    bench.advance(0)


def get_diagnostics(bench: Bench, **fields: Any) -> Any:
    return bench.call("GetDiagnostics", {"location": PLACE, **fields})


def get_log(bench: Bench, request_id: int = 7, kind: str = "SecurityLog", **fields: Any) -> Any:
    retries: dict[str, Any] = {n: fields.pop(n) for n in ("retries", "retryInterval") if n in fields}
    log = {"remoteLocation": PLACE, **fields}
    return bench.call("GetLog", {"log": log, "logType": kind, "requestId": request_id, **retries})


def statuses(bench: Bench) -> list[str]:
    return [payload["status"] for payload in bench.sent("DiagnosticsStatusNotification")]


def log_statuses(bench: Bench) -> list[tuple[str, int | None]]:
    return [(p["status"], p.get("requestId")) for p in bench.sent("LogStatusNotification")]


def trigger(bench: Bench, message: str = "DiagnosticsStatusNotification") -> Any:
    return bench.call("TriggerMessage", {"requestedMessage": message})


class TestTC045:
    def test_1_uploaded(self) -> None:
        bench = station()
        before = len(bench.csms.frames)
        assert get_diagnostics(bench) == {"fileName": NAME}
        assert [f[2] for way, f in bench.csms.frames[before:] if way == "tx"] == [
            {"fileName": NAME},
            "DiagnosticsStatusNotification",
        ]
        assert [work.what["url"] for work in uploads(bench)] == [f"{PLACE}/{NAME}"]
        succeed(bench)
        bench.advance(10_000)
        assert statuses(bench) == ["Uploading", "Uploaded"]

    def test_2_upload_failed(self) -> None:
        bench = station()
        get_diagnostics(bench, retries=0)
        fail(bench)
        bench.advance(10_000)
        assert statuses(bench) == ["Uploading", "UploadFailed"]
        assert len(uploads(bench)) == 1


class TestRetries:
    def test_each_attempt_is_told_and_spaced(self) -> None:
        bench = station()
        get_diagnostics(bench, retries=2, retryInterval=100)
        for _ in range(3):
            fail(bench)
            bench.advance(200)
        assert statuses(bench) == ["Uploading", "UploadFailed"] * 3
        times = bench.times("DiagnosticsStatusNotification")
        assert [at - times[0] for at in times] == [0, 0, 100, 200, 300, 400]

    def test_by_default_three_after_a_minute_each(self) -> None:
        bench = station()
        get_diagnostics(bench)
        for _ in range(4):
            assert uploads(bench)[-1].what["url"].startswith(PLACE)
            fail(bench)
            bench.advance(59)
            count = len(uploads(bench))
            bench.advance(1)
            assert len(uploads(bench)) == min(count + 1, 4)
        assert statuses(bench) == ["Uploading", "UploadFailed"] * 4

    def test_a_later_attempt_that_works(self) -> None:
        bench = station()
        get_diagnostics(bench, retries=5, retryInterval=0)
        fail(bench)
        bench.advance(1)
        succeed(bench)
        bench.advance(1_000)
        assert statuses(bench) == ["Uploading", "UploadFailed", "Uploading", "Uploaded"]

    @pytest.mark.parametrize("retries", [0, -5])
    def test_none(self, retries: int) -> None:
        bench = station()
        get_diagnostics(bench, retries=retries, retryInterval=-1)
        fail(bench)
        bench.advance(10)
        assert len(uploads(bench)) == 1

    def test_each_attempt_makes_the_content_anew(self) -> None:
        bench = station()
        get_log(bench, retries=1, retryInterval=10)
        fail(bench)
        with bench.cp.turn:
            bench.cp.security_events.report("TamperDetectionActivated")
        bench.advance(10)
        assert [work.what["content"].count(b"Tamper") for work in uploads(bench)] == [0, 1]


class TestLocations:
    @pytest.mark.parametrize(
        ("location", "url"),
        [
            ("ftp://h/in", "ftp://h/in/a%20b.txt"),
            ("ftp://h/in/", "ftp://h/in/a%20b.txt"),
            ("ftp://u:p%40@h:2121//abs", "ftp://u:p%40@h:2121//abs/a%20b.txt"),
            ("https://h", "https://h/a%20b.txt"),
            ("https://h/", "https://h/a%20b.txt"),
            ("https://h/up?token=x%2Fy&n=1", "https://h/up/a%20b.txt?token=x%2Fy&n=1"),
            ("https://[::1]:8443/up", "https://[::1]:8443/up/a%20b.txt"),
            (" http://h/up ", "http://h/up/a%20b.txt"),
            ("HTTPS://h/up", "https://h/up/a%20b.txt"),
            ("", None),
            ("/var/log", None),
            ("h/up", None),
            ("http://", None),
            ("http:///up", None),
            ("http://h:port/up", None),
            ("http://h:99999/up", None),
            ("http://[::1/up", None),
            ("nonsense", None),
        ],
    )
    def test_the_file_lies_in_the_directory(self, location: str, url: str | None) -> None:
        assert target(location, "a b.txt") == url

    @pytest.mark.parametrize(
        "location", ["sftp://h/in", "file:///etc", "gopher://h/", "nonsense", "http://["]
    )
    def test_where_nothing_can_go_the_answer_has_a_name_all_the_same(self, location: str) -> None:
        bench = station()
        assert get_diagnostics(bench, location=location) == {"fileName": NAME}
        bench.advance(1_000)
        assert statuses(bench) == ["UploadFailed"]
        assert uploads(bench) == []

    def test_only_protocols_in_use(self) -> None:
        bench = station(ocpp={"SupportedFileTransferProtocols": "HTTPS"})
        get_diagnostics(bench, location="ftp://h/")
        assert statuses(bench) == ["UploadFailed"]
        get_diagnostics(bench, location="https://h/")
        assert statuses(bench) == ["UploadFailed", "Uploading"]


class TestNames:
    @pytest.mark.parametrize(
        ("template", "name"),
        [
            ("{identity}.log", "CP001.log"),
            ("log {time}", "log 20260101T000000Z"),
            ("..", "log"),
            ("../../{identity}", "_.._CP001"),
            ("a\\b:c*\nd.txt", "a_b_c__d.txt"),
            ("ü{identity}", "_CP001"),
            ("x" * 255 + "{identity}.txt", "x" * 251 + ".txt"),
            ("{identity}" + "x" * 255, "CP001" + "x" * 250),
        ],
    )
    def test_safe_as_a_file_name(self, template: str, name: str) -> None:
        bench = station(connected=False)
        bench.cp.uploads._name = template
        bench.connect()
        assert get_diagnostics(bench) == {"fileName": name}

    def test_the_operators_template(self) -> None:
        bench = station(behaviour={"diagnostics_file_name": "site-7-{time}.log"})
        assert get_diagnostics(bench) == {"fileName": "site-7-20260101T000000Z.log"}


class TestWindow:
    def test_it_is_handed_on(self) -> None:
        bench = station()
        get_diagnostics(bench, startTime="1970-01-01T00:01:40Z", stopTime="1970-01-01T01:00:00+01:00")
        assert uploads(bench)[0].what["content"] == b"100.0 0.0"

    @pytest.mark.parametrize("field", ["startTime", "stopTime"])
    def test_a_moment_that_is_none(self, field: str) -> None:
        bench = station()
        assert get_diagnostics(bench, **{field: "yesterday"}) == "PropertyConstraintViolation"
        assert uploads(bench) == []

    def test_the_security_log_in_a_window(self) -> None:
        bench = station()
        bench.advance(100)
        for n in range(3):
            with bench.cp.turn:
                bench.cp.security_events.report("X", str(n))
            bench.advance(10)
        get_log(bench, oldestTimestamp="2026-01-01T00:01:50Z", latestTimestamp="2026-01-01T00:01:50Z")
        lines = uploads(bench)[0].what["content"].decode().splitlines()
        assert lines[0].startswith("# Security log of CP001")
        assert lines[1:] == ["2026-01-01T00:01:50.000Z X 1"]

    def test_a_window_without_entries_is_accepted(self) -> None:
        bench = station()
        answer = get_log(bench, latestTimestamp="2020-01-01T00:00:00Z")
        assert answer["status"] == "Accepted"
        assert len(uploads(bench)[0].what["content"].splitlines()) == 1


class TestTC079:
    def test_the_same_request_id_throughout(self) -> None:
        bench = station()
        assert get_log(bench, 4711) == {
            "status": "Accepted",
            "filename": "CP001-security-log-20260101T000000Z.txt",
        }
        succeed(bench)
        assert log_statuses(bench) == [("Uploading", 4711), ("Uploaded", 4711)]

    def test_the_diagnostics_log(self) -> None:
        bench = station()
        assert get_log(bench, kind="DiagnosticsLog") == {"status": "Accepted", "filename": NAME}
        assert uploads(bench)[0].what["content"] == b"None None"

    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            ("permission", "PermissionDenied"),
            ("unsupported", "NotSupportedOperation"),
            ("malformed", "BadMessage"),
            ("not_found", "UploadFailure"),
            ("refused", "UploadFailure"),
            ("timeout", "UploadFailure"),
            ("broken", "UploadFailure"),
            ("server", "UploadFailure"),
            ("disk", "UploadFailure"),
        ],
    )
    def test_each_failure_has_its_word(self, kind: str, status: str) -> None:
        bench = station()
        get_log(bench, retries=0)
        fail(bench, kind)
        assert log_statuses(bench) == [("Uploading", 7), (status, 7)]

    @pytest.mark.parametrize(
        ("location", "status"), [("sftp://h/", "NotSupportedOperation"), ("no url", "BadMessage")]
    )
    def test_so_have_locations(self, location: str, status: str) -> None:
        bench = station()
        assert get_log(bench, remoteLocation=location)["status"] == "Accepted"
        bench.advance(1_000)
        assert log_statuses(bench) == [(status, 7)]

    def test_retries(self) -> None:
        bench = station()
        get_log(bench, retries=2, retryInterval=30)
        for _ in range(3):
            fail(bench)
            bench.advance(30)
        assert log_statuses(bench) == [("Uploading", 7), ("UploadFailure", 7)] * 3

    def test_a_new_one_calls_the_old_one_off(self) -> None:
        bench = station()
        get_log(bench, 1)
        assert get_log(bench, 2)["status"] == "AcceptedCanceled"
        assert [work.cancelled for work in uploads(bench)] == [True, False]
        succeed(bench)
        assert log_statuses(bench) == [("Uploading", 1), ("Uploading", 2), ("Uploaded", 2)]
        assert get_log(bench, 3)["status"] == "Accepted"

    def test_also_while_the_old_one_waits_for_its_next_attempt(self) -> None:
        bench = station()
        get_log(bench, 1)
        fail(bench)
        assert get_log(bench, 2)["status"] == "AcceptedCanceled"
        bench.advance(1_000)
        assert len(uploads(bench)) == 2

    def test_side_by_side_with_diagnostics(self) -> None:
        bench = station()
        get_log(bench)
        get_diagnostics(bench)
        assert [work.cancelled for work in uploads(bench)] == [False, False]
        for work in uploads(bench):
            work.done()
        bench.advance(0)
        assert statuses(bench) == ["Uploading", "Uploaded"]
        assert log_statuses(bench) == [("Uploading", 7), ("Uploaded", 7)]

    def test_it_needs_no_feature_profile(self) -> None:
        bench = station(ocpp={"SupportedFeatureProfiles": "Core"})
        assert get_log(bench)["status"] == "Accepted"
        assert get_diagnostics(bench) == "NotSupported"


class TestDiagnosticsAgain:
    def test_a_new_request_calls_the_old_one_off(self) -> None:
        bench = station()
        get_diagnostics(bench)
        bench.advance(5)
        assert get_diagnostics(bench) == {"fileName": "CP001-diagnostics-20260101T000005Z.txt"}
        assert [work.cancelled for work in uploads(bench)] == [True, False]
        succeed(bench)
        assert statuses(bench) == ["Uploading", "Uploading", "Uploaded"]


class TestTriggers:
    def test_idle_when_nothing_runs(self) -> None:
        bench = station()
        assert trigger(bench) == {"status": "Accepted"}
        assert statuses(bench) == ["Idle"]
        with bench.cp.turn:
            assert bench.cp.uploads.trigger_log()
        assert bench.sent("LogStatusNotification") == [{"status": "Idle"}]

    def test_the_status_of_the_one_that_runs(self) -> None:
        bench = station()
        get_diagnostics(bench)
        get_log(bench)
        trigger(bench)
        with bench.cp.turn:
            assert bench.cp.uploads.trigger_log()
        assert statuses(bench) == ["Uploading"] * 2
        assert log_statuses(bench) == [("Uploading", 7)] * 2
        fail(bench)
        with bench.cp.turn:
            assert bench.cp.uploads.trigger_log()
        assert log_statuses(bench)[2:] == [("UploadFailure", 7)] * 2

    def test_idle_again_after_the_end(self) -> None:
        bench = station()
        get_diagnostics(bench)
        succeed(bench)
        trigger(bench)
        assert statuses(bench) == ["Uploading", "Uploaded", "Idle"]

    def test_without_the_profile_it_is_not_implemented(self) -> None:
        bench = station(ocpp={"SupportedFeatureProfiles": "Core,RemoteTrigger"})
        assert trigger(bench) == {"status": "NotImplemented"}

    def test_while_pending(self) -> None:
        bench = pending()
        assert trigger(bench) == {"status": "Accepted"}
        assert statuses(bench) == ["Idle"]


def pending() -> Bench:
    """A station that is not accepted yet."""
    bench = station(connected=False)
    bench.csms.answers["BootNotification"] = lambda payload: {
        "status": "Pending",
        "currentTime": "2026-01-01T00:00:00Z",
        "interval": 600,
    }
    bench.connect()
    return bench


def accept(bench: Bench) -> None:
    del bench.csms.answers["BootNotification"]
    bench.advance(601)


class TestToldForSure:
    def test_nothing_is_told_before_acceptance(self) -> None:
        bench = pending()
        get_diagnostics(bench)
        succeed(bench)
        assert statuses(bench) == []
        accept(bench)
        assert statuses(bench) == ["Uploading", "Uploaded"]

    def test_what_happened_offline_is_told_later(self) -> None:
        bench = station()
        get_diagnostics(bench, retries=1)
        bench.disconnect()
        fail(bench)
        bench.advance(60)
        succeed(bench)
        bench.connect()
        assert statuses(bench) == ["Uploading", "UploadFailed", "Uploading", "Uploaded"]
        bench.disconnect()
        bench.connect()
        assert len(statuses(bench)) == 4

    def test_lost_on_its_way(self) -> None:
        bench = station()
        get_diagnostics(bench)
        bench.csms.answers["DiagnosticsStatusNotification"] = lambda payload: None
        succeed(bench)
        bench.disconnect()
        del bench.csms.answers["DiagnosticsStatusNotification"]
        bench.connect()
        assert statuses(bench) == ["Uploading", "Uploaded", "Uploaded"]

    @pytest.mark.parametrize("code", ["InternalError", None])
    def test_refused_or_ignored_it_is_told_once_more(self, code: str | None) -> None:
        bench = station()
        bench.csms.answers["DiagnosticsStatusNotification"] = lambda payload: code
        get_diagnostics(bench, retries=0)
        bench.advance(100)
        fail(bench)
        bench.advance(1_000)
        assert statuses(bench) == ["Uploading"] * 2 + ["UploadFailed"] * 2
        del bench.csms.answers["DiagnosticsStatusNotification"]
        bench.disconnect()
        bench.connect()  # the outcome is not lost
        assert statuses(bench)[4:] == ["UploadFailed"]
        bench.restart()
        bench.connect()
        assert len(statuses(bench)) == 5

    def test_a_central_system_that_does_not_know_the_message(self) -> None:
        bench = station()
        bench.csms.answers["LogStatusNotification"] = lambda payload: "NotImplemented"
        get_log(bench)
        succeed(bench)
        bench.advance(1_000)
        bench.restart()
        bench.connect()
        assert log_statuses(bench) == [("Uploading", 7), ("Uploaded", 7)]

    def test_many_attempts_offline_keep_the_outcome(self) -> None:
        bench = station()
        get_diagnostics(bench, retries=50, retryInterval=10)
        bench.disconnect()
        for _ in range(51):
            fail(bench)
            bench.advance(10)
        bench.connect()
        assert statuses(bench)[-1] == "UploadFailed"
        assert len(statuses(bench)) < 30

    def test_a_new_request_takes_nothing_back(self) -> None:
        bench = pending()
        get_log(bench, 1)
        succeed(bench)
        get_log(bench, 2)
        get_log(bench, 3)
        accept(bench)
        assert log_statuses(bench) == [("Uploading", 1), ("Uploaded", 1), ("Uploading", 2), ("Uploading", 3)]


class TestPowerCuts:
    def test_during_the_upload(self) -> None:
        bench = station()
        get_log(bench, retries=0)
        bench.restart()
        assert uploads(bench)[0].cancelled
        assert len(uploads(bench)) == 1
        bench.connect()
        assert len(uploads(bench)) == 2
        assert uploads(bench)[0].what["url"] == uploads(bench)[1].what["url"]
        succeed(bench)
        assert log_statuses(bench) == [("Uploading", 7), ("Uploaded", 7)]

    def test_between_two_attempts(self) -> None:
        bench = station()
        get_diagnostics(bench, retries=1)
        fail(bench)
        bench.restart()
        bench.connect()
        fail(bench)
        bench.advance(1_000)
        assert len(uploads(bench)) == 2
        assert statuses(bench) == ["Uploading", "UploadFailed"] * 2

    def test_before_its_outcome_was_told(self) -> None:
        bench = station()
        get_diagnostics(bench)
        bench.disconnect()
        succeed(bench)
        bench.restart()
        bench.connect()
        assert statuses(bench) == ["Uploading", "Uploaded"]
        assert len(uploads(bench)) == 1

    def test_after_it_was_told(self) -> None:
        bench = station()
        get_diagnostics(bench)
        succeed(bench)
        assert list(bench.store.items("upload")) == []
        bench.restart()
        bench.connect()
        assert statuses(bench) == ["Uploading", "Uploaded"]

    def test_a_mere_reconnection_starts_nothing_again(self) -> None:
        bench = station()
        get_diagnostics(bench)
        bench.disconnect()
        bench.connect()
        assert len(uploads(bench)) == 1
        assert not uploads(bench)[0].cancelled

    def test_another_boot_starts_nothing_again(self) -> None:
        bench = station(compatibility={"trigger_boot_when_accepted": "accept"})
        get_diagnostics(bench)
        trigger(bench, "BootNotification")
        bench.advance(1)
        assert len(bench.sent("BootNotification")) == 2
        assert len(uploads(bench)) == 1


class TestEvents:
    def test_whoever_watches_hears_of_it(self) -> None:
        bench = station()
        get_diagnostics(bench, location="ftp://user:secret@files.example/in", retries=0)
        fail(bench)
        told = [event for event in bench.events if event["event"] == "upload"]
        assert [event["status"] for event in told] == ["Uploading", "UploadFailed"]
        assert "secret" not in str(bench.events)
