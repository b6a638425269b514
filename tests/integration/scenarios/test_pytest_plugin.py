"""The pytest plugin as a project that uses it sees it: pytest runs within this one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before the first run within a run, which forgets whatever it was the first to import.
import chargepoint.testing

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[3] / "docs" / "pytest.md"
EXAMPLES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run a file of tests under strict rules: warnings, unknown marks and left-over resources are errors."""

    def run(text: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=text)
        rules = ("-W", "error", "--strict-markers", "--strict-config", "-p", "no:cacheprovider", "-rs")
        return pytester.runpytest_inprocess(*rules, *options)

    return run


@pytest.fixture(scope="module")
def central() -> Iterator[str]:
    """The URL of a central system in a process of its own."""
    command = [sys.executable, "-m", "chargepoint", "csms", "--json", "--port", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.stdin.write('{"cmd": "shutdown"}\n')  # type: ignore[union-attr]  # it was started with a pipe
        process.communicate()


def test_the_page_has_its_three_examples() -> None:
    assert EXAMPLES.keys() == {"test_session", "test_rules", "test_backend", "conftest"}


@pytest.mark.parametrize(("name", "passed"), [("test_session", 1), ("test_rules", 6), ("test_backend", 1)])
def test_examples_of_the_page_run_at_the_embedded_central_system(run: Run, name: str, passed: int) -> None:
    run(EXAMPLES[name]).assert_outcomes(passed=passed)


def test_the_example_for_a_team_runs_at_its_own_central_system(
    run: Run, pytester: pytest.Pytester, central: str
) -> None:
    pytester.makeconftest(EXAMPLES["conftest"])
    run(EXAMPLES["test_backend"], "--csms-url", central, "--csms-clock", "stepped").assert_outcomes(passed=1)


def test_real_time_is_the_rule_at_another_central_system(run: Run, central: str) -> None:
    result = run(
        """
        from datetime import UTC, datetime

        def test_now(charge_point, clock):
            assert abs((clock.now() - datetime.now(UTC)).total_seconds()) < 5
            charge_point.plug_in(1)
            charge_point.expect_sent("StatusNotification", status="Preparing")
            charge_point.expect_status(1, "Preparing")

        def test_commands(csms):
            csms.call("Reset", type="Soft")
        """,
        "--csms-url",
        central,
    )
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines([f"*commands the embedded central system; {central} takes none from here"])


def test_transactions_are_ended_at_another_central_system(run: Run, central: str) -> None:
    """The next test's station hears from it that the card of the last one is free again."""
    result = run(
        """
        bench = []

        def test_left_charging(charge_point, _charge_point_bench):
            bench.append(_charge_point_bench)
            charge_point.plug_in(1)
            charge_point.swipe("TAG")
            charge_point.expect_sent("StartTransaction")

        def test_ended_in_good_order():
            frames = bench[0].members["CP001"].record.frames
            stop, answer = [frame for frame in frames if frame.action == "StopTransaction"]
            assert stop["reason"] == "Reboot"
            assert stop.answer is answer
        """,
        "--csms-url",
        central,
        "--csms-clock",
        "stepped",
    )
    result.assert_outcomes(passed=2)


AT_ONE_CENTRAL_SYSTEM = """
from pathlib import Path

def test_it(charge_points, worker_id):
    own, = charge_points()
    asked, = charge_points(identity="TEAM{worker:02d}-{n}")
    Path(worker_id).write_text(f"{own.identity} {asked.identity}")
    own.wait(lambda _: Path("gw0").exists() and Path("gw1").exists(), within="60s", what="the other worker")
    own.data_transfer("com.example")
    own.expect_answer("DataTransfer")
    for station in (own, asked):
        assert [event["online"] for event in station.events if event["event"] == "connection"] == [True]
"""


def test_workers_at_one_central_system_do_not_throw_each_other_out(
    pytester: pytest.Pytester, central: str
) -> None:
    """Each worker has its stations there when the other one's come."""
    pytester.makepyfile(test_it=AT_ONE_CENTRAL_SYSTEM)
    result = pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "-n", "2", "--dist", "each", "--csms-url", central
    )
    result.assert_outcomes(passed=2)
    said = [(pytester.path / name).read_text() for name in ("gw0", "gw1")]
    assert said == ["CP0-001 TEAM00-2", "CP1-001 TEAM01-2"]


def test_without_workers_an_identity_with_a_worker_in_it_has_the_first(run: Run) -> None:
    result = run(
        """
        def test_it(charge_points):
            assert [cp.identity for cp in charge_points(2, identity="T{worker}-{n}")] == ["T0-1", "T0-2"]
            assert charge_points(1, identity="A{worker:03}")[0].identity == "A000"
            assert charge_points()[0].identity == "CP004"
        """
    )
    result.assert_outcomes(passed=1)


def test_a_central_system_that_is_not_there_is_an_error_in_one_line(run: Run) -> None:
    result = run("def test_it(charge_point): pass", "--csms-url", "ws://127.0.0.1:9/ocpp")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["CP001: no central system at ws://127.0.0.1:9/ocpp/CP001: nothing listens at 127.0.0.1:9*"]
    )
    assert "Traceback" not in result.stdout.str()


def test_a_failure_says_what_was_waited_for_and_shows_the_frames(run: Run) -> None:
    result = run(
        """
        def test_status(charge_point):
            charge_point.plug_in(1)
            charge_point.expect_status(1, "Charging", within="5m")

        def test_sent(charge_point):
            charge_point.plug_in(1)
            charge_point.expect_sent("StatusNotification", connectorId=1, status="Finishing", within=20)

        def test_never(charge_point):
            charge_point.config("ClockAlignedDataInterval", 60)
            charge_point.expect_never("MeterValues", during="10m", connectorId=1)

        def test_wait(charge_point):
            charge_point.wait(lambda cp: cp.connector(1)["power_w"], what="power")

        def test_verb(charge_point):
            charge_point.plug_in(2)
        """
    )
    result.assert_outcomes(failed=5)
    result.stdout.fnmatch_lines(
        [
            "*NotSeen: CP001: waited 5m for connector 1 to be Charging; *through Available -> Preparing",
            "*now 2026-01-01T08:05:00.000Z, online, registration Accepted, connectors: 1 Preparing",
            "*OCPP frames*",
            "2026-01-01 08:00:00.000  CP001  → StatusNotification *Preparing*",
            '*waited 20 s for StatusNotification with connectorId 1 and status "Finishing" to be sent; *',
            "*MeterValues with connectorId 1 was sent, at 08:01:00",
            "*waited 30 s for power",
            "*ActionError: CP001: there is no connector 2",
        ]
    )
    assert "bench.py" not in result.stdout.str().replace("testing.bench.", "")  # the test's own line is shown


def test_mistakes_in_a_configuration_are_all_told(run: Run) -> None:
    result = run(
        """
        import pytest

        @pytest.mark.charge_point(config={"ocp": {}, "connectors": [{"phases": 4}]})
        def test_configuration(charge_point): pass

        @pytest.mark.charge_point(template="wallbox-one-phas")
        def test_template(charge_point): pass

        @pytest.mark.charge_point(start="noon")
        def test_start(charge_point): pass

        @pytest.mark.charge_point(tempalte="wallbox-one-phase")
        def test_marker(charge_point): pass

        @pytest.mark.charge_point(config={"csms": {"url": "ws://localhost/"}})
        def test_url(charge_point): pass

        def test_identity(charge_points):
            charge_points(1, identity="A")
            charge_points(1, identity="A")
        """
    )
    result.assert_outcomes(errors=5, failed=1)
    result.stdout.fnmatch_lines(
        [
            "connectors?0?.phases: must be at most 3 (is 4)*",
            "ocp: is not a known key; did you mean ocpp?",
            "wallbox-one-phas is not a template*",
            "start: *noon*",
            "the marker charge_point takes template, config, vehicle, identity, start by name",
            "csms.url: is where all stations of a test connect; say it with --csms-url",
            "*identity: A is there already*",
        ]
    )


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--csms-url", "http://localhost"), "*--csms-url: http://localhost is not an address*"),
        (("--csms-clock", "fast"), "*--csms-clock: fast is no clock*"),
        (("--csms-clock", "x0"), "*--csms-clock: x0 is no clock*"),
    ],
)
def test_bad_options_are_refused(run: Run, options: tuple[str, ...], complaint: str) -> None:
    result = run("def test_it(): pass", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([complaint])


def test_options_may_stand_in_the_ini_file(run: Run, pytester: pytest.Pytester, central: str) -> None:
    pytester.makeini(f"[pytest]\ncsms_url = {central}\ncsms_clock = x100\n")
    result = run(
        """
        def test_it(charge_point, clock, _charge_point_bench):
            before = clock.now()
            charge_point.advance(5)
            assert (clock.now() - before).total_seconds() >= 5
            assert charge_point.online and _charge_point_bench.url
        """
    )
    result.assert_outcomes(passed=1)


def test_the_same_test_gives_the_same_frames(run: Run) -> None:
    result = run(
        """
        import pytest
        stories = []

        @pytest.mark.parametrize("time", [1, 2])
        def test_story(charge_points, csms, clock, time):
            for charge_point in charge_points(3, template="street-post-dual"):
                charge_point.plug_in(1, ev={"kind": "van", "soc_percent": 70})
                charge_point.swipe("TAG", 1)
            clock.advance("2h")
            csms.call("RemoteStopTransaction", transactionId=1, cp="CP002")
            stories.append([frame.frame for frame in csms.frames])

        def test_same():
            assert len(stories[0]) > 100
            assert stories[0] == stories[1]
        """
    )
    result.assert_outcomes(passed=3)


def test_what_the_fixtures_can_do(run: Run) -> None:
    result = run(
        """
        import asyncio
        import time
        import pytest
        from chargepoint.testing import CallFailed, CallTimeout, NotConnected, NotSeen

        class TestMarked:
            pytestmark = pytest.mark.charge_point(start="2026-03-29T00:30:00Z", identity="X1")

            @pytest.mark.charge_point(config={"ocpp": {"MeterValueSampleInterval": 600}}, vehicle="city")
            def test_markers_add_up(self, charge_point, clock):
                assert charge_point.identity == "X1"
                assert clock.now().isoformat() == "2026-03-29T00:30:00+00:00"
                clock.advance_to("2026-03-29T02:00:00Z")
                assert clock.now().hour == 2
                with pytest.raises(ValueError, match="is past"):
                    clock.advance_to("2026-03-29")

        def test_clocks_in_stations_are_set(charge_point, clock):
            clock.jump("1h")
            assert charge_point.state()["now"] == "2026-01-01T09:00:00.000Z"
            clock.jump("2h", back=True)
            assert charge_point.state()["now"] == "2026-01-01T07:00:00.000Z"
            assert clock.now().hour == 8

        def test_each_expectation_takes_a_frame_of_its_own(charge_point):
            for _ in range(2):
                charge_point.plug_in()
                charge_point.plug_out()
            first = charge_point.expect_sent("StatusNotification", status="Preparing")
            second = charge_point.expect_sent("StatusNotification", status="Preparing")
            assert first is not second
            with pytest.raises(NotSeen):
                charge_point.expect_sent("StatusNotification", status="Preparing")

        def test_a_calling_central_system(charge_point, csms):
            assert csms.call("Reset", {"type": "Soft"}) == {"status": "Accepted"}
            reset = charge_point.expect_received("Reset", type="Soft")
            assert reset.answer.payload == {"status": "Accepted"} and not reset.from_station
            charge_point.wait(lambda cp: len(cp.sent("BootNotification")) == 2)
            [reboot] = [event for event in charge_point.events if event["event"] == "reboot"]
            assert reboot["reason"] == "SoftReset"
            charge_point.override("Reset", "Rejected")
            assert csms.call("Reset", type="Hard") == {"status": "Rejected"}
            charge_point.network(False)
            assert not charge_point.online
            with pytest.raises(NotConnected):
                csms.call("Reset", type="Hard")

        def test_answers(charge_point, csms):
            csms.answer("DataTransfer", error="SecurityError", times=1)
            charge_point.data_transfer("com.example", data="1")
            with pytest.raises(NotSeen, match="SecurityError"):
                charge_point.expect_answer("DataTransfer")
            charge_point.data_transfer("com.example", data="2")
            assert "status" in charge_point.expect_answer("DataTransfer", data="2")
            csms.drop()
            charge_point.expect_sent("Heartbeat", within="2d")

        def test_a_withheld_answer_costs_no_real_time(charge_point, csms):
            began = time.monotonic()
            csms.answer("StartTransaction", silent=True, times=1)
            charge_point.plug_in(1)
            charge_point.swipe("TAG1")
            first = charge_point.expect_sent("StartTransaction")
            again = charge_point.expect_sent("StartTransaction", within="5m")
            assert (again.at - first.at).total_seconds() > 30
            assert time.monotonic() - began < 5

        def test_the_first_boot_may_be_refused(charge_points, csms):
            csms.answer("BootNotification", {"status": "Rejected", "interval": 60}, times=2)
            [charge_point] = charge_points(accepted=False)
            assert charge_point.state()["registration"] == "Rejected"
            charge_point.wait(lambda cp: cp.state()["registration"] == "Accepted", within="3m")
            assert len(csms.received("BootNotification")) == 3

        def test_secrets_are_masked(charge_point, csms):
            secret = "0123456789abcdef0123"
            csms.call("ChangeConfiguration", key="AuthorizationKey", value=secret)
            assert secret not in str([frame.frame for frame in charge_point.frames + csms.frames])
            assert charge_point.received("ChangeConfiguration")

        def test_conditions_only_look(charge_point):
            with pytest.raises(RuntimeError, match="may only look"):
                charge_point.wait(lambda cp: cp.plug_in())

        def test_inside_a_loop(charge_point):
            async def story():
                charge_point.plug_in()
                charge_point.expect_status(1, "Preparing")
            asyncio.run(story())
        """
    )
    result.assert_outcomes(passed=10)


def test_fixtures_of_the_same_names_go_before(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture
        def clock(): return "mine"

        @pytest.fixture
        def csms(): return "mine"
        """
    )
    result = run(
        """
        def test_it(charge_point, clock, csms):
            assert clock == csms == "mine"
            charge_point.advance(1)
        """
    )
    result.assert_outcomes(passed=1)


def test_the_plugin_imports_nothing_of_the_station() -> None:
    """What each run of pytest costs where the package is installed; and a project may have scenarios too."""
    code = (
        "import sys, pytest; before = set(sys.modules)\n"
        "import chargepoint.pytest_plugin; print(sorted(set(sys.modules) - before))\n"
        "import chargepoint.testing; print('scenarios' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['chargepoint', 'chargepoint.pytest_plugin']\nFalse\n"


def test_all_verbs_are_methods() -> None:
    from chargepoint.actions import VERBS

    missing = {verb for verb in VERBS if not hasattr(chargepoint.testing.ChargePoint, verb)}
    assert missing == {"shutdown"}  # the test's end
