"""What a run says of a central system, rule by rule: the groups of steps that are titled `Message: rule`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chargepoint.errors import ConfigError
from scenarios.model import every, load
from scenarios.telling import frames_around
from scenarios.verdict import Outcome, State, StepResult, Verdict

__all__ = ["CONFORMANCE", "Rule", "rules", "table"]

CONFORMANCE = "conformance"
"""The tag of scenarios whose groups are rules."""

_TITLE = re.compile(r"([A-Z]\w+): (.+)", re.DOTALL)
_VERDICTS = {
    State.PASSED: "PASS",
    State.FAILED: "FAIL",
    State.ERROR: "ERROR",
    State.BROKEN_OFF: "NOT RUN",
    State.NOT_RUN: "NOT RUN",
    State.LEFT_OUT: "LEFT OUT",
}
_PROFILES = {
    "FirmwareManagement": (
        "DiagnosticsStatusNotification", "FirmwareStatusNotification", "GetDiagnostics", "UpdateFirmware",
    ),
    "LocalAuthListManagement": ("GetLocalListVersion", "SendLocalList"),
    "Reservation": ("CancelReservation", "ReserveNow"),
    "SmartCharging": ("ClearChargingProfile", "GetCompositeSchedule", "SetChargingProfile"),
    "RemoteTrigger": ("TriggerMessage",),
    "Security": (
        "CertificateSigned", "DeleteCertificate", "ExtendedTriggerMessage", "GetInstalledCertificateIds",
        "GetLog", "InstallCertificate", "LogStatusNotification", "SecurityEventNotification",
        "SignCertificate", "SignedFirmwareStatusNotification", "SignedUpdateFirmware",
    ),
    "OCPP-J": ("CALL", "CALLRESULT", "CALLERROR"),
}  # fmt: skip
_PROFILE_OF = {message: profile for profile, messages in _PROFILES.items() for message in messages}
_A_MOMENT_S = 1e-6
_ORDER = ("ERROR", "FAIL", "NOT RUN", "SKIPPED", "LEFT OUT", "PASS")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule and what came of it.

    `why` says what was wrong, or what was missing to look at it; `frames` are the last ones up to then, as
    text, if it was broken.
    """

    message: str
    rule: str
    verdict: str  # PASS, FAIL, ERROR, NOT RUN, SKIPPED or LEFT OUT
    why: str
    scenario: str
    frames: tuple[str, ...] = ()

    @property
    def profile(self) -> str:
        """The feature profile of its message (OCPP 1.6 §3.3), `Security`, or `OCPP-J` for the framing."""
        return _PROFILE_OF.get(self.message, "Core")


def rules(outcomes: Iterable[Outcome]) -> list[Rule]:
    """The rules of all conformance scenarios by message; of one looked at twice the worse verdict."""
    worst: dict[tuple[str, str], Rule] = {}
    for outcome in outcomes:
        if CONFORMANCE in outcome.tags:
            for rule in _of(outcome):
                known = worst.get((rule.message, rule.rule))
                if known is None or _ORDER.index(rule.verdict) < _ORDER.index(known.verdict):
                    worst[rule.message, rule.rule] = rule
    return sorted(worst.values(), key=lambda rule: rule.message)


def _of(outcome: Outcome) -> Iterator[Rule]:
    if not outcome.steps:
        verdict = "SKIPPED" if outcome.verdict is Verdict.SKIPPED else "NOT RUN"
        for title in _titles(outcome.name):
            if parts := _TITLE.fullmatch(title):
                yield Rule(parts[1], parts[2], verdict, outcome.why, outcome.name)
        return
    for step in outcome.every_step():
        if step.kind == "group" and (parts := _TITLE.fullmatch(step.text)):
            verdict = _VERDICTS[step.state]
            why = step.message or (outcome.why if verdict == "NOT RUN" else "")
            yield Rule(parts[1], parts[2], verdict, why, outcome.name, _seen(outcome, step))


def _seen(outcome: Outcome, step: StepResult) -> tuple[str, ...]:
    """The last frames before a rule was given up, without those of the next step at the same moment."""
    if step.state not in (State.FAILED, State.ERROR) or step.began_at is None or step.ended_at is None:
        return ()
    return tuple(frames_around(outcome, max(step.began_at, step.ended_at - _A_MOMENT_S)))


def _titles(name: str) -> list[str]:
    try:
        return [step.group.title for step in every(load(name).file.steps) if step.group is not None]
    except ConfigError:
        return []


def table(outcomes: Iterable[Outcome]) -> list[str]:
    """The rules in columns, with what went wrong below each; empty where there are none."""
    found = rules(outcomes)
    if not found:
        return []
    wide, long = max(len(rule.message) for rule in found), max(len(rule.rule) for rule in found)
    lines = [f"{'message':<{wide}}  {'rule':<{long}}  verdict"]
    for rule in found:
        lines.append(f"{rule.message:<{wide}}  {rule.rule:<{long}}  {rule.verdict}")
        if rule.why and rule.verdict != "PASS":
            lines.append(f"{'':<{wide}}  {rule.why}")
    counts = {verdict: sum(rule.verdict == verdict for rule in found) for verdict in reversed(_ORDER)}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    return [*lines, f"{len(found)} rules: {told}"]
