"""Draws docs/wiring/*.svg: how each device is wired, from boxes with terminals and the wires between them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

WIDTH = 980

# A background of its own: the picture is read the same on light and on dark pages.
FRAME = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title">
<title id="title">{title}</title>
<style>
text {{ font-family: 'DejaVu Sans', Verdana, Geneva, sans-serif; fill: #1b2733; font-size: 13px; }}
.title {{ font-size: 18px; font-weight: 600; }}
.name {{ font-size: 14px; font-weight: 600; }}
.about, .note {{ font-size: 12px; fill: #45525f; }}
.on {{ font-size: 12px; paint-order: stroke; stroke: #fbfcfd; stroke-width: 5px; }}
.box {{ fill: #ffffff; stroke: #5c6975; stroke-width: 1.4; }}
.guard {{ fill: #fff3e6; stroke: #b35c00; stroke-width: 1.4; }}
.clamp {{ fill: #fbfcfd; stroke: #1b2733; stroke-width: 1.2; }}
path {{ fill: none; stroke-linejoin: round; }}
</style>
<rect width="{width}" height="{height}" rx="8" fill="#fbfcfd"/>
<text class="title" x="30" y="36">{title}</text>
{body}
</svg>
"""

COLOURS = {
    "mains": ("#7a4a21", 5.0),
    "coil": ("#7a4a21", 2.2),
    "earth": ("#2e7d32", 3.0),
    "a": ("#d9730d", 2.2),
    "b": ("#2468b4", 2.2),
    "ground": ("#3a424a", 2.2),
    "plus": ("#c62828", 2.2),
    "signal": ("#7b3fa0", 2.2),
    "usb": ("#5c6975", 4.0),
}
"""What a wire is for: its colour and width."""

PITCH, CLAMP = 28, 12


@dataclass(frozen=True)
class Box:
    """A device: its terminals by side, each `label` or `name=label`, on the sides from `first` on downwards.

    A guard is there for safety and does not need the program.
    """

    name: str
    title: str
    x: int
    y: int
    width: int
    height: int
    about: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()
    top: tuple[str, ...] = ()
    bottom: tuple[str, ...] = ()
    first: int = 62
    guard: bool = False

    def clamps(self) -> dict[str, tuple[str, str, float, float]]:
        """Label, side and place of every terminal by its name."""
        found = {}
        for side in ("left", "right", "top", "bottom"):
            labels: tuple[str, ...] = getattr(self, side)
            for n, text in enumerate(labels):
                name, _, label = text.rpartition("=")
                x, y = self._place(side, n, len(labels))
                found[name or label] = label, side, x, y
        return found

    def _place(self, side: str, n: int, of: int) -> tuple[float, float]:
        if side in ("left", "right"):
            return self.x + (self.width if side == "right" else 0), self.y + self.first + n * PITCH
        return self.x + self.width * (n + 1) / (of + 1), self.y + (self.height if side == "bottom" else 0)


@dataclass(frozen=True)
class Wire:
    """From one terminal to another, as `box.terminal`; `<` and `>` behind it are the halves of a clamp.

    `via` is where the middle part of the wire runs: its x between two sides, its y between top and bottom.
    """

    start: str
    end: str
    kind: str
    label: str = ""
    via: float | None = None
    at: tuple[float, float] | None = None  # of the label, where the middle of the longest part is taken


@dataclass(frozen=True)
class Picture:
    """One drawing; notes stand below it."""

    name: str
    title: str
    height: int
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    notes: tuple[str, ...] = ()
    joints: tuple[tuple[int, int], ...] = ()  # where wires meet rather than cross

    def svg(self) -> str:
        clamps = {f"{box.name}.{name}": clamp for box in self.boxes for name, clamp in box.clamps().items()}
        routes = [(wire, _route(wire, clamps)) for wire in self.wires]
        body = [_line(wire.kind, route) for wire, route in routes]
        body += [f'<circle cx="{x}" cy="{y}" r="4.5" fill="#1b2733"/>' for x, y in self.joints]
        for box in self.boxes:
            body += _drawn(box)
        body += [_label(wire, route) for wire, route in routes if wire.label]
        body += [_text("note", 30, self.height + 18 * n, note) for n, note in enumerate(self.notes)]
        height = self.height + 18 * len(self.notes) + 6
        return FRAME.format(width=WIDTH, height=height, title=escape(self.title), body="\n".join(body))


Clamps = dict[str, tuple[str, str, float, float]]
Route = list[tuple[float, float]]


def _end(text: str, clamps: Clamps) -> tuple[str, float, float]:
    _, side, x, y = clamps[text.rstrip("<>")]
    shift = {"<": -3.0, ">": 3.0}.get(text[-1], 0.0)
    return (side, x + shift, y) if side in ("top", "bottom") else (side, x, y + shift)


def _route(wire: Wire, clamps: Clamps) -> Route:
    side, x, y = _end(wire.start, clamps)
    other, to_x, to_y = _end(wire.end, clamps)
    level, to_level = side in ("left", "right"), other in ("left", "right")
    if level and to_level:
        via = (x + to_x) / 2 if wire.via is None else wire.via
        corners = [(via, y), (via, to_y)]
    elif not level and not to_level:
        via = (y + to_y) / 2 if wire.via is None else wire.via
        corners = [(x, via), (to_x, via)]
    else:
        corners = [(to_x, y) if level else (x, to_y)]
    return [(x, y), *corners, (to_x, to_y)]


def _line(kind: str, route: Route) -> str:
    colour, width = COLOURS[kind]
    path = "M" + " L".join(f"{x:g} {y:g}" for x, y in route)
    line = f'<path d="{path}" stroke="{colour}" stroke-width="{width:g}"/>'
    if kind == "earth":
        line += f'\n<path d="{path}" stroke="#f2d022" stroke-width="{width:g}" stroke-dasharray="7 7"/>'
    return line


def _label(wire: Wire, route: Route) -> str:
    if wire.at is not None:
        return _text("on", *wire.at, wire.label, "middle")
    parts = [(route[0], route[-1])] if len({y for _, y in route}) == 1 else pairwise(route)
    (x, y), (to_x, to_y) = max(parts, key=lambda part: abs(part[0][0] - part[1][0]))
    return _text("on", (x + to_x) / 2, (y + to_y) / 2 - 8, wire.label, "middle")


def _drawn(box: Box) -> list[str]:
    drawn = [
        f'<rect class="{"guard" if box.guard else "box"}" x="{box.x}" y="{box.y}" width="{box.width}" '
        f'height="{box.height}" rx="6"/>'
    ]
    y = box.y + (box.height / 2 + 5 if box.height < 40 else 42 if any(box.top) and _labelled(box) else 22)
    drawn.append(_text("name", box.x + box.width / 2, y, box.title, "middle"))
    drawn += [
        _text("about", box.x + box.width / 2, y + 17 * (n + 1), line, "middle")
        for n, line in enumerate(box.about)
    ]
    for label, side, x, at_y in box.clamps().values():
        half = CLAMP / 2
        drawn.append(
            f'<rect class="clamp" x="{x - half:g}" y="{at_y - half:g}" width="{CLAMP}" height="{CLAMP}"/>'
        )
        if not label:
            continue
        if side in ("left", "right"):
            anchor, shift = ("start", 11) if side == "left" else ("end", -11)
            drawn.append(_text("", x + shift, at_y + 4, label, anchor))
        else:
            drawn.append(_text("", x, at_y + (21 if side == "top" else -12), label, "middle"))
    return drawn


def _labelled(box: Box) -> bool:
    return any(not text.endswith("=") for text in box.top)


def _text(style: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    kind = f' class="{style}"' if style else ""
    aligned = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text{kind} x="{x:g}" y="{y:g}"{aligned}>{escape(text, quote=False)}</text>'


# --- the drawings ---------------------------------------------------------------------------------------

GUARDS = "Orange boxes work without the program, and have to. Software is never the protective device."
LINE = "A, B and GND go from device to device; 120 Ω across A and B at both ends of the line, bias at one."
PILOT = "The pilot returns by protective earth, which the controller needs as well. A socket also has PP."
EARTH = "protective earth, never switched"

PI = Box("pi", "Raspberry Pi", 30, 60, 150, 162, right=("USB",))
ADAPTER = Box(
    "adapter", "RS-485 adapter", 240, 60, 150, 162, ("120 Ω and bias",), ("USB",), ("A", "B", "GND")
)


def _supply(y: int, *, top: tuple[str, ...] = ()) -> Box:
    about = ("30 mA type A, 6 mA DC",)
    return Box(
        "supply", "Breaker and RCD", 30, y, 180, 130, about, (), ("L N",), top, ("PE",), first=84, guard=True
    )


def _cable(y: int, title: str = "Socket or cable") -> Box:
    return Box("cable", title, 800, y, 150, 130, (), ("L N",), (), ("CP",), ("PE",), first=84)


def on_one_line(
    name: str,
    title: str,
    evse: tuple[str, str],
    meter: tuple[str, str],
    *,
    pair: tuple[str, str] = ("A", "B"),
    ground: str = "GND",
    mirror_contact: str = "",
    notes: tuple[str, ...] = (),
) -> Picture:
    """A controller and a meter on one RS-485 line; `pair` are the meter's clamps for the line's A and B."""
    first, second = pair
    mirrors = (mirror_contact,) if mirror_contact else ()
    bottom = ("relay", *mirrors, "CP")
    boxes = (
        PI,
        ADAPTER,
        Box("evse", evse[0], 620, 60, 330, 162, evse[1:], ("A", "B", "GND"), bottom=bottom),
        Box("watchdog", "Watchdog relay", 600, 278, 150, 58, top=("in=",), bottom=("out=",), guard=True),
        _supply(390),
        Box(
            "meter",
            meter[0],
            390,
            390,
            170,
            130,
            meter[1:],
            ("in=L N",),
            ("out=L N",),
            ("A", "B", f"GND={ground}"),
            first=84,
        ),
        Box(
            "contactor",
            "Contactor",
            610,
            390,
            140,
            130,
            (),
            ("in=L N",),
            ("out=L N",),
            ("A1", *("21-22" for _ in mirrors)),
            first=84,
        ),
        _cable(390),
    )
    wires = (
        Wire("pi.USB", "adapter.USB", "usb"),
        Wire("adapter.A", f"meter.{first}<", "a"),
        Wire("adapter.B", f"meter.{second}<", "b"),
        Wire("adapter.GND", "meter.GND<", "ground"),
        Wire("evse.A", f"meter.{first}>", "a"),
        Wire("evse.B", f"meter.{second}>", "b"),
        Wire("evse.GND", "meter.GND>", "ground"),
        Wire("supply.L N", "meter.in", "mains", "mains"),
        Wire("meter.out", "contactor.in", "mains"),
        Wire("contactor.out", "cable.L N", "mains"),
        Wire("evse.relay", "watchdog.in", "coil"),
        Wire("watchdog.out", "contactor.A1", "coil", via=352),
        *(Wire(f"evse.{mirror}", "contactor.21-22", "signal", via=368) for mirror in mirrors),
        Wire("evse.CP", "cable.CP", "signal", "control pilot", via=320, at=(858, 276)),
        Wire("supply.PE", "cable.PE", "earth", EARTH, via=545),
    )
    return Picture(name, title, 590, boxes, wires, (*notes, PILOT, LINE, GUARDS))


EVSE_WB = on_one_line(
    "evse-wb-sdm630",
    "EVSE-WB and an SDM630 on one RS-485 line",
    ("EVSE-WB", "unit 1, 9600 8N1, 120 Ω across A and B"),
    ("SDM630", "unit 2, 9600 8N1"),
    notes=(
        "L N stands for all conductors: three phases and neutral pass breaker, meter and contactor alike.",
        "The board has no watchdog: the relay in the coil's circuit opens when the Raspberry Pi is dead.",
        "New boards: Modbus is off. AN to ground five times in 3 s while it boots, then write its address.",
    ),
)

PHOENIX = on_one_line(
    "phoenix-abb-b23",
    "Phoenix Contact EV Charge Control Basic and an ABB B23 on one RS-485 line",
    ("EV Charge Control Basic", "unit 1, 9600 8N1, 120 Ω across A and B"),
    ("ABB B23", "unit 2, set to 9600 8N1"),
    pair=("B", "A"),
    ground="C",
    mirror_contact="CCR",
    notes=(
        "L N stands for all conductors: three phases and neutral pass breaker, meter and contactor alike.",
        "The meter names its clamps the other way round: the line's A goes to its B, the line's B to its A.",
        "CCR reads the contactor's mirror contact, which tells welded contacts. The lock: see its manual.",
        "There is no watchdog here: the relay in the coil's circuit opens when the Raspberry Pi is dead.",
    ),
)

OPENEVSE = Picture(
    "openevse",
    "OpenEVSE at a serial adapter",
    520,
    (
        PI,
        Box("adapter", "USB serial adapter", 270, 60, 170, 162, ("TTL, 5 V",), ("USB",), ("TX", "RX", "GND")),
        Box(
            "evse",
            "OpenEVSE",
            620,
            60,
            330,
            162,
            ("115200 8N1; relay, ammeter, GFCI inside",),
            ("RX", "TX", "GND", "in=L N"),
            bottom=("out=L N", "CP", "PE"),
        ),
        _supply(330),
        Box("cable", "Cable", 620, 330, 330, 130, (), (), (), ("L N", "CP", "PE"), ("earth=PE",)),
    ),
    (
        Wire("pi.USB", "adapter.USB", "usb"),
        Wire("adapter.TX", "evse.RX", "a"),
        Wire("adapter.RX", "evse.TX", "b"),
        Wire("adapter.GND", "evse.GND", "ground"),
        Wire("supply.L N", "evse.in", "mains", "mains", via=540),
        Wire("evse.out", "cable.L N", "mains"),
        Wire("evse.CP", "cable.CP", "signal", "control pilot", at=(785, 282)),
        Wire("evse.PE", "cable.PE", "earth"),
        Wire("supply.PE", "cable.earth", "earth", EARTH, via=484),
    ),
    (
        "TX goes to RX, RX to TX. The pins of a Raspberry Pi stand 3.3 V only: use an adapter.",
        "Only one may talk to the controller: take its WiFi module off the connector.",
        "Mains is beside this connector: close the cover; an isolated adapter is better.",
        GUARDS,
    ),
)

RELAY = Picture(
    "gpio-relay",
    "A contactor at the pins of a Raspberry Pi",
    620,
    (
        Box(
            "pi",
            "Raspberry Pi",
            30,
            60,
            340,
            162,
            ("BCM numbers",),
            right=("5 V", "GPIO 17", "GND"),
            bottom=("GPIO 24", "gnd=GND", "GPIO 27", "GPIO 22"),
        ),
        Box("pull", "10 kΩ", 385, 150, 52, 28),
        Box("board", "Relay board", 460, 60, 150, 162, (), ("VCC", "IN", "GND"), ("COM", "NO")),
        Box(
            "stop",
            "Emergency stop",
            780,
            60,
            170,
            64,
            (),
            ("L, fused",),
            bottom=("out=",),
            first=44,
            guard=True,
        ),
        Box(
            "trip",
            "RCD and 6 mA DC",
            780,
            160,
            170,
            70,
            ("trip contacts",),
            ("in=",),
            top=("out=",),
            guard=True,
        ),
        Box("watchdog", "Watchdog relay", 630, 250, 140, 50, top=("in=",), bottom=("out=",), guard=True),
        Box(
            "module",
            "Pilot module",
            800,
            262,
            150,
            120,
            ("fixed current",),
            ("vehicle", "GND"),
            bottom=("CP",),
        ),
        _supply(420, top=("aux", "com")),
        Box("meter", "Meter", 270, 420, 120, 130, ("own RS-485 line",), ("in=L N",), ("out=L N",), first=84),
        Box(
            "contactor",
            "Contactor",
            440,
            420,
            180,
            130,
            (),
            ("in=L N",),
            ("out=L N",),
            ("21", "22", "A1"),
            first=84,
        ),
        _cable(420, "Fixed cable"),
    ),
    (
        Wire("pi.5 V", "board.VCC", "plus"),
        Wire("pi.GPIO 17", "board.IN", "signal"),
        Wire("pi.GND", "board.GND", "ground"),
        Wire("stop.out", "trip.out", "coil"),
        Wire("trip.in", "board.COM", "coil", via=725),
        Wire("board.NO", "watchdog.in", "coil"),
        Wire("watchdog.out", "contactor.A1", "coil", via=398),
        Wire("pi.GPIO 24", "supply.aux", "signal", via=320),
        Wire("pi.gnd", "supply.com", "ground", via=352),
        Wire("pi.gnd", "contactor.22", "ground", via=352),
        Wire("pi.gnd", "module.GND", "ground"),
        Wire("pi.GPIO 27", "contactor.21", "signal", via=280),
        Wire("pi.GPIO 22", "module.vehicle", "signal"),
        Wire("supply.L N", "meter.in", "mains"),
        Wire("meter.out", "contactor.in", "mains"),
        Wire("contactor.out", "cable.L N", "mains"),
        Wire("module.CP", "cable.CP", "signal"),
        Wire("supply.PE", "cable.PE", "earth", EARTH, via=574),
    ),
    (
        "21-22: the contactor's mirror contact, closed while the main contacts are open. A2 goes to N.",
        "10 kΩ pulls the relay's input down while the pin is nobody's (up to 3.3 V on active-low boards).",
        "Contacts to GPIO are potential-free, between pin and GND. aux: the RCD's, closed while all is well.",
        "The pilot returns by protective earth, which the pilot module needs as well.",
        "L N stands for all conductors. Emergency stop and trip are in the coil's circuit, not at inputs.",
        GUARDS,
    ),
    joints=((166, 352), (530, 352)),
)

RDM6300 = Picture(
    "rdm6300",
    "RDM6300 at the UART of a Raspberry Pi",
    370,
    (
        Box(
            "pi",
            "Raspberry Pi",
            30,
            60,
            240,
            162,
            ("serial port on, console off",),
            right=("pin 2: 5 V", "pin 6: GND", "pin 10: RXD, GPIO 15"),
        ),
        Box(
            "divider",
            "Divider",
            400,
            230,
            200,
            100,
            ("1 kΩ in series, 2 kΩ to GND",),
            ("3.3 V",),
            ("5 V",),
            ("gnd=",),
        ),
        Box(
            "reader",
            "RDM6300",
            740,
            60,
            210,
            162,
            ("125 kHz, 9600 8N1",),
            ("5 V", "GND", "TX"),
            bottom=("one=", "two="),
        ),
        Box("coil", "Antenna coil", 740, 274, 210, 56, top=("one=", "two=")),
    ),
    (
        Wire("pi.pin 2: 5 V", "reader.5 V", "plus"),
        Wire("pi.pin 6: GND", "reader.GND", "ground"),
        Wire("pi.pin 6: GND", "divider.gnd", "ground"),
        Wire("pi.pin 10: RXD, GPIO 15", "divider.3.3 V", "signal", via=335),
        Wire("divider.5 V", "reader.TX", "signal", via=670),
        Wire("reader.one", "coil.one", "ground"),
        Wire("reader.two", "coil.two", "ground"),
    ),
    (
        "The pins of a Raspberry Pi stand 3.3 V only. Measure TX: up to 3.3 V it needs no divider.",
        "Nothing goes to the reader's RX: it only talks. At a USB serial adapter (5 V): no divider either.",
        "Keep the coil off metal and away from the contactor's wires.",
    ),
    joints=((500, 150),),
)

PN532 = Picture(
    "pn532",
    "PN532 at the UART of a Raspberry Pi",
    280,
    (
        Box(
            "pi",
            "Raspberry Pi",
            30,
            60,
            260,
            186,
            ("serial port on, console off",),
            right=("pin 1: 3.3 V", "pin 6: GND", "pin 8: TXD, GPIO 14", "pin 10: RXD, GPIO 15"),
        ),
        Box(
            "reader",
            "PN532 module",
            690,
            60,
            260,
            186,
            ("13.56 MHz, HSU, 115200 8N1",),
            ("VCC", "GND", "RXD", "TXD"),
        ),
    ),
    (
        Wire("pi.pin 1: 3.3 V", "reader.VCC", "plus"),
        Wire("pi.pin 6: GND", "reader.GND", "ground"),
        Wire("pi.pin 8: TXD, GPIO 14", "reader.RXD", "a"),
        Wire("pi.pin 10: RXD, GPIO 15", "reader.TXD", "b"),
    ),
    (
        "TXD goes to RXD and RXD to TXD. Set the module's switches to HSU, its serial port.",
        "Some modules want 5 V at VCC: see what is printed on yours. A USB adapter (3.3 V) will do instead.",
    ),
)

KEYBOARD = Picture(
    "usb-reader",
    "A USB card reader",
    210,
    (
        Box("pi", "Raspberry Pi", 30, 60, 260, 116, ("group input, python3-evdev",), right=("USB",)),
        Box(
            "reader", "USB card reader", 690, 60, 260, 116, ("types the card's number, then Enter",), ("USB",)
        ),
    ),
    (Wire("pi.USB", "reader.USB", "usb", "USB"),),
    ("To Linux this is a keyboard, /dev/input/by-id/...-event-kbd. The program takes it for itself alone.",),
)

SITE = Picture(
    "site-meter",
    "A meter at the grid connection",
    600,
    (
        PI,
        ADAPTER,
        Box(
            "grid",
            "Main breaker",
            30,
            330,
            150,
            130,
            ("rated limit_a or more",),
            (),
            ("L1-L3 N",),
            first=84,
            guard=True,
        ),
        Box(
            "meter",
            "SDM630",
            390,
            330,
            170,
            130,
            ("unit 20, 9600 8N1",),
            ("in=L1-3 N",),
            ("out=",),
            ("A", "B", "GND"),
            first=84,
        ),
        Box("house", "House", 720, 290, 230, 90, ("all that does not charge",), ("L1-L3 N",), first=62),
        Box(
            "charging",
            "Connectors",
            720,
            430,
            230,
            130,
            ("breaker, RCD, meter and", "controller for each of them"),
            ("L1-L3 N",),
            first=84,
        ),
    ),
    (
        Wire("pi.USB", "adapter.USB", "usb"),
        Wire("adapter.A", "meter.A", "a"),
        Wire("adapter.B", "meter.B", "b"),
        Wire("adapter.GND", "meter.GND", "ground"),
        Wire("grid.L1-L3 N", "meter.in", "mains", "mains"),
        Wire("meter.out", "house.L1-L3 N", "mains"),
        Wire("meter.out", "charging.L1-L3 N", "mains"),
    ),
    (
        "Behind the main breaker and before the first branch: the meter sees house and vehicles together.",
        "Above the meter's own current, or where nothing may be cut: the same with current transformers.",
        "It may share the line of the connectors' meters, each with its own unit, or have its own adapter.",
        LINE,
        GUARDS,
    ),
    joints=((640, 414),),
)

PICTURES = (EVSE_WB, PHOENIX, OPENEVSE, RELAY, RDM6300, PN532, KEYBOARD, SITE)


def main(folder: Path) -> None:
    """Write every picture into the folder."""
    folder.mkdir(exist_ok=True)
    for picture in PICTURES:
        (folder / f"{picture.name}.svg").write_text(picture.svg(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
