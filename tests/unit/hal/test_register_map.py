"""Register maps as files: the numbers in registers, the requests, and what is wrong with a map."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.modbus.meter import meter_names
from hal.modbus.number import TYPES, WordOrder, decode, encode, sentinel, width
from hal.modbus.register_map import load_map, map_names, parse_map, read_map

POINTS = "function: 3\npoints: "
SMALLEST = POINTS + "{power: {addr: 5, type: int16}}\n"


def words(layout: str, value: float) -> list[int]:
    data = struct.pack(">" + layout, value)
    return list(struct.unpack(f">{len(data) // 2}H", data))


@pytest.mark.parametrize(
    ("kind", "order", "registers", "value"),
    [
        ("int16", "big", [0xFFFE], -2),
        ("uint16", "big", [0xFFFE], 65534),
        ("int32", "big", [0xFFFF, 0xFFFE], -2),
        ("int32", "little", [0xFFFE, 0xFFFF], -2),
        ("uint32", "big", [0x0001, 0x0002], 65538),
        ("uint32", "little", [0x0002, 0x0001], 65538),
        ("int64", "big", [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE], -2),
        ("uint64", "big", [0, 0, 1, 2], 65538),
        ("uint64", "little", [2, 1, 0, 0], 65538),
        ("float32", "big", [0x4366, 0x0000], 230.0),
        ("float32", "little", [0x0000, 0x4366], 230.0),
        ("float64", "big", [0x406C, 0xC000, 0, 0], 230.0),
    ],
)
def test_numbers(kind: str, order: WordOrder, registers: list[int], value: float) -> None:
    assert decode(registers, kind, order) == value
    assert encode(value, kind, order) == registers
    assert width(kind) == len(registers)


@given(kind=st.sampled_from(TYPES), order=st.sampled_from(["big", "little"]), data=st.data())
def test_every_register_can_be_read_and_every_number_written(
    kind: str, order: WordOrder, data: st.DataObject
) -> None:
    registers = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=width(kind), max_size=width(kind)))
    number = decode(registers, kind, order)
    if not math.isnan(number):
        assert encode(number, kind, order) == registers
    anything = data.draw(st.floats(-1e30, 1e30))
    if kind != "float32":
        encode(anything, kind, order)


@pytest.mark.parametrize("kind", [kind for kind in TYPES if "int" in kind])
def test_the_number_that_means_nothing(kind: str) -> None:
    first = 0xFFFF if kind.startswith("uint") else 0x7FFF
    registers = [first] + [0xFFFF] * (width(kind) - 1)
    assert decode(registers, kind, "big") == sentinel(kind)


@pytest.mark.parametrize(
    ("point", "registers", "value"),
    [
        ("{addr: 5, type: int16, scale: 0.1}", [0xFF9C], -10.0),
        ("{addr: 5, type: int16}", [0x7FFF], None),
        ("{addr: 5, type: int16, nan: -32768}", [0x8000], None),
        ("{addr: 5, type: int16, nan: -32768}", [0x7FFF], 32767.0),
        ("{addr: 5, type: uint64}", [0xFFFF] * 4, None),
        ("{addr: 5, type: float32}", [0x7FC0, 0x0000], None),
        ("{addr: 5, type: float32}", [0xFF80, 0x0000], None),
        ("{addr: 5, type: float32, nan: -1}", [0xBF80, 0x0000], None),
    ],
    ids=["scaled", "absent", "own sign of absence", "which replaces", "all ones", "nan", "infinity", "float"],
)
def test_points(point: str, registers: list[int], value: float | None) -> None:
    there = parse_map("x", f"function: 3\npoints: {{power: {point}}}", "x.yaml").points[0]
    assert there.value(registers) == value
    assert there.value(there.registers(value)) == value


BLOCKS = """
function: 4
max_block: 8
max_gap: {gap}
points:
  power: {{addr: 20, type: float32}}
  power_l1: {{addr: 0, type: float32}}
  power_l2: {{addr: 2, type: float32}}
  power_l3: {{addr: 7, type: int16}}
  frequency: {{addr: 8, type: int16}}
  power_factor: {{addr: 20, type: float32}}
  energy_import: {{addr: 22, type: float32, fc: 3}}
  energy_export: {{addr: 24, type: float32, fc: 3}}
"""


@pytest.mark.parametrize(
    ("gap", "largest", "blocks"),
    [
        (0, None, [(3, 22, 4), (4, 0, 4), (4, 7, 2), (4, 20, 2)]),
        (3, None, [(3, 22, 4), (4, 0, 8), (4, 8, 1), (4, 20, 2)]),
        (3, 2, [(3, 22, 2), (3, 24, 2), (4, 0, 2), (4, 2, 2), (4, 7, 2), (4, 20, 2)]),
    ],
    ids=["never over gaps", "over gaps, up to the largest block", "smaller blocks"],
)
def test_requests(gap: int, largest: int | None, blocks: list[tuple[int, int, int]]) -> None:
    there = parse_map("x", BLOCKS.format(gap=gap), "x.yaml").blocks(largest)
    assert [(block.function, block.address, block.count) for block in there] == blocks
    assert sum(len(block.points) for block in there) == 8


def test_shipped_maps_are_found_by_name() -> None:
    assert {load_map(name).name for name in map_names()} == set(map_names())
    with pytest.raises(ValueError, match=r"no register map 'sdm'; there are abb-b21, .*sdm72d-m-2"):
        load_map("sdm")


def test_the_page_about_meters_knows_every_name_and_shows_a_map_that_works() -> None:
    page = (Path(__file__).parents[3] / "docs" / "meters.md").read_text(encoding="utf-8")
    assert [name for name in meter_names() if f"`{name}`" not in page] == []
    example = page.split("```yaml\n# my-meter.yaml")[1].split("```")[0]
    assert {point.name for point in parse_map("my-meter", "#" + example, "my-meter.yaml").points} >= {"power"}


def test_a_map_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        SMALLEST + "serial: {baudrate: 19200, parity: E}\nidentify: {addr: 1, type: uint16, values: [7]}\n"
    )
    there = read_map(file)
    assert (there.name, there.title, there.serial) == ("mine", "mine", {"baudrate": 19200, "parity": "E"})
    assert there.identify is not None
    assert there.identify.values == (7,)
    with pytest.raises(ValueError, match=r"nothing\.yaml: cannot be read: No such file"):
        read_map(tmp_path / "nothing.yaml")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"mine\.yaml: cannot be read: is not UTF-8"):
        read_map(file)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "a register map: a mapping of keys to values is wanted"),
        ("\x00", "mine.yaml: "),
        ("- 1", "a register map: a mapping"),
        ("function: [", "mine.yaml:1: "),
        (SMALLEST + "function: 4\n", 'duplicate key "function"; correct it'),
        ("points: {power: {addr: 5, type: int16}}", "function: missing; there are 3, 4"),
        ("function: 5\npoints: {power: {addr: 5, type: int16}}", "function: 5; there are 3, 4"),
        ("function: 3", "points: missing"),
        ("function: 3\npoints: {}", "points: a mapping"),
        (SMALLEST + "max_blocks: 3\n", "max_blocks: unknown; did you mean max_block?"),
        (SMALLEST + "max_block: 126\n", "max_block: 126; a whole number from 1 to 125 is wanted"),
        (SMALLEST + "max_gap: yes\n", "max_gap: 'yes'; a whole number"),
        (SMALLEST + "max_gap: true\n", "max_gap: True; a whole number"),
        (SMALLEST + "word_order: middle\n", "word_order: 'middle'; there are big, little"),
        (SMALLEST + "serial: {speed: 1}\n", "serial.speed: unknown; there are baudrate, parity, stopbits"),
        (SMALLEST + "identify: {addr: 1}\n", "identify.type: missing; there are int16"),
        (SMALLEST + "identify: {addr: 1, type: int16, values: 3}\n", "identify.values: 3; a list of whole"),
        (SMALLEST + "title: 7\n", "title: 7; a text is wanted"),
        (SMALLEST + "energy_step_wh: x\n", "energy_step_wh: 'x'; a number is wanted"),
        (POINTS + "{powr: {addr: 5, type: int16}}", "points.powr: unknown; did you mean power?"),
        (POINTS + "{power: 5}", "points.power: a mapping of keys"),
        (POINTS + "{power: {type: int16}}", "points.power.addr: missing; a whole number from 0"),
        (POINTS + "{power: {addr: 65535, type: int32}}", "points.power.addr: 65535; a whole"),
        (POINTS + "{power: {addr: 5, type: flot32}}", "points.power.type: 'flot32'; there are int16"),
        (POINTS + "{power: {addr: 5, type: int16, scale: 0}}", "points.power.scale: 0; a number"),
        (POINTS + "{power: {addr: 5, type: int16, scale: .nan}}", "points.power.scale: nan; a"),
        (POINTS + "{power: {addr: 5, type: int16, min: 5, max: 5}}", "points.power.max: 5.0; a num"),
        (POINTS + "{voltage_l1: {addr: 5, type: int16}}", "energy_import or power is missing"),
        (POINTS + "{power: {addr: 1, type: int16}, power_l2: {addr: 2, type: int16}}", "points.power_l2: th"),
        ("max_block: 1\n" + POINTS + "{power: {addr: 5, type: int32}}", "max_block: 1 registers do not"),
        ("small_block: 1\n" + POINTS + "{power: {addr: 5, type: int32}}", "small_block: 1 registers do"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_file_and_key(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^mine\.yaml:") as caught:
        parse_map("mine", text, "mine.yaml")
    assert problem in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_all_mistakes_are_listed_together_with_their_lines() -> None:
    text = """\
title: 7
function: 5
word_order: middle
max_blocks: 3
max_gap: yes
serial: {speed: 9600}
points:
  powr: {addr: 0x34, type: float32}
  voltage_l1: {addr: 0x00, type: flot32}
  current_l1: {addr: -6, type: float32}
  power: {adr: 0x34, type: float32, scale: 0}
  frequency: 5
  energy_import: {addr: 0x48, type: float32, scale: kWh}
"""
    with pytest.raises(ValueError, match=r"^mine\.yaml:1: title: 7; a text") as caught:
        parse_map("mine", text, "mine.yaml")
    told = [line.split(":")[1:3] for line in str(caught.value).splitlines()]
    assert told == [
        ["1", " title"],
        ["2", " function"],
        ["3", " word_order"],
        ["4", " max_blocks"],
        ["5", " max_gap"],
        ["6", " serial.speed"],
        ["8", " points.powr"],
        ["9", " points.voltage_l1.type"],
        ["10", " points.current_l1.addr"],
        ["11", " points.power.adr"],
        ["11", " points.power.scale"],
        ["11", " points.power.addr"],
        ["12", " points.frequency"],
        ["13", " points.energy_import.scale"],
    ]
