"""Configuration files as text: YAML 1.2, source text by type, and all mistakes with line, key and remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.config import DriverConfig, StationConfig, load, parse
from chargepoint.config.source import parse as parse_document
from chargepoint.errors import ConfigError


def problems(text: str) -> list[str]:
    """What `parse` finds wrong with a text."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "station.yaml")
    return caught.value.problems


@pytest.mark.parametrize(
    "text",
    ["04E12345", "1.10", "0123", "yes", "1e5", "2024-01-01", "12:30:00", "0x1F", "NaN", "+49", "None", ".5"],
)
@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_text_needs_no_quotes(text: str, quote: str) -> None:
    assert parse(f"identity: {quote}{text}{quote}").identity == text


def test_folded_lines_become_one() -> None:
    assert parse("station:\n  vendor: >-\n    One\n    Two\n").station.vendor == "One Two"


@pytest.mark.parametrize("spelling", ["null", "~", ""])
def test_an_unquoted_null_is_nothing_where_nothing_is_possible(spelling: str) -> None:
    assert parse(f"station: {{firmware_version: {spelling}}}").station.firmware_version is None


def test_a_quoted_null_is_text() -> None:
    assert parse('station: {iccid: "null"}').station.iccid == "null"


def test_null_is_refused_where_something_is_needed() -> None:
    assert problems("identity: ~") == [
        "station.yaml:1: identity: is not text (is null); write text of at most 255 characters"
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [("16", 16.0), ("16.5", 16.5), ("1.6e1", 16.0), ('"16"', 16.0), ("+16", 16.0), ("016", 16.0)],
)
def test_numbers_are_read_from_their_source_text(written: str, value: float) -> None:
    assert parse(f"connectors: [{{max_current_a: {written}}}]").connectors[0].max_current_a == value


@pytest.mark.parametrize("written", [".inf", ".nan", "1e999", "sixteen", "16 A", "true", "[16]", "{a: 16}"])
def test_what_is_no_finite_number_is_refused(written: str) -> None:
    (problem,) = problems(f"connectors: [{{max_current_a: {written}}}]")
    assert problem.startswith("station.yaml:1: connectors[0].max_current_a: ")
    assert "a number of amperes" in problem or "at most 2000" in problem


@pytest.mark.parametrize(("written", "value"), [("true", True), ("False", False), ("TRUE", True)])
def test_truth_is_spelled_as_in_yaml_1_2(written: str, value: bool) -> None:
    assert (
        parse(f"behaviour: {{restart_without_replug: {written}}}").behaviour.restart_without_replug is value
    )


@pytest.mark.parametrize("written", ["yes", "on", "1", "y"])
def test_truth_has_no_other_spelling(written: str) -> None:
    (problem,) = problems(f"behaviour: {{restart_without_replug: {written}}}")
    assert problem == (
        "station.yaml:1: behaviour.restart_without_replug: "
        f'is not true or false (is "{written}"); write true or false'
    )


def test_a_choice_may_mix_words_and_truth() -> None:
    switch = "allow_unsigned_firmware"
    assert parse(f"compatibility: {{{switch}: true}}").compatibility.allow_unsigned_firmware is True
    assert (
        parse(f"compatibility: {{{switch}: by_profile}}").compatibility.allow_unsigned_firmware
        == "by_profile"
    )
    assert len(problems(f"compatibility: {{{switch}: 1}}")) == 1


def test_the_keys_of_a_driver_are_its_own_and_keep_what_is_no_plain_number() -> None:
    document = parse_document(
        "first: {driver: rdm6300, port: /dev/ttyUSB0, baud: 9600, wait_s: 0.5}\n"
        "second: {driver: other, id: 007, tag: 04E1, on: true, x: ~}\n",
        "configuration",
    )
    first, second = (DriverConfig.model_validate(document.tree[name]) for name in ("first", "second"))
    assert (first.driver, second.driver) == ("rdm6300", "other")
    assert first.options == {"port": "/dev/ttyUSB0", "baud": 9600, "wait_s": 0.5}
    assert second.options == {"id": "007", "tag": "04E1", "on": True, "x": None}


def test_json_is_accepted() -> None:
    config = parse(json.dumps({"identity": "CP\u00fc7", "connectors": [{"max_current_a": 16}], "site": None}))
    assert (config.identity, config.connectors[0].max_current_a) == ("CP\u00fc7", 16.0)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n", "{}"])
def test_a_file_that_says_nothing_gives_the_defaults(text: str) -> None:
    assert parse(text) == StationConfig()


def test_a_group_whose_lines_are_all_comments_has_its_defaults() -> None:
    assert parse("ocpp:\n  # MessageTimeout: 5\ncsms:\nreaders:\nconnectors:\n") == StationConfig()


def test_aliases_repeat_what_they_name() -> None:
    config = parse("connectors:\n  - &one {max_current_a: 16}\n  - *one\n")
    assert [connector.max_current_a for connector in config.connectors] == [16.0, 16.0]


def test_all_mistakes_are_listed_in_the_order_of_their_lines() -> None:
    text = """\
identity: CP7
csms:
  url: http://host/ocpp
  authorisation_key: secret
  reconnect: {min_s: ten}
connectors:
  - max_current_a: 5
  - {current: dc, phases: 4}
ocpp:
  MeterValueSampleIntervall: 60
  heartbeatinterval: -1
vehicle: compakt
colour: red
"""
    found = problems(text)
    assert [problem.split(": ")[:2] for problem in found] == [
        ["station.yaml:3", "csms.url"],
        ["station.yaml:4", "csms.authorisation_key"],
        ["station.yaml:5", "csms.reconnect.min_s"],
        ["station.yaml:7", "connectors[0].max_current_a"],
        ["station.yaml:8", "connectors[1].phases"],
        ["station.yaml:10", "ocpp.MeterValueSampleIntervall"],
        ["station.yaml:11", "ocpp.heartbeatinterval"],
        ["station.yaml:12", "vehicle"],
        ["station.yaml:13", "colour"],
    ]
    assert found[1].endswith("is not a known key; did you mean authorization_key?")
    assert found[2].endswith('is not a number (is "ten"); write a number of seconds from 0.01 to 3600')
    assert found[3].endswith("must be at least 6 (is 5); write a number of amperes from 6 to 80")
    assert found[5].endswith("did you mean MeterValueSampleInterval?")
    assert "secret" not in "".join(found)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1,\n", "station.yaml:2: is not YAML"),
        ("identity: CP1\n\tcsms: {}\n", "station.yaml:2: begins with a tab; indent with spaces"),
        ("a: *b\n", "station.yaml:1: is not YAML"),
        ("a: \x01\n", "station.yaml:1: holds a character that YAML forbids"),
        ("identity: CP1\n---\nidentity: CP2\n", "station.yaml:2: is not YAML"),
        ("- identity: CP1\n", "station.yaml:1: is not a group of keys"),
        ("just text\n", "station.yaml:1: is not a group of keys"),
        ("identity: !card x\n", "station.yaml:1: identity: has the tag !card"),
        ("? [a]\n: b\n", "station.yaml:1: has a list or group as a key"),
        ("csms: &x\n  tls: *x\n", "station.yaml:1: csms.tls: repeats itself without end"),
        ("identity: A\nstation: {}\nidentity: B", "station.yaml:3: identity: is written twice (first in"),
        ("csms: {url: null, url: null}\nfoo: 1", "station.yaml:1: csms.url: is written twice"),
        ("[" * 1000, "station.yaml: is nested too deeply"),
    ],
    ids=[
        "bracket", "tab", "unknown alias", "control character", "two documents", "list", "text", "tag",
        "list as key", "recursive alias", "duplicate key", "inner duplicate key", "depth",
    ],
)  # fmt: skip
@pytest.mark.search
def test_what_is_not_yaml_ends_at_the_first_mistake(text: str, problem: str) -> None:
    found = problems(text)
    assert len(found) == 1
    assert found[0].startswith(problem)


@pytest.mark.search
def test_aliases_of_aliases_end_before_memory_does() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "repeats itself without end" in problems("\n".join(lines))[0]


@given(st.text(max_size=200))
def test_any_text_is_either_a_configuration_or_a_list_of_mistakes(text: str) -> None:
    found = ["station.yaml: good"]
    try:
        parse(text, "station.yaml")
    except ConfigError as error:
        found = error.problems
    assert found
    assert all(problem.startswith("station.yaml") and "\n" not in problem for problem in found)


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "nowhere.yaml")
    assert caught.value.problems == [
        f"{tmp_path}/nowhere.yaml: cannot be read (No such file or directory); check the path"
    ]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


def test_a_file_that_is_not_utf_8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "station.yaml"
    path.write_bytes(b"identity: CP1\nstation: {model: W\xfcrfel}\n")
    with pytest.raises(ConfigError, match=r"station\.yaml:2: is not UTF-8 text"):
        load(path)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "station.yaml"
    path.write_bytes("\ufeffidentity: CP1\r\nvehicle: van\r\n".encode())
    assert (load(path).identity, load(path).vehicle) == ("CP1", "van")


def test_paths_begin_at_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    path = tmp_path / "station.yaml"
    path.write_text("csms: {tls: {ca: ca.pem, manufacturer_ca: /etc/hostname}}\n")
    config = load(path)
    assert config.csms.tls.ca == tmp_path / "ca.pem"
    assert config.csms.tls.manufacturer_ca == Path("/etc/hostname")
    assert config.storage == tmp_path / "chargepoint-data"


def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = tmp_path / "station.yaml"
    path.write_text("csms:\n  tls:\n    ca: ca.pem\n    cert: cert.pem\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [problem.split(": ")[:2] for problem in caught.value.problems] == [
        [f"{path}:3", "csms.tls.ca"],
        [f"{path}:4", "csms.tls.cert"],
    ]


def test_boot_fields_are_cut_to_their_limits_with_a_warning() -> None:
    warnings: list[str] = []
    config = parse(
        "station:\n  model: A model with a very long name\n  imsi: 01234567890123456789\n",
        "s",
        warnings.append,
    )
    assert config.station.model == "A model with a very "
    assert config.station.imsi == "01234567890123456789"
    assert warnings == ["s:2: station.model: is cut to 20 characters: A model with a very "]
