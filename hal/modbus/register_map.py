"""Register maps: which registers of a meter hold what, read from one YAML file each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from hal.modbus.map_text import Group, Mistakes
from hal.modbus.number import TYPES, WordOrder, decode, encode, sentinel, width

__all__ = [
    "Block",
    "Identification",
    "Point",
    "RegisterMap",
    "load_map",
    "map_names",
    "parse_map",
    "read_map",
]

PHASES = 3
MOST_REGISTERS = 125  # in one request (Modbus Application Protocol 1.1b3 §6.3, §6.4)

_PER_PHASE = {"voltage": (0.0, 300.0), "current": (-125.0, 125.0), "power": (-40_000.0, 40_000.0)}
_LIMITS: Mapping[str, tuple[float, float]] = {
    **{f"{kind}_l{n}": limits for kind, limits in _PER_PHASE.items() for n in range(1, PHASES + 1)},
    "power": (-120_000.0, 120_000.0),
    "power_factor": (-1.01, 1.01),
    "frequency": (40.0, 70.0),
    # The hygiene of the register judges energies, together with how fast they rise.
    "energy_import": (-math.inf, math.inf),
    "energy_export": (-math.inf, math.inf),
}
"""The names of points, and what is plausible where the map says nothing: V, A, W, Hz, Wh."""

# Names under which other models of the same registers are known.
_ALSO = {
    "abb-b21": "abb-b23",
    "abb-b24": "abb-b23",
    "em330": "em340",
    "et330": "em340",
    "et340": "em340",
    "or-we-517": "or-we-516",
    "sdm220": "sdm230",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One number in the registers; `scale` makes volts, amperes, watts, hertz or watt-hours of it."""

    name: str
    address: int  # 0-based, as on the wire
    kind: str  # one of `number.TYPES`
    function: int  # 3 or 4
    word_order: WordOrder
    scale: float
    absent: int | None  # the number that means "not available"
    low: float
    high: float
    optional: bool = False  # not every variant of the meter has it: some refuse to tell it

    @property
    def end(self) -> int:
        """The address behind its last register."""
        return self.address + width(self.kind)

    @property
    def step(self) -> float:
        """The smallest change of its value; 0 for floats, whose step the meter decides."""
        return 0.0 if self.kind.startswith("float") else abs(self.scale)

    def value(self, registers: list[int]) -> float | None:
        """What its registers say in units; None for NaN, infinity and "not available"."""
        number = decode(registers, self.kind, self.word_order)
        if number == self.absent or not math.isfinite(number):
            return None
        value = number * self.scale
        return value if self.step == 0.0 else round(value, 9)  # tenths are tenths, not 227.60000000000002

    def registers(self, value: float | None) -> list[int]:
        """The registers of a value in units, for an emulator; None is "not available"."""
        if value is None:
            number: float = math.nan if self.absent is None else self.absent
        else:
            number = value / self.scale
        return encode(number, self.kind, self.word_order)


@dataclass(frozen=True, slots=True)
class Block:
    """Registers read in one request, and the points in them."""

    function: int
    address: int
    count: int
    points: tuple[Point, ...]

    @property
    def optional(self) -> bool:
        """A meter may refuse it."""
        return self.points[0].optional


@dataclass(frozen=True, slots=True)
class Identification:
    """A register read when the meter is opened; with `values`, any other one is another device."""

    point: Point
    values: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """A meter model."""

    name: str
    title: str
    points: tuple[Point, ...]
    max_block: int
    max_gap: int  # registers between points that exist and may be read along; 0: never over gaps
    small_block: int | None = None  # what to try where larger requests are refused
    energy_step_wh: float = 0.0  # the smallest step of the energy registers
    identify: Identification | None = None
    serial: Mapping[str, Any] = field(default_factory=dict)  # the line as the meter leaves the factory

    def point(self, name: str) -> Point | None:
        """The point of that name, if the meter has it."""
        return next((point for point in self.points if point.name == name), None)

    def blocks(self, largest: int | None = None) -> tuple[Block, ...]:
        """The requests for all points, none longer than `largest` (default: `max_block`)."""
        largest = self.max_block if largest is None else largest
        runs: list[list[Point]] = []
        end = 0
        for point in sorted(self.points, key=lambda point: (point.function, point.address)):
            run = runs[-1] if runs else []
            if (
                run
                and point.function == run[0].function
                and point.optional == run[0].optional
                and point.address - end <= self.max_gap
                and max(end, point.end) - run[0].address <= largest
            ):
                run.append(point)
                end = max(end, point.end)
            else:
                runs.append([point])
                end = point.end
        return tuple(
            Block(run[0].function, run[0].address, max(p.end for p in run) - run[0].address, tuple(run))
            for run in runs
        )


@cache
def map_names() -> tuple[str, ...]:
    """The shipped maps and their other names, in alphabetical order."""
    folder = files("hal.modbus").joinpath("maps")
    shipped = (f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))
    return tuple(sorted((*shipped, *_ALSO)))


@cache
def load_map(name: str) -> RegisterMap:
    """The shipped map of that name. Raises `ValueError`, naming the known ones, if there is none."""
    if name not in map_names():
        raise ValueError(f"no register map {name!r}; there are {', '.join(map_names())}")
    file = files("hal.modbus").joinpath("maps", f"{_ALSO.get(name, name)}.yaml")
    return parse_map(name, file.read_text(encoding="utf-8"), file.name)


def read_map(path: Path | str) -> RegisterMap:
    """The map in a file. Raises `ValueError` naming the file and every line and key at fault."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise ValueError(f"{path}: cannot be read: {problem}") from error
    return parse_map(path.stem, text, str(path))


def parse_map(name: str, text: str, source: str) -> RegisterMap:
    """A map from YAML text. Raises `ValueError`, a line for each mistake, naming `source`, line and key."""
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        tree = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = str(error.problem or error.context).splitlines()[0].partition(" with value ")[0]
        raise ValueError(f"{source}:{line}: {problem}; correct it") from error
    except (YAMLError, RecursionError) as error:
        raise ValueError(f"{source}: is not YAML: {str(error).splitlines()[0]}; correct it") from error
    mistakes = Mistakes(source, root)
    found = _map(name, Group("", tree, mistakes))
    mistakes.end()
    return found


def _map(name: str, tree: Group) -> RegisterMap:
    tree.allow(_KEYS)
    function = tree.one_of("function", (3, 4))
    order = tree.one_of("word_order", ("big", "little"), "big")
    max_block = tree.whole("max_block", 1, MOST_REGISTERS, 20)
    groups = tree.group("points")
    groups.allow(_LIMITS)
    points = tuple(_point(key, groups.group(key), function, order) for key in groups.tree if key in _LIMITS)
    small = tree.whole("small_block", 1, max_block) if "small_block" in tree.tree else None
    energy = next((point for point in points if point.name == "energy_import"), None)
    found = RegisterMap(
        name=name,
        title=tree.text("title", name),
        points=points,
        max_block=max_block,
        max_gap=tree.whole("max_gap", 0, MOST_REGISTERS, 0),
        small_block=small,
        energy_step_wh=tree.number("energy_step_wh", energy.step if energy else 0.0),
        identify=_identification(tree, function, order),
        serial=_serial(tree),
    )
    if not tree.mistakes:  # of a map with typing errors these would only repeat them
        _check_points(points, tree)
        _check_blocks(found, tree)
    return found


def _point(name: str, group: Group, function: int, order: WordOrder) -> Point:
    group.allow(("addr", "type", "scale", "nan", "min", "max", "fc", "word_order", "optional"))
    kind = group.one_of("type", TYPES)
    scale = group.number("scale", 1.0)
    if not scale:
        group.wrong("scale", 0, "a number other than 0 is wanted")
    low, high = _LIMITS.get(name, (-math.inf, math.inf))
    low, high = group.number("min", low), group.number("max", high)
    if low >= high:
        group.wrong("max", high, f"a number above min ({low:g}) is wanted")
    absent = group.whole("nan", -(2**63), 2**64 - 1) if "nan" in group.tree else sentinel(kind)
    address = group.whole("addr", 0, 65536 - width(kind))
    function = group.one_of("fc", (3, 4), function)
    return Point(
        name, address, kind, function, group.one_of("word_order", ("big", "little"), order),
        scale, absent, low, high, group.one_of("optional", (True, False), False),
    )  # fmt: skip


def _check_points(points: tuple[Point, ...], tree: Group) -> None:
    names = {point.name for point in points}
    if not names & {"energy_import", "power"}:
        tree.mistake("points", "energy_import or power is missing; without them there is nothing to meter")
    for kind in _PER_PHASE:
        known = [n for n in range(1, PHASES + 1) if f"{kind}_l{n}" in names]
        if known != list(range(1, len(known) + 1)):
            tree.mistake(f"points.{kind}_l{known[-1]}", "the phases before it are missing; add them")


def _check_blocks(found: RegisterMap, tree: Group) -> None:
    for point in found.points:
        if width(point.kind) > found.max_block:
            tree.mistake("max_block", f"{found.max_block} registers do not hold {point.name}; raise it")
    small = found.small_block
    if small is not None and any(width(point.kind) > small for point in found.points):
        tree.mistake("small_block", f"{small} registers do not hold every point; raise it")


def _identification(tree: Group, function: int, order: WordOrder) -> Identification | None:
    if "identify" not in tree.tree:
        return None
    group = tree.group("identify")
    values = group.tree.get("values", [])
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        group.wrong("values", values, "a list of whole numbers is wanted")
        values = []
    group.allow(("addr", "type", "fc", "word_order", "values"))
    return Identification(_point("identify", group.without("values"), function, order), tuple(values))


def _serial(tree: Group) -> Mapping[str, Any]:
    """The line's settings; their values are checked with those of the configuration."""
    if "serial" not in tree.tree:
        return {}
    group = tree.group("serial")
    group.allow(("baudrate", "parity", "stopbits"))
    return dict(group.tree)


_KEYS = (
    "title",
    "function",
    "word_order",
    "max_block",
    "max_gap",
    "small_block",
    "energy_step_wh",
    "serial",
    "identify",
    "points",
    "notes",
)
