"""Where Modbus devices are: a serial line or a TCP gateway, read from a driver's settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SerialLine:
    """An RS-485 line; devices with the same port share it, so they must agree on its speed and framing.

    `gap_s` is the silence before and after each frame of `unit` (None: of everybody), `timeout_s` what a
    device may take to answer besides the time the bytes need, `quiet_s` the pause after a failure in which a
    late answer dies; an answer later than five times that could be taken for another's, so it is longer for
    slower devices. `local_echo` drops what an adapter hears of itself and does no harm without.
    """

    port: str
    baudrate: int = 9600
    parity: str = "N"
    stopbits: int = 1
    local_echo: bool = True
    gap_s: float = 0.02
    timeout_s: float = 0.5
    quiet_s: float = 1.0
    unit: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.port


@dataclass(frozen=True, slots=True)
class TcpGateway:
    """A device or gateway that speaks Modbus TCP; times as in `SerialLine`."""

    host: str
    port: int = 502
    gap_s: float = 0.0
    timeout_s: float = 1.0
    quiet_s: float = 1.0
    unit: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


Place = SerialLine | TcpGateway

_BAUDRATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
_ABSENT = object()


def take_place(part: str, settings: dict[str, Any]) -> tuple[Place, int]:
    """Take the place and the unit (1 if not given) out of `settings`; what else is in them stays.

    A serial line is `port`, with `baudrate`, `parity`, `stopbits` and `local_echo`; a gateway is `host`, with
    `tcp_port`. Both know `timeout_s`, `gap_s`, `quiet_s` and `unit`. Raises `ValueError` with
    "part: key: problem".
    """
    taken = _Taken(part, settings)
    times = {
        key: value
        for key, lowest, highest in (("timeout_s", 0.01, 30), ("gap_s", 0, 1), ("quiet_s", 0, 30))
        if (value := taken.number(key, lowest, highest)) is not None
    }
    if "port" in settings and "host" in settings:
        raise ValueError(f"{part}: host: give either port (a serial line) or host (Modbus TCP), not both")
    if "host" in settings:
        host = taken.text("host")
        tcp_port = taken.whole("tcp_port", 502, 1, 65535)
        for key in ("baudrate", "parity", "stopbits", "local_echo"):
            if key in settings:
                raise ValueError(f"{part}: {key}: belongs to a serial line; {host} is reached over TCP")
        unit = taken.whole("unit", 1, 0, 255)
        return TcpGateway(host, tcp_port, unit=unit, **times), unit
    if "port" not in settings:
        raise ValueError(
            f"{part}: port: missing; the serial port (ls /dev/serial/by-id) or host: for Modbus TCP"
        )
    if "tcp_port" in settings:
        raise ValueError(f"{part}: tcp_port: belongs to host: (Modbus TCP), not to a serial port")
    line = SerialLine(
        taken.text("port"),
        baudrate=taken.one_of("baudrate", 9600, _BAUDRATES),
        parity=taken.one_of("parity", "N", ("N", "E", "O")),
        stopbits=taken.one_of("stopbits", 1, (1, 2)),
        local_echo=taken.one_of("local_echo", True, (True, False)),
        unit=(unit := taken.whole("unit", 1, 1, 247)),
        **times,
    )
    return line, unit


class _Taken:
    """Takes values out of settings, with the sentence for what is wrong with them."""

    def __init__(self, part: str, settings: dict[str, Any]) -> None:
        self._part = part
        self._settings = settings

    def text(self, key: str) -> str:
        value = self._settings.pop(key)
        if not isinstance(value, str) or not value:
            raise self._wrong(key, value, "a text is wanted")
        return value

    def whole(self, key: str, default: int, lowest: int, highest: int) -> int:
        value = self._settings.pop(key, default)
        number = _as_number(value)
        if not isinstance(number, int) or not lowest <= number <= highest:
            raise self._wrong(key, value, f"a whole number from {lowest} to {highest} is wanted")
        return number

    def number(self, key: str, lowest: float, highest: float) -> float | None:
        value = self._settings.pop(key, _ABSENT)
        if value is _ABSENT:
            return None
        number = _as_number(value)
        if not isinstance(number, int | float) or not lowest <= number <= highest:
            raise self._wrong(key, value, f"seconds from {lowest:g} to {highest:g} are wanted")
        return float(number)

    def one_of(self, key: str, default: Any, allowed: tuple[Any, ...]) -> Any:
        value = self._settings.pop(key, default)
        for choice in allowed:
            if str(value).strip().upper() == str(choice).upper():
                return choice
        raise self._wrong(key, value, "there are " + ", ".join(str(choice) for choice in allowed))

    def _wrong(self, key: str, value: object, wanted: str) -> ValueError:
        return ValueError(f"{self._part}: {key}: {value!r}; {wanted}")


def _as_number(value: Any) -> Any:
    """Configuration hands over numbers or their source text."""
    if isinstance(value, str):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
    return None if isinstance(value, bool) else value
