"""The section `firmware` of a configuration."""

from __future__ import annotations

import pytest

from chargepoint.config import StationConfig, parse
from chargepoint.config.firmware import FirmwareConfig
from chargepoint.config.section import Context
from chargepoint.errors import ConfigError


def problem(text: str) -> str:
    """The one thing that is wrong with a text."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "s")
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "place", "fault"),
    [
        ("firmware: {installer: command}", "firmware.command", "is needed by installer command"),
        ("firmware: {installer: command, command: []}", "firmware.command", "is needed"),
        ("firmware: {installer: command, command: ['']}", "firmware.command", "is needed"),
        ("firmware: {command: [/bin/true]}", "firmware.command", "installer command only"),
        ("firmware: {installer: commando}", "firmware.installer", "simulated or command"),
        ("firmware: {installer: command, command: /bin/true}", "firmware.command", "list"),
        ("firmware: {timeout_s: 0}", "firmware.timeout_s", "at least 1"),
        ("firmware: {blocks_charging: maybe}", "firmware.blocks_charging", "true or false"),
        (
            "behaviour: {transfers: simulated}\nfirmware: {installer: command, command: [/bin/true]}",
            "firmware.installer",
            "behaviour.transfers",
        ),
    ],
)
def test_what_cannot_be(text: str, place: str, fault: str) -> None:
    assert place in problem(text)
    assert fault in problem(text)


def test_a_command_with_its_arguments() -> None:
    config = parse("firmware: {installer: command, command: [/bin/install, '{file}', 1.10], timeout_s: 5}")
    assert config.firmware == FirmwareConfig(
        installer="command", command=("/bin/install", "{file}", "1.10"), timeout_s=5
    )


def test_the_usual() -> None:
    assert StationConfig().firmware == FirmwareConfig(
        installer="simulated", timeout_s=600, blocks_charging=True
    )


@pytest.mark.parametrize(
    ("program", "found"), [("sh", True), ("/bin/sh", True), ("/no/such", False), ("/tmp", False)]
)
def test_the_program_is_looked_for_when_files_are(program: str, found: bool) -> None:
    values = {"installer": "command", "command": (program,)}
    FirmwareConfig.model_validate(values, context=Context())
    if found:
        FirmwareConfig.model_validate(values, context=Context(look_for_files=True))
    else:
        with pytest.raises(ValueError, match="names no program that can be run"):
            FirmwareConfig.model_validate(values, context=Context(look_for_files=True))
