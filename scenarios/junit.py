"""Outcomes as JUnit XML: one test case for each scenario; failed, in error and skipped kept apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from scenarios.telling import details
from scenarios.verdict import Outcome, Verdict

__all__ = ["junit"]

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS = {
    Verdict.FAIL: "failure",
    Verdict.ERROR: "error",
    Verdict.SKIPPED: "skipped",
    Verdict.NOT_RUN: "skipped",
}


def junit(outcomes: Sequence[Outcome]) -> bytes:
    """The document, in UTF-8."""
    named = [_ELEMENTS.get(outcome.verdict, "passed") for outcome in outcomes]
    counts = {
        "tests": str(len(outcomes)),
        "failures": str(named.count("failure")),
        "errors": str(named.count("error")),
        "skipped": str(named.count("skipped")),
        "time": f"{sum(outcome.real_s for outcome in outcomes):.3f}",
    }
    suites = ET.Element("testsuites", {"name": "chargepoint scenario", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": "chargepoint scenario", **counts})
    for outcome in outcomes:
        _case(suite, outcome)
    ET.indent(suites)
    document: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _case(suite: ET.Element, outcome: Outcome) -> None:
    folder, _, _ = outcome.name.rpartition("/")
    case = ET.SubElement(
        suite,
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


def _clean(text: str) -> str:
    """Without what no XML may hold."""
    return _NO_XML.sub("?", text)
