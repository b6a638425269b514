"""Outcomes as JUnit XML: a test case for each scenario and, beside them, for each rule that was looked at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from scenarios.rules import Rule, rules
from scenarios.telling import details
from scenarios.verdict import Outcome, Verdict

__all__ = ["junit"]

NAME = "chargepoint scenario"

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS = {
    Verdict.FAIL: "failure",
    Verdict.ERROR: "error",
    Verdict.SKIPPED: "skipped",
    Verdict.NOT_RUN: "skipped",
}
_OF_RULES = {"FAIL": "failure", "ERROR": "error"}


def junit(outcomes: Sequence[Outcome]) -> bytes:
    """The document, in UTF-8."""
    suites = ET.Element("testsuites", {"name": NAME})
    total_s = sum(outcome.real_s for outcome in outcomes)
    _suite(suites, NAME, total_s, [_case(outcome) for outcome in outcomes])
    if found := rules(outcomes):
        _suite(suites, f"{NAME} rules", 0.0, [_rule(rule) for rule in found])
    for count in ("tests", "failures", "errors", "skipped"):
        suites.set(count, str(sum(int(suite.get(count, 0)) for suite in suites)))
    suites.set("time", f"{total_s:.3f}")
    ET.indent(suites)
    document: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _suite(suites: ET.Element, name: str, real_s: float, cases: list[ET.Element]) -> None:
    counts = {
        count: str(sum(case.find(element) is not None for case in cases))
        for count, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    }
    attributes = {"name": name, "tests": str(len(cases)), **counts, "time": f"{real_s:.3f}"}
    ET.SubElement(suites, "testsuite", attributes).extend(cases)


def _rule(rule: Rule) -> ET.Element:
    """By profile; what was seen instead of what the rule wants, and the frames up to then."""
    names = {"classname": rule.profile, "name": _clean(f"{rule.message}: {rule.rule}"), "time": "0.000"}
    case = ET.Element("testcase", names)
    if rule.verdict != "PASS":
        told = ET.SubElement(case, _OF_RULES.get(rule.verdict, "skipped"))
        told.set("message", _clean(rule.why or rule.verdict.lower()))
        if told.tag != "skipped":
            told.set("type", rule.verdict)
        told.text = _clean("\n".join((rule.scenario, *rule.frames)))
    return case


def _case(outcome: Outcome) -> ET.Element:
    folder, _, _ = outcome.name.rpartition("/")
    case = ET.Element(
        "testcase",
        {
            "classname": _clean(folder.replace("/", ".") or "scenarios"),
            "name": _clean(f"{outcome.name}: {outcome.title}"),
            "time": f"{outcome.real_s:.3f}",
        },
    )
    properties = ET.SubElement(case, "properties")
    setup = {"seed": outcome.seed, "clock": outcome.clock, "csms": outcome.csms, **outcome.numbers}
    for name, value in setup.items():
        ET.SubElement(properties, "property", {"name": name, "value": _clean(str(value))})
    if outcome.verdict is not Verdict.PASS:
        message = outcome.why or outcome.verdict.value.lower()
        attributes = {"message": _clean(message)}
        if _ELEMENTS[outcome.verdict] != "skipped":
            attributes["type"] = outcome.verdict.value
        told = ET.SubElement(case, _ELEMENTS[outcome.verdict], attributes)
        told.text = _clean("\n".join(details(outcome)))
    return case


def _clean(text: str) -> str:
    """Without what no XML may hold."""
    return _NO_XML.sub("?", text)
