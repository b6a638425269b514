"""What the documentation tells people to type works: every command in it is run, every link leads somewhere.

The `sh` blocks of each section are typed into a shell one after the other, in an empty folder. Only what a
test cannot have is adapted: the address of the central system of the examples, an end for what runs for
minutes, Ctrl-C for what runs until then, smaller fleets, more patience with a machine that may stand still,
and a faster clock for the demonstration. A `make` word is not run again, which would make this very test run
itself; instead its recipe must be a command tested elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from chargepoint.actions import VERBS
from tests.e2e.shell import (
    COMMAND,
    PATIENCE_S,
    ROOT,
    Program,
    chargepoint,
    environment,
    put_on_path,
    refusing_port,
)

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#]+)\)")

EXAMPLE_URL = "ws://localhost:9000"
EXAMPLE_CONTROLS = ("http://127.0.0.1:8080", "http://127.0.0.1:8081")

RECIPES = {
    "run": "$(BIN)/chargepoint demo $(ARGS)",  # test_demo.py
    "test": "$(BIN)/python -m pytest -n 4 $(ARGS)",  # what runs this
    "interop": "$(BIN)/python -m tests.interop.build\n\t@$(BIN)/python -m pytest -n 2 tests/interop $(ARGS)",
    "help": None,  # run here
}
"""The `make` words of the documentation, and what each of them does."""

ELSEWHERE = {
    ". .venv/bin/activate",  # the shell of these tests has the command on its PATH already
    ".venv/bin/python -m pytest tests/contract/hal",  # part of every test run
}
"""Lines that are right by themselves."""


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks in this language, without their indentation."""
    found = BLOCK.findall(text)
    return [
        "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))
        for indent, name, text in found
        if name == language
    ]


def sections(page: Path) -> dict[str, str]:
    """Heading -> what follows up to the next, of the sections with commands."""
    text = page.read_text(encoding="utf-8")
    within = [(found.start(), found.end()) for found in BLOCK.finditer(text)]
    headings = [
        found
        for found in HEADING.finditer(text)
        if not any(start < found.start() < end for start, end in within)
    ]
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    parts = {heading[1]: text[heading.end() : end] for heading, end in zip(headings, ends, strict=True)}
    return {name: part for name, part in parts.items() if blocks(part, "sh")}


def commands(text: str) -> Iterator[str]:
    """Each command of the `sh` blocks; a here-document belongs to its command."""
    for block in blocks(text, "sh"):
        lines = iter(block.splitlines())
        for line in lines:
            command = [line]
            if end := re.search(r"<<'(\w+)'", line):
                for more in lines:
                    command.append(more)
                    if more == end[1]:
                        break
            yield "\n".join(command)


def bounded(command: str, url: str, controls: Mapping[str, str]) -> str:
    """The command with our central system's address, free ports for control over HTTP, and an end."""
    command = command.replace(EXAMPLE_URL, url)
    for example, free in controls.items():
        command = command.replace(example, free)
    if command == "chargepoint demo" or command.startswith("chargepoint demo "):
        return f"{re.sub(r' --speed [0-9]+', '', command)} --speed 1000"
    if command.startswith("chargepoint fleet run ") and "--control" not in command:
        fewer = re.sub(r"--count [0-9]+", "--count 20", command)
        quicker = re.sub(r"--for [0-9]+m", "--for 3m --clock x60", fewer)
        patient = re.sub(r" > 2s\"", ' > 60s"', quicker)
        return re.sub(r"--for [0-9]+h", "--for 30m", patient)
    return command


def runs_until_ctrl_c(command: str) -> bool:
    """A station with no end of its own."""
    return (
        command.startswith("chargepoint run ")
        and "--for" not in command
        and "--control" not in command
        and command[-1] != "&"
    )


def recipe(word: str) -> str:
    """What `make` does for this word."""
    found = re.search(rf"^{word}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found is not None, f"make knows no {word!r}"
    return found[1].strip().removeprefix("@")


SECTIONS = [
    pytest.param(part, id=f"{page.name}: {name}") for page in PAGES for name, part in sections(page).items()
]


def test_all_commands_are_in_sections() -> None:
    told = [command for page in PAGES for command in commands(page.read_text(encoding="utf-8"))]
    assert told == [command for part in SECTIONS for command in commands(str(part.values[0]))]
    assert len(told) > 50


@pytest.mark.timeout(600)  # a section is a story of up to ten commands, some in real time
@pytest.mark.parametrize("text", SECTIONS)
def test_every_command_works(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = put_on_path(tmp_path / "bin")
    controls = {example: f"http://127.0.0.1:{refusing_port()}" for example in EXAMPLE_CONTROLS}
    with contextlib.ExitStack() as stack:
        url = EXAMPLE_URL
        if EXAMPLE_URL in text:
            csms = stack.enter_context(
                Program("csms", "--port=0", "--json", "--quiet", cwd=tmp_path, fresh=False)
            )
            url = json.loads(csms.until('"ready"'))["url"]
        for command in commands(text):
            words = shlex.split(command.splitlines()[0])
            if command in ELSEWHERE:
                continue
            if words[0] == "make":
                word = words[1]
                assert word in RECIPES, f"{command}: say in this test what it does"
                assert RECIPES[word] in (None, recipe(word))
            elif words[:2] == ["chargepoint", "csms"]:
                serves(words[2:], folder)
            elif runs_until_ctrl_c(command):
                charges(bounded(command, url, controls), folder, path)
            else:
                works(bounded(command, url, controls), folder, path)


def charges(command: str, folder: Path, path: str) -> None:
    """It is accepted, where there is a hasty driver it charges, and Ctrl-C is its good end."""
    said: list[str] = []
    hasty = "--drive" in command and "--clock x60" in command
    with (folder / "stderr.txt").open("w") as errors:
        running = subprocess.Popen(
            f"exec {command}",
            shell=True,
            cwd=folder,
            env=environment(PATH=path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        with running:
            assert running.stdout is not None
            for line in running.stdout:
                said.append(line)
                if "connector 1  Charging" in line if hasty else "Accepted" in line:
                    running.send_signal(signal.SIGINT)
    told = f"{command}\n{''.join(said)}{(folder / 'stderr.txt').read_text()}"
    assert running.returncode == 0, told
    assert "Traceback" not in told
    assert "not connected" not in told
    assert "Accepted" in told
    assert "ended in good order" in said[-1], told


def works(command: str, folder: Path, path: str) -> None:
    """The shell carries it out to a good end."""
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment(PATH=path),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    if command.startswith("curl"):
        assert '"ok":false' not in done.stdout, f"{command}\n{done.stdout}"
    if command.startswith("chargepoint run") and "--control" not in command:
        assert "Accepted" in done.stdout, f"{command}\n{done.stdout}"


def serves(arguments: list[str], folder: Path) -> None:
    """The central system of the examples comes up; at a free port, since the usual one may be taken."""
    with Program("csms", *arguments, "--port=0", cwd=folder) as csms:
        csms.until("ready")
        csms.signal(signal.SIGINT)
        assert csms.end() == 0


def test_make_help_names_every_word_of_the_documentation() -> None:
    said = subprocess.run(("make", "-s", "help"), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for page in PAGES:
        for word in re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8")):
            assert re.search(rf"^  make {word} ", said, re.MULTILINE), f"{page.name}: make {word}"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not re.match(r"https?://", target):
            assert (page.parent / target).exists(), target


# --- docs/control.md ----------------------------------------------------------------------------------

CONTROL = ROOT / "docs" / "control.md"


def test_the_client_prints_what_the_page_says(tmp_path: Path) -> None:
    text = CONTROL.read_text(encoding="utf-8")
    (client,), (printed,) = blocks(text, "python"), blocks(text, "text")
    done = subprocess.run(
        (sys.executable, "-c", client),
        cwd=tmp_path,
        env=environment(PATH=put_on_path(tmp_path / "bin")),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stdout == printed, done.stderr


def test_the_page_names_every_verb_with_its_fields() -> None:
    rows = re.findall(
        r"^\| ((?:`\w+`(?:, )?)+) \|([^|]*)\|", CONTROL.read_text(encoding="utf-8"), re.MULTILINE
    )
    named = {verb: fields for verbs, fields in rows for verb in re.findall(r"`(\w+)`", verbs)}
    assert set(VERBS) <= set(named)
    for verb, fields in VERBS.items():
        assert set(fields) <= set(re.findall(r"`(\w+)", named[verb])), verb


def test_the_examples_of_the_page_are_json_and_its_commands_are_obeyed(tmp_path: Path) -> None:
    decoder = json.JSONDecoder()
    examples = []
    for block in blocks(CONTROL.read_text(encoding="utf-8"), "json"):
        while block := block.strip():
            example, end = decoder.raw_decode(block)
            examples.append(example)
            block = block[end:]
    orders = [example for example in examples if "cmd" in example]
    assert orders
    done = chargepoint(
        "run",
        "--control=stdio",
        "--storage=kept",
        cwd=tmp_path,
        stdin="".join(f"{json.dumps(o)}\n" for o in orders),
    )
    replies = [json.loads(line) for line in done.stdout.splitlines() if '"event"' not in line]
    assert replies == [{"ok": True}] * len(orders)


def test_the_pictures_fetch_nothing_and_the_script_still_draws(tmp_path: Path) -> None:
    script = ROOT / "docs" / "demo_picture.py"
    subprocess.run(
        (*COMMAND[:1], script, tmp_path / "demo.svg"), env=environment(), timeout=PATIENCE_S, check=True
    )
    for picture in (tmp_path / "demo.svg", *(ROOT / "docs").glob("*.svg")):
        text = picture.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?:|@import|@font-face|href", text), picture
    assert "SetChargingProfile" in (tmp_path / "demo.svg").read_text(encoding="utf-8").replace("&#160;", " ")
