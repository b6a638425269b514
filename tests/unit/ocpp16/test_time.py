"""The central system's time (OCPP 1.6 §4.6): UTC follows it, timers do not."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.ocpp16.times import format_time, parse_time
from tests.unit.ocpp16.bench import START, Bench

HOUR_S = 3600.0


class Elsewhere:
    """A central system whose clock differs from the station's by `ahead_s`."""

    def __init__(self, bench: Bench, ahead_s: float = 0.0) -> None:
        self.bench = bench
        self.ahead_s = ahead_s
        bench.csms.answers["BootNotification"] = self.boot
        bench.csms.answers["Heartbeat"] = self.heartbeat

    def now(self) -> str:
        return format_time(self.bench.clock.now() + self.ahead_s)

    def boot(self, payload: Any) -> dict[str, Any]:
        return {"status": "Accepted", "currentTime": self.now(), "interval": 300}

    def heartbeat(self, payload: Any) -> dict[str, Any]:
        return {"currentTime": self.now()}


def offset_s(bench: Bench) -> float:
    """How far the station's UTC is from its clock."""
    return bench.cp.time.utc() - bench.clock.now()


def stamp(seconds: float) -> str:
    """A moment, from the beginning on, as it is sent."""
    return format_time(START + seconds)


STEPS = [5 * HOUR_S, -5 * HOUR_S, 30 * 86_400.0, -400 * 86_400.0]


class TestFollowing:
    @pytest.mark.parametrize("step_s", [*STEPS, 2.0, -2.0])
    def test_boot_and_heartbeat_set_the_time(self, step_s: float) -> None:
        bench = Bench()
        csms = Elsewhere(bench, step_s)
        bench.connect()
        assert offset_s(bench) == pytest.approx(step_s, abs=0.001)
        csms.ahead_s = 2 * step_s
        bench.advance(300)
        assert offset_s(bench) == pytest.approx(2 * step_s, abs=0.001)

    @pytest.mark.parametrize("step_s", [0.4, -0.4, 1.0, -1.0])
    def test_what_is_within_a_second_is_noise(self, step_s: float) -> None:
        bench = Bench()
        Elsewhere(bench, step_s)
        bench.connect()
        assert offset_s(bench) == 0.0

    @pytest.mark.parametrize("status", ["Pending", "Rejected"])
    def test_whatever_the_registration(self, status: str) -> None:
        bench = Bench()
        csms = Elsewhere(bench, HOUR_S)
        bench.csms.answers["BootNotification"] = lambda payload: {**csms.boot(payload), "status": status}
        bench.connect()
        assert offset_s(bench) == pytest.approx(HOUR_S, abs=0.001)

    def test_half_the_round_trip_is_added(self) -> None:
        bench = Bench()
        bench.csms.answers["BootNotification"] = lambda payload: None
        bench.connect()
        bench.advance(20)
        conf = {"status": "Accepted", "currentTime": stamp(HOUR_S), "interval": 300}
        bench.csms.say([3, bench.csms.frames[-1][1][1], conf])
        bench.advance(0)
        assert bench.cp.time.utc() == pytest.approx(START + HOUR_S + 10, abs=0.001)

    def test_the_round_trip_begins_when_the_message_goes_out(self) -> None:
        """A Heartbeat that waited 25 s for the line was not 25 s on its way."""
        bench = Bench(ocpp={"ConnectionTimeOut": "0"})
        bench.connect()
        bench.advance(280)
        bench.csms.answers["Authorize"] = lambda payload: None
        bench.plug_in()
        bench.advance(1)
        with bench.cp.turn:
            bench.cp.connectors.reception.tag_presented("TAG", None)
            bench.cp.boot.heartbeat()
        bench.advance(25)
        bench.csms.say([4, bench.csms.frames[-1][1][1], "GenericError", "", {}])
        bench.advance(1)
        assert bench.times("Heartbeat") == [306]
        assert offset_s(bench) == 0.0

    @pytest.mark.parametrize(
        "text", ["", "yesterday", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-01-01T00:00:00Z"]
    )
    def test_what_cannot_be_the_time_is_ignored(self, text: str) -> None:
        bench = Bench()
        bench.csms.answers["BootNotification"] = lambda payload: {
            "status": "Accepted",
            "currentTime": text,
            "interval": 300,
        }
        bench.connect()
        bench.advance(10)
        assert offset_s(bench) == 0.0
        assert bench.statuses() == ["Available"]
        assert bench.errors == []

    @pytest.mark.parametrize(
        "text", ["2026-01-01T05:00:00+02:00", "2026-01-01T03:00:00", "2026-01-01T03:00:00.0000000001Z"]
    )
    def test_any_spelling_of_a_moment_will_do(self, text: str) -> None:
        bench = Bench()
        bench.csms.answers["BootNotification"] = lambda payload: {
            "status": "Accepted",
            "currentTime": text,
            "interval": 300,
        }
        bench.connect()
        assert offset_s(bench) == pytest.approx(3 * HOUR_S, abs=0.001)


@pytest.mark.parametrize("step_s", STEPS)
class TestASteppedTime:
    """A correction fires no timer and stalls none."""

    def test_heartbeats_keep_their_interval(self, step_s: float) -> None:
        bench = Bench()
        csms = Elsewhere(bench)
        bench.connect()
        bench.advance(350)
        csms.ahead_s = step_s
        bench.advance(1000)
        assert bench.times("Heartbeat") == [300, 600, 900, 1200]

    def test_samples_keep_theirs_and_are_stamped_in_the_new_time(self, step_s: float) -> None:
        bench = Bench(ocpp={"MeterValueSampleInterval": "100", "HeartbeatInterval": "50"})
        csms = Elsewhere(bench)
        bench.csms.answers["BootNotification"] = lambda payload: {**csms.boot(payload), "interval": 50}
        bench.connect()
        bench.plug_in()
        bench.swipe("TAG")
        bench.advance(330)
        csms.ahead_s = step_s
        bench.advance(300)
        stamps = [parse_time(v["meterValue"][0]["timestamp"]) - START for v in bench.sent("MeterValues")]
        assert bench.times("MeterValues") == [100, 200, 300, 400, 500, 600]
        assert stamps == [100, 200, 300, *(n + step_s for n in (400, 500, 600))]

    def test_a_stop_is_not_held_up(self, step_s: float) -> None:
        bench = Bench()
        csms = Elsewhere(bench)
        bench.connect()
        bench.charge()
        csms.ahead_s = step_s
        with bench.cp.turn:
            bench.cp.boot.heartbeat()
        bench.advance(30)
        assert offset_s(bench) == pytest.approx(step_s, abs=0.001)
        bench.swipe("TAG")
        bench.advance(1)
        assert len(bench.sent("StopTransaction")) == 1
        assert bench.statuses()[-1] == "Finishing"

    def test_a_retry_keeps_its_wait(self, step_s: float) -> None:
        bench = Bench(ocpp={"MeterValueSampleInterval": "0"})
        csms = Elsewhere(bench)
        bench.connect()
        bench.csms.answers["StartTransaction"] = lambda payload: "InternalError"
        bench.charge()
        begun = bench.times("StartTransaction")[0]
        csms.ahead_s = step_s
        with bench.cp.turn:
            bench.cp.boot.heartbeat()
        bench.advance(400)
        assert [at - begun for at in bench.times("StartTransaction")] == [0, 60, 180]

    def test_aligned_values_move_to_the_new_grid(self, step_s: float) -> None:
        bench = Bench(ocpp={"ClockAlignedDataInterval": "900", "MeterValueSampleInterval": "0"})
        csms = Elsewhere(bench, 100)
        bench.connect()
        bench.advance(850)
        csms.ahead_s = step_s
        bench.advance(1900)
        stamps = [parse_time(v["meterValue"][0]["timestamp"]) - START for v in bench.sent("MeterValues")]
        assert all(at % 900 == 0 for at in stamps)
        assert len(stamps) == 3
        assert stamps[0] == 900
        assert stamps[2] - stamps[1] == 900
        assert abs(stamps[1] - step_s - 900) <= 900

    def test_a_transaction_does_not_end_before_it_began(self, step_s: float) -> None:
        bench = Bench(ocpp={"MeterValueSampleInterval": "0"})
        csms = Elsewhere(bench)
        bench.connect()
        bench.charge()
        csms.ahead_s = step_s
        bench.advance(600)
        bench.swipe("TAG")
        start, stop = bench.sent("StartTransaction")[0], bench.sent("StopTransaction")[0]
        assert parse_time(stop["timestamp"]) >= parse_time(start["timestamp"])
        if step_s > 0:
            assert parse_time(stop["timestamp"]) - parse_time(start["timestamp"]) > step_s


class TestBeforeTheTimeIsKnown:
    """No clock that runs without power: what happened before the first answer is told in the time it gave."""

    def offline(self, **options: Any) -> Bench:
        """A station that was accepted in an earlier life and now starts without a link."""
        bench = Bench(
            ocpp={
                "AllowOfflineTxForUnknownId": "true",
                "MeterValueSampleInterval": "100",
                "StopTxnSampledData": "Energy.Active.Import.Register",
            },
            **options,
        )
        Elsewhere(bench)
        bench.connect()
        bench.restart()
        return bench

    @pytest.mark.parametrize("step_s", STEPS)
    def test_a_whole_transaction(self, step_s: float) -> None:
        bench = self.offline()
        bench.advance(1000)
        bench.plug_in()
        bench.swipe("TAG")
        bench.advance(250)
        bench.swipe("TAG")
        bench.advance(50)
        Elsewhere(bench, step_s)
        bench.connect()
        assert bench.sent("StartTransaction")[0]["timestamp"] == stamp(1000 + step_s)
        values = [value["meterValue"][0]["timestamp"] for value in bench.sent("MeterValues")]
        assert values == [stamp(1100 + step_s), stamp(1200 + step_s)]
        stop = bench.sent("StopTransaction")[0]
        assert stop["timestamp"] == stamp(1250 + step_s)
        assert [value["timestamp"] for value in stop["transactionData"]] == [
            stamp(at + step_s) for at in (1000, 1100, 1200, 1250)
        ]
        assert bench.sent("StatusNotification")[-1]["timestamp"] == stamp(1250 + step_s)

    @pytest.mark.parametrize("step_s", STEPS)
    def test_one_that_still_runs(self, step_s: float) -> None:
        bench = self.offline()
        bench.plug_in()
        bench.swipe("TAG")
        bench.advance(250)
        Elsewhere(bench, step_s)
        bench.connect()
        bench.advance(100)
        bench.swipe("TAG")
        assert bench.sent("StartTransaction")[0]["timestamp"] == stamp(step_s)
        values = [value["meterValue"][0]["timestamp"] for value in bench.sent("MeterValues")]
        assert values == [stamp(at + step_s) for at in (100, 200, 300)]
        stop = bench.sent("StopTransaction")[0]
        assert stop["timestamp"] == stamp(350 + step_s)
        assert stop["transactionData"][0]["timestamp"] == stamp(step_s)

    def test_what_was_told_in_a_known_time_stays(self) -> None:
        bench = Bench(ocpp={"AllowOfflineTxForUnknownId": "true", "MeterValueSampleInterval": "0"})
        csms = Elsewhere(bench, HOUR_S)
        bench.connect()
        bench.disconnect()
        bench.charge()
        bench.swipe("TAG")
        bench.advance(100)
        csms.ahead_s = 2 * HOUR_S
        bench.connect()
        bench.advance(300)
        assert offset_s(bench) == pytest.approx(2 * HOUR_S, abs=0.001)
        assert bench.sent("StartTransaction")[0]["timestamp"] == stamp(HOUR_S)

    def test_what_an_earlier_life_left_behind_stays(self) -> None:
        bench = self.offline()
        bench.charge()
        bench.swipe("TAG")
        bench.restart()
        Elsewhere(bench, HOUR_S)
        bench.connect()
        assert bench.sent("StartTransaction")[0]["timestamp"] == stamp(0)

    def test_what_a_power_cut_ended_keeps_its_moments(self) -> None:
        bench = self.offline()
        bench.charge()
        bench.restart()
        Elsewhere(bench, HOUR_S)
        bench.connect()
        assert bench.sent("StartTransaction")[0]["timestamp"] == stamp(0)
        stop = bench.sent("StopTransaction")[0]
        assert (stop["reason"], stop["timestamp"]) == ("PowerLoss", stamp(0))
        assert {value["timestamp"] for value in stop["transactionData"]} == {stamp(0)}

    def test_a_status_from_before_is_stamped_in_the_new_time(self) -> None:
        bench = Bench()
        Elsewhere(bench, HOUR_S)
        bench.advance(10)
        bench.plug_in()
        bench.advance(10)
        bench.connect()
        assert bench.sent("StatusNotification")[-1]["timestamp"] == stamp(HOUR_S + 10)
        bench.restart()
        bench.advance(10)
        bench.connect()
        assert bench.sent("StatusNotification")[-1]["timestamp"] == stamp(HOUR_S + 10)
