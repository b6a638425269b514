"""docs/scenarios.md: its tables name every key there is and no other, and its examples are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chargepoint.config.wording import keys_of
from scenarios import expressions
from scenarios.condition import Condition
from scenarios.model import ScenarioFile, StationEntry, parse
from scenarios.step import KINDS, STATION_VERBS, Csms, Repeat, Wait
from scenarios.verdict import Verdict

PAGE = (Path(__file__).parents[3] / "docs" / "scenarios.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^##+ ([^\n]+)\n(.*?)(?=^##+ |\Z)", PAGE, re.DOTALL | re.MULTILINE))


def first_cells(section: str) -> set[str]:
    """The keys in the first column of a section's tables."""
    cells = re.findall(r"^\| ([^|]+) \|", SECTIONS[section], re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`(\w+)", cell)}


def test_every_key_of_the_file() -> None:
    assert first_cells("The file") == set(keys_of(ScenarioFile))
    assert all(
        f"`{key}" in SECTIONS["The file"] or f"{key}:" in SECTIONS["The file"]
        for key in keys_of(StationEntry)
    )


def test_every_key_of_a_condition() -> None:
    written = first_cells("expect, wait, expect_never: conditions") - {"Accepted"}
    partial = {"null", "10", "true", "any_of"}
    assert written - partial == set(keys_of(Condition)) - {"exactly"}


def test_every_verb_and_step() -> None:
    verbs = SECTIONS["What somebody does at the station"]
    assert {verb for verb in STATION_VERBS if f"`{verb}`" in verbs} == set(STATION_VERBS)
    assert {kind for kind in KINDS if f"`{kind}" in PAGE or f"- {kind}:" in PAGE} == set(KINDS)


def test_every_key_of_the_larger_steps() -> None:
    for model, section in ((Csms, "csms: what the central system does"), (Repeat, "Groups of steps")):
        missing = [key for key in keys_of(model) if key not in SECTIONS[section]]
        assert not missing, missing
    assert all(key in PAGE for key in set(keys_of(Wait)) - set(keys_of(Condition)) - {"for"})


def test_every_function() -> None:
    named = set(re.findall(r"`(\w+)`", SECTIONS["Variables and expressions"]))
    assert set(expressions._FUNCTIONS) <= named


def test_every_verdict() -> None:
    assert first_cells("Running") == set()
    assert {verdict.value for verdict in Verdict} - {"NOT RUN"} == set(
        re.findall(r"^\| ([A-Z]+) \|", SECTIONS["Running"], re.MULTILINE)
    )


@pytest.mark.parametrize("section", ["wait", "csms: what the central system does", "Groups of steps"])
def test_the_steps_shown_are_right(section: str, tmp_path: Path) -> None:
    shown = re.findall(r"^    (- .*(?:\n      .*)*)", SECTIONS[section], re.MULTILINE)
    assert shown
    steps = "\n".join(re.sub(r"^    ", "", step, flags=re.MULTILINE) for step in shown)
    steps = steps.replace("[...]", "[{wait: 1s}]")
    (tmp_path / "common.yaml").write_text("steps: [{wait: 1s}]\n")
    indented = re.sub(r"^", "  ", steps, flags=re.MULTILINE)
    head = "title: T\nvariables: {tag: TAG1}\nsteps:\n"
    assert len(parse(f"{head}{indented}\n", folder=tmp_path).file.steps) == len(shown)


def test_the_first_example_is_right() -> None:
    (example, *_) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(parse(example).file.steps) == 9
