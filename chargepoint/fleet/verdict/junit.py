"""The verdict as JUnit XML: one test case for each criterion, and one for the run itself."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from chargepoint.fleet.verdict.outcome import Outcome
from chargepoint.fleet.verdict.verdict import Verdict
from chargepoint.ocpp16.times import format_time

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(outcome: Outcome, verdict: Verdict) -> bytes:
    """The document, in UTF-8."""
    seconds = f"{outcome.snapshot.at_s:.3f}"
    failed = sum(result.judged != "passed" for result in verdict.results) + bool(verdict.problems)
    counts = {"tests": str(1 + len(verdict.results)), "failures": str(failed), "errors": "0", "skipped": "0"}
    suite = ET.Element(
        "testsuite",
        {
            "name": "chargepoint fleet",
            **counts,
            "time": seconds,
            "timestamp": format_time(outcome.began_at).removesuffix("Z"),
        },
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in outcome.setup().items():
        ET.SubElement(properties, "property", {"name": name, "value": _clean(value)})
    _case(suite, "the run itself", seconds, "failed", list(verdict.problems))
    for result in verdict.results:
        problems = [] if result.judged == "passed" else [result.measured, *result.notes]
        case = _case(suite, f"fails if {result.criterion.text}", "0", result.judged, problems)
        if not problems:
            ET.SubElement(case, "system-out").text = _clean("\n".join((result.measured, *result.notes)))
    suites = ET.Element("testsuites", {"name": "chargepoint fleet", **counts, "time": seconds})
    suites.append(suite)
    ET.indent(suites)
    document: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _case(suite: ET.Element, name: str, seconds: str, judged: str, problems: list[str]) -> ET.Element:
    case = ET.SubElement(
        suite, "testcase", {"classname": "chargepoint.fleet", "name": _clean(name), "time": seconds}
    )
    if problems:
        message = _clean(f"{judged}: {problems[0]}")
        ET.SubElement(case, "failure", {"type": judged, "message": message}).text = _clean(
            "\n".join(problems)
        )
    return case


def _clean(text: str) -> str:
    """Without what no XML may hold."""
    return _NO_XML.sub("?", text)
