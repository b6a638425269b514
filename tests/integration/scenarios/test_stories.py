"""Stories at the embedded central system: every kind of step, what it needs to pass, and how it fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chargepoint.errors import ConfigError
from scenarios.model import load, parse
from scenarios.runner import RunOptions, run
from scenarios.verdict import Outcome, State, Verdict


def play(steps: str, options: RunOptions | None = None, head: str = "") -> Outcome:
    """The outcome of a story on the stepped clock."""
    indented = "".join(f"  {line}\n" for line in steps.strip("\n").splitlines())
    return asyncio.run(run(parse(f"title: T\n{head}\nsteps:\n{indented}"), options))


def passed(steps: str, options: RunOptions | None = None, head: str = "") -> Outcome:
    outcome = play(steps, options, head)
    assert outcome.verdict is Verdict.PASS, outcome.why
    assert all(step.state in (State.PASSED, State.LEFT_OUT) for step in outcome.every_step())
    return outcome


def failed(steps: str, head: str = "") -> str:
    outcome = play(steps, head=head)
    assert outcome.verdict is Verdict.FAIL, (outcome.verdict, outcome.why)
    return outcome.why


CHARGE = """
- plug_in: {connector: 1, ev: compact}
- swipe: {id_tag: TAG1}
- expect: {frame: StartTransaction, where: {connectorId: 1, idTag: TAG1}, save: {tx: response.transactionId}}
"""


def test_plug_first_then_the_card() -> None:
    outcome = passed(
        CHARGE
        + """
- wait: 30m
- expect: {meter: {session_wh: "> 2000"}, that: power_w < 11500 and tx == transaction_id}
- expect: {frame: MeterValues, times: 30, where: {transactionId: "{tx}"}}
- expect_never: {frame: MeterValues}
- swipe: {id_tag: TAG1}
- expect: {frame: StopTransaction, where: {transactionId: "{tx}"}, that: meterStop > 2000}
"""
    )
    assert outcome.ended_at - outcome.began_at == 1800
    assert outcome.real_s < 20


def test_the_same_seed_gives_the_same_frames() -> None:
    def frames(seed: int) -> list[str]:
        head = "stations: [{station: {ocpp: {MeterValueSampleInterval: 600}}}]"
        outcome = passed(CHARGE + "- wait: 24h", RunOptions(seed=seed, start=1_774_742_400.0), head)
        return [frame.text for frame in outcome.stations["CP001"].frames]

    first = frames(7)
    assert len(first) > 280
    assert frames(7) == first
    assert frames(8) != first


def test_an_answer_that_is_withheld_costs_no_real_time() -> None:
    steps = """
- csms: {answer: Heartbeat, silent: true, times: 1}
- send: {action: Heartbeat}
- wait: 1m
- csms: {answer: StartTransaction, silent: true, times: 2}
- plug_in: {connector: 1, ev: compact}
- swipe: {id_tag: TAG1}
- expect: {frame: StartTransaction, times: 2, within: 10m}
- expect: {frame: StartTransaction, answer: {transactionId: "*"}, within: 10m}
- disturb: {link: slow, latency: 2s, for: 5m}
- csms: {answer: MeterValues, silent: true, times: 1}
- expect: {frame: MeterValues, times: 3, within: 10m}
"""
    outcomes = [passed(steps, RunOptions(seed=7)) for _ in range(2)]
    assert max(outcome.real_s for outcome in outcomes) < 5
    assert outcomes[0].lost_s == 0
    first, second = (
        [(frame.at, frame.text) for frame in outcome.stations["CP001"].frames] for outcome in outcomes
    )
    assert first == second
    starts = [
        exchange.t
        for exchange in outcomes[0].stations["CP001"].exchanges
        if exchange.action == "StartTransaction"
    ]
    assert starts[1] - starts[0] > 30  # MessageTimeout, of the station's own time


def test_an_answer_that_is_delayed_takes_station_time_and_no_real_time() -> None:
    steps = """
- csms: {answer: Heartbeat, delay_s: 1800, times: 1}
- send: {action: Heartbeat}
- csms: {answer: StartTransaction, delay_s: 20, times: 1}
- plug_in: {connector: 1, ev: compact}
- swipe: {id_tag: TAG1}
- expect: {frame: StartTransaction, answer: {transactionId: "*"}, within: 1m}
- csms: {answer: MeterValues, delay_s: 45, times: 1}
- expect: {frame: MeterValues, times: 3, within: 10m}
- wait: 1h
"""
    outcomes = [passed(steps, RunOptions(seed=7)) for _ in range(2)]
    assert max(outcome.real_s for outcome in outcomes) < 5
    assert outcomes[0].lost_s == 0
    first, second = (
        [(frame.at, frame.text) for frame in outcome.stations["CP001"].frames] for outcome in outcomes
    )
    assert first == second
    exchanges = outcomes[0].stations["CP001"].exchanges

    def waited_s(action: str) -> list[float]:
        found = [one for one in exchanges if one.action == action]
        return [round(one.reply.t - one.t, 3) for one in found if one.reply is not None]

    assert waited_s("Heartbeat")[0] == 1800
    assert waited_s("StartTransaction") == [20]
    assert waited_s("MeterValues")[0] == 45  # later than MessageTimeout, and so for nobody
    assert waited_s("MeterValues")[1] == 0


def test_set_knows_what_a_condition_knows() -> None:
    passed(
        CHARGE
        + """
- wait: 30m
- set: {wh: "= session_wh", plugged_in: plugged, tag: id_tag, asked: request.idTag, status: "= 'mine'"}
- expect: {that: "wh > 2000 and wh == session_wh and plugged_in and tag == 'TAG1' and asked == 'TAG1'"}
- set: {kept: "= status"}
- wait: 1m
- expect: {that: "kept == 'mine' and session_wh > wh"}
"""
    )


def test_each_frame_answers_for_one_expectation() -> None:
    why = failed(CHARGE + "- expect: {frame: StartTransaction, within: 3s}")
    assert why.startswith("waited 3s for StartTransaction: there came only")


def test_older_frames_are_gone_when_the_story_goes_on() -> None:
    why = failed(CHARGE + "- wait: 1m\n- expect: {frame: Authorize}")
    assert why == "waited 10s for Authorize: there came only StatusNotification, MeterValues"
    passed(CHARGE + "- wait: 1m\n- expect: {frame: Authorize, since: start}")


def test_what_must_never_come() -> None:
    why = failed(CHARGE + "- expect_never: {frame: MeterValues, for: 10m}")
    assert why == "MeterValues must not happen, and did at 2026-01-01T00:01:00.000Z"
    passed(CHARGE + "- expect_never: {frame: StopTransaction, for: 10m}")


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        (
            "{status: Faulted}",
            "waited 10s for status Faulted at connector 1: status is Charging, not Faulted",
        ),
        (
            "{frame: StatusNotification, where: {status: Faulted}}",
            "StatusNotification came, but status is Charging, not Faulted",
        ),
        ("{meter: {power_w: '> 50000'}}", "power_w is"),
        ("{limit: {offered_a: 10}}", "offered_a is 16.0, not 10"),
        ("{that: power_w < 5}", "power_w is"),
        ("{energy_wh: 90000, within: 1m}", "waited 1m for a session of 90000 Wh at connector 1"),
        ("{event: reboot}", "waited 10s for the event reboot: it did not come"),
        ("{online: false}", "waited 10s for no link"),
        ("{status: Faulted, message: It burns}", "It burns (waited 10s for status Faulted"),
        ("{frames: [{frame: MeterValues}, {frame: Heartbeat}]}", "it came as far as 0 of them"),
    ],
)
def test_what_was_waited_for_and_what_there_was(condition: str, why: str) -> None:
    head = "stations: [{station: {connectors: [{max_current_a: 16}]}}]"
    assert why in failed(CHARGE + f"- wait: 10s\n- expect: {condition}", head)


def test_conditions_that_come_true_by_themselves() -> None:
    outcome = passed(
        CHARGE
        + """
- wait: {energy_wh: 5000, within: 2h}
- wait: {soc_percent: 90, within: 12h}
- ev: {connector: 1, draws: false}
- wait: {status: SuspendedEV}
- swipe: {id_tag: TAG1}
- plug_out: {connector: 1}
- expect: {status: [Finishing, Available], exactly: true}
- expect: {event: transaction, where: {phase: stopped}, save: {reason: reason}}
- expect: {that: reason == 'Local'}
"""
    )
    assert 3600 < outcome.ended_at - outcome.began_at < 12 * 3600


def test_the_central_system_commands_and_answers() -> None:
    passed(
        """
- csms: {call: ChangeConfiguration, payload: {key: MeterValueSampleInterval, value: 30}}
- csms:
    call: GetConfiguration
    payload: {key: [MeterValueSampleInterval]}
    save: {v: "configurationKey[0].value"}
- expect: {that: v == '30'}
- csms: {call: Reset, payload: {type: Moon}, error: "*"}
- csms: {answer: Authorize, payload: {idTagInfo: {status: Blocked}}, id_tag: 007, times: 1}
- plug_in: {connector: 1}
- swipe: {id_tag: 007}
- expect: {frame: Authorize, answer: {idTagInfo: {status: Blocked}}}
- expect_never: {frame: StartTransaction, for: 1m}
- swipe: {id_tag: 007}
- expect: {frame: StartTransaction}
- csms: drop
- expect: {event: connection, where: {online: false}}
- expect: {online: true, within: 2m}
- csms: stop
- expect: {online: false}
- csms: start
- expect: {online: true, within: 5m}
"""
    )
    why = failed("- csms: {call: Reset, payload: {type: Moon}}")
    assert why.startswith("Reset was answered by the CALLERROR")
    why = failed("- csms: {call: ClearCache, expect: {status: Rejected}}")
    assert why == "ClearCache was answered with status Accepted: status is Accepted, not Rejected"


def test_several_stations_on_one_clock_beside_each_other() -> None:
    outcome = passed(
        """
- parallel:
    - - plug_in: {connector: 1}
      - wait: 1h
      - swipe: {id_tag: A}
      - expect: {frame: StartTransaction}
    - - {plug_in: {connector: 1}, at: CP002}
      - {swipe: {id_tag: B}, at: CP002}
      - {expect: {frame: StartTransaction, where: {idTag: B}}, at: CP002}
      - wait: 30m
- {expect: {status: Charging}, at: CP002}
- expect: {status: Charging}
""",
        head="stations: [{id: CP001}, {id: CP002, template: wallbox-three-phase}]",
    )
    assert outcome.ended_at - outcome.began_at == pytest.approx(3600, abs=10)


def test_a_branch_that_fails_ends_the_others() -> None:
    outcome = play(
        """
- parallel:
    - [{wait: 10h}]
    - [{expect: {status: Faulted, within: 1m}}]
- wait: 1s
"""
    )
    assert outcome.verdict is Verdict.FAIL
    assert outcome.ended_at - outcome.began_at == 60
    states = {step.text: step.state for step in outcome.every_step()}
    assert states["wait 10h"] is State.BROKEN_OFF
    assert states["wait 1s"] is State.NOT_RUN


def test_groups_of_steps() -> None:
    outcome = passed(
        """
- repeat: {times: 2, steps: [{wait: "{n}m"}]}
- repeat:
    for_each: {tag: [A, B]}
    steps:
      - data_transfer: {vendor_id: "{tag}"}
      - expect: {frame: DataTransfer, where: {vendorId: "{tag}"}}
- repeat: {until: {that: "now_s >= 1767225900"}, steps: [{wait: 1m}]}
- if: {that: online}
  then: [{set: {x: "= 1 + 1"}}]
  else: [{wait: 9h}]
- group: {title: The end, steps: [{expect: {that: x == 2}}]}
"""
    )
    assert outcome.ended_at - outcome.began_at == 300
    assert [step.text for step in outcome.every_step() if step.state is State.LEFT_OUT] == ["wait 9h"]


def test_included_files_with_parameters(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "charge.yaml").write_text(
        "variables: {tag: DEFAULT}\n"
        "steps:\n  - plug_in: {connector: 1}\n  - swipe: {id_tag: '{tag}'}\n"
        "  - expect: {frame: StartTransaction, where: {idTag: '{tag}'}, save: {tx: response.transactionId}}\n"
        "  - include: leave.yaml\n"
    )
    (tmp_path / "parts" / "leave.yaml").write_text("steps: [{plug_out: {connector: 1}}]\n")
    story = tmp_path / "story.yaml"
    story.write_text(
        "title: T\nvariables: {tag: MINE}\nsteps:\n"
        "  - include: {file: parts/charge.yaml, with: {tag: OTHER}}\n"
        "  - include: parts/charge.yaml\n"
        "  - expect: {that: tx == 2 and tag == 'MINE'}\n"
    )
    outcome = asyncio.run(run(load(story)))
    assert outcome.verdict is Verdict.PASS, outcome.why


@pytest.mark.parametrize(
    ("start", "until", "hours"),
    [
        (
            "2026-03-28T12:00:00Z",
            '{until: "03:30", zone: Europe/Berlin}',
            13.5,
        ),  # 02:00 becomes 03:00 that night
        ("2026-03-28T12:00:00Z", '{until: "03:30"}', 15.5),
        ("2026-10-24T22:30:00Z", '{until: "04:00", zone: Europe/Berlin}', 4.5),  # 03:00 becomes 02:00
        ("2016-12-31T23:59:00Z", "{until: 2016-12-31T23:59:60Z}", 1 / 60),  # a leap second
        ("2038-01-19T03:00:00Z", "{until: 2038-01-19T04:00:00Z}", 1.0),  # beyond 32 bits
    ],
)
def test_times_of_day(start: str, until: str, hours: float) -> None:
    outcome = passed(f"- wait: {until}", head=f"start: {start}")
    assert (outcome.ended_at - outcome.began_at) / 3600 == pytest.approx(hours)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ("- plug_in: {connector: 1}\n- plug_in: {connector: 1}", "plug_in connector 1: plug_in:"),
        ("- plug_in: {connector: 9}", "plug_in connector 9: plug_in: there is no connector 9"),
        ("- {reboot: , at: 'CP{9}'}", "reboot: there is no station CP9; there are CP001"),
        ("- expect: {that: nope > 3}", "expect nope > 3: nope is not known here"),
        ("- expect: {that: now < 3}", "expect now < 3: now < 3: '<' not supported"),
        (
            "- set: {t: '= true'}\n- wait: '{t}'",
            "wait true: a value does not fit: 'True' is no length of time",
        ),
        (
            "- reboot\n- expect: {frame: BootNotification, where: {chargePointModel: '/(/'}, within: 1m}",
            "is no regular expression",
        ),
        ("- wait: {until: 2020-01-01T00:00:00Z}", "is over already"),
        ("- disturb: {hardware: pilot, connector: 9}", "disturb"),
        ("- csms: {answer: Heartbeat, payload: {}, error: X}", "csms: give one of payload, error and silent"),
    ],
)
def test_what_cannot_be_done_is_an_error(steps: str, why: str) -> None:
    outcome = play(f"{steps}\n- wait: 1s")
    assert outcome.verdict is Verdict.ERROR
    assert why in outcome.why
    assert [step.state for step in outcome.steps[-2:]] == [State.ERROR, State.NOT_RUN]


def test_stations_that_are_switched_on_by_the_story() -> None:
    passed(
        """
- expect: {online: false, within: 0s}
- csms: {answer: BootNotification, payload: {status: Rejected, interval: 900}, times: 1}
- start
- expect: {frame: BootNotification, answer: {status: Rejected}}
- expect: {that: registration == 'Rejected'}
- expect: {frame: BootNotification, answer: {status: Accepted}, within: 16m}
""",
        head="begin: off",
    )
    passed("- expect: {frame: BootNotification}\n- expect: {status: Available}", head="begin: powered")


def test_needs_that_are_not_met_are_skipped() -> None:
    outcome = play("- wait: 1s", RunOptions(clock="x100"), "needs: [stepped clock]")
    assert outcome.verdict is Verdict.SKIPPED
    assert outcome.why == "it needs --clock stepped"
    assert not outcome.steps


def test_disturbances_are_steps_and_background() -> None:
    outcome = passed(
        """
- disturb: {link: hard_cut, for: 1m}
- expect: {online: false}
- expect: {online: true, within: 5m}
- expect: {event: disturbance, since: start, where: {name: hard_cut}}
"""
    )
    assert any(event.name == "disturbance" for event in outcome.stations["CP001"].events)
    passed(
        "- plug_in: {connector: 1}\n- expect: {event: disturbance, since: start, within: 2m}",
        head="background: [{frame: duplicate, of: calls, action: StatusNotification}]",
    )


def test_a_story_that_takes_too_long_in_real_time_is_an_error() -> None:
    outcome = play("- wait: 1h", RunOptions(clock="wall", real_within_s=0.05))
    assert outcome.verdict is Verdict.ERROR
    assert outcome.why == "took longer than 0.05 real seconds"


def test_rounds_without_end_in_which_nothing_waits_can_be_broken_off() -> None:
    rounds = "- repeat: {times: 100000000, steps: [{set: {a: '= 1'}}]}"
    outcome = play(rounds, RunOptions(real_within_s=0.05))
    assert outcome.why == "took longer than 0.05 real seconds"


def test_a_scaled_clock() -> None:
    outcome = passed(CHARGE + "- wait: 5m\n- expect: {energy_wh: 500}", RunOptions(clock="x4000"))
    assert outcome.real_s < 30


def test_variables_are_made_of_those_before_them() -> None:
    head = 'variables: {n: 5, told: "it is {n}", more: "{n * 2}"}'
    passed("- expect: {that: told == 'it is 7' and more == 14}", RunOptions(variables={"n": 7}), head)


def test_variables_from_outside_win() -> None:
    passed(
        "- expect: {that: tag == 'B' and cp == 'MINE'}",
        RunOptions(variables={"tag": "B", "me": "MINE"}),
        "variables: {tag: A, me: X}\nstations: [{id: '{me}'}]",
    )


def test_what_is_shown_can_be_kept_and_compared_later() -> None:
    passed(
        CHARGE
        + """
- wait: 10m
- expect: {meter: {connector: 1}, save: {before_wh: session_wh, half_w: "= power_w / 2"}}
- wait: 10m
- expect: {that: "session_wh - before_wh > 1000 and 2 * half_w == power_w"}
- expect: {status: [Preparing, Charging], since: start, save: {now_is: status}}
- expect: {that: "now_is == 'Charging'"}
"""
    )


def test_where_messages_are_lost_a_boot_notification_is_sent_again() -> None:
    lost = "background: [{frame: drop, action: BootNotification, times: 2}]"
    passed("- expect: {that: \"now >= '2026-01-01T00:02'\"}", head=lost)


def test_a_half_open_link_from_the_beginning_takes_the_first_connection() -> None:
    outcome = passed(
        "- expect: {event: disturbance, since: start, where: {name: half_open}}",
        head="background: [{link: half_open}]",
    )
    lost = [e.fields for e in outcome.stations["CP001"].events if e.name == "connection"][:2]
    assert [fields["online"] for fields in lost] == [True, False]


def test_lost_pings_are_told() -> None:
    passed("- disturb: {link: ping_loss, for: 10m}\n- expect: {event: disturbance}")


def test_the_tree_names_stations_and_lengths_as_they_were() -> None:
    outcome = passed(
        """
- repeat: {for_each: {cp: [A, B]}, steps: [{at: "{cp}", disturb: {link: slow, latency: 300ms, for: 10m}}]}
""",
        head="stations: [{id: A}, {id: B}]",
    )
    told = [(step.at, step.text) for step in outcome.every_step() if step.kind == "disturb"]
    assert told == [(cp, "disturb link slow, for 10m, latency 0.3s") for cp in "AB"]
    beyond = play("- {at: '{cp + seed}', wait: 1s}")
    assert beyond.verdict is Verdict.ERROR
    assert beyond.steps[0].state is State.ERROR


# --- the story's clock in what is expected ----------------------------------------------------------------


def test_a_time_stamp_is_measured_from_where_the_story_went_on() -> None:
    """Plug, seven seconds, card: the start is stamped seven seconds after what is looked at began."""
    passed(
        """
- wait: 1m
- expect: {online: true}
- plug_in: {connector: 1, ev: compact}
- wait: 7s
- swipe: {id_tag: TAG1}
- expect:
    frames:
      - {frame: StatusNotification, where: {status: Preparing, timestamp: "~ {moment(since_s)} +- 0.5"}}
      - {frame: StartTransaction, that: "seconds(timestamp) == since_s + 7 and since_s == began_s + 60"}
      - {frame: StatusNotification, where: {status: Charging}, that: seconds(timestamp) < since_s + 10}
- expect: {frame: Authorize, that: t == since_s + 7}
- wait: 1m
- expect: {frames: [{frame: MeterValues, that: "seconds(meterValue[0].timestamp) == since_s + 58"}]}
"""
    )


def test_since_the_start_the_story_began_then() -> None:
    passed(
        "- wait: 1h\n- plug_in: {connector: 1}\n"
        "- expect: {frame: BootNotification, since: start, that: since_s == began_s and t - since_s < 1}"
    )


def test_a_frame_in_a_sequence_that_comes_too_late_says_so() -> None:
    why = failed(
        CHARGE.partition("- expect")[0]
        + "- expect:\n    frames:\n"
        + "      - {frame: Authorize}\n      - {frame: StartTransaction, that: seconds(timestamp) < since_s}"
    )
    assert (
        "it came as far as 1 of them: StartTransaction came, but seconds(timestamp) < since_s is not" in why
    )


def test_a_frame_in_a_sequence_is_known_by_its_answer_and_by_what_a_path_finds() -> None:
    passed(
        """
- csms: {answer: Authorize, error: InternalError, times: 1}
- plug_in: {connector: 1}
- swipe: {id_tag: TAG1}
- swipe: {id_tag: TAG1}
- expect:
    frames:
      - {frame: Authorize, error: InternalError}
      - {frame: Authorize, path: "response.idTagInfo.status == 'Accepted'"}
      - {frame: StartTransaction, path: response.transactionId}
"""
    )


def test_a_story_of_the_page_holds_at_any_start() -> None:
    """Its moments are counted from its beginning."""
    story = """
- csms:
    call: ReserveNow
    payload: {connectorId: 1, idTag: HERS, reservationId: 7, expiryDate: "{moment(began_s + 600)}"}
    expect: {status: Accepted}
- wait: {until: "{moment(began_s + 599)}"}
- expect: {status: Reserved, within: 0s}
- wait: {until: "{moment(began_s + 601)}"}
- expect: {status: Available, within: 0s}
"""
    for start in (1_772_409_600.0, 2_147_483_640.0, 1_774_745_999.5):
        passed(story, RunOptions(start=start))


# --- the time a story has ---------------------------------------------------------------------------------


@pytest.mark.parametrize("clock", ["stepped", "x600", "wall"])
def test_a_story_fails_at_the_moment_its_time_is_over(clock: str) -> None:
    within = "2s" if clock == "wall" else "30m"
    outcome = play(
        "- plug_in: {connector: 1}\n- wait: 1s\n- wait: 2d\n- plug_out: {connector: 1}",
        RunOptions(clock=clock, real_within_s=60),
        f"within: {within}",
    )
    assert outcome.verdict is Verdict.FAIL
    assert outcome.why == f"the story took longer than {within}: it was at wait 2d (line 6)"
    states = [State.PASSED, State.PASSED, State.FAILED, State.NOT_RUN]
    assert [step.state for step in outcome.steps] == states
    assert outcome.steps[2].message == f"the story's {within} were over"
    assert outcome.steps[2].ended_at is not None
    assert outcome.steps[2].ended_at - outcome.began_at < 7200  # and not two days
    if clock == "stepped":
        assert outcome.steps[2].ended_at - outcome.began_at == pytest.approx(1800, abs=0.01)


def test_nothing_happens_after_the_moment_at_which_the_time_was_over() -> None:
    outcome = play(CHARGE + "- wait: 10h", head="within: 10m")
    last = max(frame.at for frame in outcome.stations["CP001"].frames)
    assert last - outcome.began_at <= 600
    assert outcome.steps[-1].state is State.FAILED
    assert "MeterValues" in outcome.stations["CP001"].frames[-2].text  # the tenth came all the same


def test_what_ends_with_the_time_of_the_story_is_in_time() -> None:
    passed("- wait: 10m\n- expect: {online: true, within: 0s}", head="within: 10m")
    passed(
        "- expect_never: {frame: StartTransaction, for: 10m}", head="within: '{long}'\nvariables: {long: 10m}"
    )


def test_a_time_that_a_variable_gives_wrongly_is_an_error() -> None:
    outcome = play(
        "- wait: 1s", RunOptions(variables={"long": "soon"}), "within: '{long}'\nvariables: {long: 1m}"
    )
    assert outcome.verdict is Verdict.ERROR
    assert outcome.why.startswith("within: 'soon' is no length of time")
    with pytest.raises(ConfigError, match="2:1: within: lng is not known here; did you mean long"):
        parse("title: T\nwithin: '{lng}'\nvariables: {long: 1m}\nsteps: [{wait: 1s}]\n")


@pytest.mark.parametrize(
    "step",
    [
        "- expect: {frame: StartTransaction, within: 1h}",
        "- expect_never: {frame: StartTransaction, for: 1h}",
        "- repeat: {until: {online: false}, steps: [{wait: 1m}]}",
        "- group: {title: G, goes_on: true, steps: [{wait: 1h}]}",
    ],
)
def test_every_kind_of_step_is_cut_off(step: str) -> None:
    outcome = play(step + "\n- plug_in: {connector: 1}", head="within: 10m")
    assert outcome.verdict is Verdict.FAIL
    assert outcome.why.startswith("the story took longer than 10m: it was at ")
    assert outcome.steps[-1].state is State.NOT_RUN
    assert outcome.ended_at - outcome.began_at == pytest.approx(600, abs=0.01)


def test_of_branches_beside_each_other_all_that_were_under_way_are_told() -> None:
    outcome = play("- parallel: [[{wait: 1h}], [{wait: 2h}], [{wait: 1m}]]", head="within: 10m")
    assert outcome.why == "the story took longer than 10m: it was at wait 1h and wait 2h"
    one, other, third = outcome.steps[0].children
    assert [one.state, other.state, third.state] == [State.FAILED, State.FAILED, State.PASSED]


def test_what_was_broken_off_before_is_not_told_as_under_way() -> None:
    """The group fails and goes on: its second branch was broken off long before the time is over."""
    beside = "{parallel: [[{expect: {online: false, within: 10s}}], [{wait: 1m}]]}"
    outcome = play(f"- group: {{goes_on: true, steps: [{beside}]}}\n- wait: 1h", head="within: 10m")
    assert outcome.why.startswith("waited 10s for ")
    before = outcome.steps[0].children[0].children[1].children[0]
    assert (before.text, before.state, before.message) == ("wait 1m", State.BROKEN_OFF, "")
    assert outcome.steps[1].message == "the story's 10m were over"


# --- what the station's software knows nothing of, on a line that loses it ---------------------------------


LOST_MADE_UP = {
    "the CALL is dropped": "{frame: drop, action: Heartbeat, of: calls, times: 1}",
    "the answer is dropped": "{frame: drop, action: Heartbeat, of: answers, times: 1}",
    "the answer is withheld": "{frame: withhold, action: Heartbeat, times: 1}",
    "the answer is late": "{frame: late, action: Heartbeat, times: 1, delay: 40s}",
    "half of the CALL": "{frame: truncate, action: Heartbeat, of: calls, times: 1}",
    "an id that nobody knows": "{frame: wrong_id, action: Heartbeat, of: calls, times: 1}",
    "a dead line": "{link: half_open}",
}


@pytest.mark.parametrize("before", ["", "- send: {action: Heartbeat}\n"], ids=["line new", "line there"])
@pytest.mark.parametrize("fault", LOST_MADE_UP.values(), ids=LOST_MADE_UP)
def test_a_lost_call_of_nobody_holds_no_clock(fault: str, before: str) -> None:
    story = f"""
{before}- wait: 1s
- disturb: {fault}
- send: {{action: Heartbeat}}
- expect: {{event: disturbance, within: 1s}}
- wait: 1m
- disturb: {{calm: all}}
- wait: {{online: true, within: 5m}}
- send: {{action: Heartbeat}}
- expect: {{frame: Heartbeat, answer: {{currentTime: "*"}}, within: 1m}}
"""
    outcome = passed(story, RunOptions(real_within_s=25))
    assert outcome.lost_s == 0


def test_many_lost_calls_of_nobody_in_a_row() -> None:
    lost = ", ".join(["{send: {action: Heartbeat}}"] * 90)
    outcome = passed(
        "- disturb: {frame: drop, action: Authorize, of: calls}\n- swipe: {id_tag: TAG1}\n"
        f"- disturb: {{frame: drop, action: Heartbeat, of: calls}}\n- group: {{steps: [{lost}]}}\n"
        "- wait: 1m\n- disturb: {calm: all}\n"
        "- send: {action: Heartbeat}\n- expect: {frame: Heartbeat, answer: {currentTime: '*'}}\n"
    )
    assert outcome.lost_s == 0
    sent = [event for event in outcome.stations["CP001"].events if event.name == "disturbance"]
    assert len(sent) == 91  # and the Authorize, behind which all of them waited


def test_a_call_of_nobody_waits_no_longer_than_the_station_for_a_lost_one_of_its_own() -> None:
    outcome = passed(
        """
- send: {action: Heartbeat}
- expect: {frame: Heartbeat, answer: {currentTime: "*"}}
- disturb: {frame: drop, action: Authorize, of: calls, times: 1}
- swipe: {id_tag: TAG1}
- send: {action: Heartbeat}
- expect: {frame: Heartbeat, answer: {currentTime: "*"}, within: 2m, that: t > since_s + 25}
"""
    )
    assert outcome.lost_s == 0
