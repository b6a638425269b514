"""The control protocol of the central system: one JSON object per line in, one per line out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from chargepoint.csms.back_office import Station
from chargepoint.csms.calls import CallFailed, NotConnected
from chargepoint.csms.central_system import CentralSystem
from chargepoint.csms.events import read_json, result_without_secrets, text_without_secrets, timestamp
from chargepoint.csms.lines import MAX_LINE_BYTES, TOO_LONG

Write = Callable[[dict[str, Any]], None]
"""Takes each reply and event; what cannot be written is the writer's business."""

_ANY = object
_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "call": {"cp": str, "call": str, "payload": _ANY, "id": _ANY},
    "answer": {
        "answer": str,
        "cp": str,
        "id_tag": str,
        "payload": _ANY,
        "error": str,
        "silent": bool,
        "delay_s": (int, float),
        "times": int,
        "id": _ANY,
    },
    "cmd": {"cmd": str, "cp": str, "password": (str, type(None)), "id": _ANY},
}


class CommandError(Exception):
    """A command that cannot be done; `code` is one of the control protocol's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Control:
    """Carries out commands on one central system.

    All take effect in the order in which they come, and so do the CALLs of one station; only a CALL's reply
    waits for the station, so others may overtake it: `id` tells replies apart. `ended` is set by `shutdown`.
    """

    __slots__ = ("_calls", "_central", "_ended", "_write")

    def __init__(self, central: CentralSystem, write: Write, ended: asyncio.Event) -> None:
        self._central = central
        self._ended = ended
        self._write = write
        self._calls: set[asyncio.Task[None]] = set()

    async def obey(self, commands: AsyncIterator[bytes], *, keep_serving: bool) -> None:
        """Carry out commands until `shutdown`, or until they end and all replies are written.

        With `keep_serving` their end ends nothing: wait for `ended`.
        """
        async for line in commands:
            if line.strip():
                self.command(line)
            if self._ended.is_set():
                return
        await self.replied()
        if keep_serving:
            await self._ended.wait()

    async def replied(self) -> None:
        """Wait until every CALL so far has its reply."""
        await asyncio.gather(*self._calls)

    def command(self, line: str | bytes) -> None:
        """Carry out one line; its reply is written now, or for a CALL when the station has answered."""
        command_id: dict[str, Any] = {}
        try:
            command = _parsed(line)
            command_id = {"id": command["id"]} if "id" in command else {}
            reply = self._done(command, command_id)
        except CommandError as error:
            reply = {"ok": False, "error": error.code, "message": str(error)}
        if reply is not None:
            self._write({**reply, **command_id})

    def _done(self, command: dict[str, Any], command_id: dict[str, Any]) -> dict[str, Any] | None:
        """Carry out a command and return its reply; None if that comes later."""
        kind = _checked(command)
        if kind == "call":
            if "cp" not in command:
                raise CommandError("bad_argument", "call needs cp, the station's identity")
            task = asyncio.get_running_loop().create_task(self._call(command, command_id))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
            return None
        return self._answer(command) if kind == "answer" else self._cmd(command)

    async def _call(self, command: dict[str, Any], command_id: dict[str, Any]) -> None:
        try:
            result = await self._central.call(command["cp"], command["call"], command.get("payload"))
            reply = {"ok": True, "result": result_without_secrets(result)}
        except CallFailed as error:
            reply = {"ok": False, "error": error.code, "message": text_without_secrets(error.description)}
        self._write({**reply, **command_id})

    def _answer(self, command: dict[str, Any]) -> dict[str, Any]:
        if not command.keys() & {"payload", "error", "silent", "delay_s"}:
            raise CommandError("bad_argument", "answer needs payload, error, silent or delay_s")
        try:
            self._central.set_answer(
                command["answer"],
                command.get("cp"),
                command.get("id_tag"),
                payload=command.get("payload"),
                error=command.get("error"),
                silent=command.get("silent", False),
                delay_s=command.get("delay_s", 0.0),
                times=command.get("times"),
            )
        except ValueError as error:
            raise CommandError("bad_argument", str(error)) from None
        return {"ok": True}

    def _cmd(self, command: dict[str, Any]) -> dict[str, Any]:
        cp = command.get("cp")
        match command["cmd"]:
            case "stations":
                stations = [station for station in self._central.stations() if cp in (None, station.identity)]
                return {"ok": True, "stations": [_station(station) for station in stations]}
            case "transactions":
                transactions = self._central.transactions(cp)
                return {"ok": True, "transactions": [transaction.as_dict() for transaction in transactions]}
            case "drop":
                return self._drop(cp)
            case "password":
                return self._password(cp, command)
            case "shutdown":
                self._ended.set()
                return {"ok": True}
            case unknown:
                raise CommandError("unknown_command", f"there is no cmd {unknown!r}")

    def _password(self, cp: str | None, command: dict[str, Any]) -> dict[str, Any]:
        """What a station must show from its next connection on; null: nothing."""
        if cp is None or "password" not in command or command["password"] == "":
            raise CommandError("bad_argument", "password needs cp and password, a text or null")
        self._central.set_password(cp, command["password"])
        return {"ok": True}

    def _drop(self, cp: str | None) -> dict[str, Any]:
        if cp is None:
            raise CommandError("bad_argument", "drop needs cp, the station's identity")
        if not self._central.knows(cp):
            raise CommandError("unknown_cp", f"no station {cp!r} ever connected")
        try:
            self._central.drop(cp)
        except NotConnected as error:
            raise CommandError(error.code, error.description) from None
        return {"ok": True}


def _parsed(line: str | bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise CommandError("bad_json", TOO_LONG)
    try:
        command = read_json(line)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise CommandError("bad_json", f"not a line of JSON: {type(error).__name__}") from None
    if not isinstance(command, dict):
        raise CommandError("bad_json", "a command is a JSON object")
    return command


def _checked(command: dict[str, Any]) -> str:
    """The kind of a command whose fields are all known and of the right type."""
    kind = next((kind for kind in _FIELDS if kind in command), None)
    if kind is None:
        raise CommandError("unknown_command", "a command has one of: call, answer, cmd")
    for name, value in command.items():
        expected = _FIELDS[kind].get(name)
        if expected is None:
            raise CommandError("bad_argument", f"{kind} has no field {name!r}")
        if not isinstance(value, expected) or (isinstance(value, bool) and expected not in (bool, _ANY)):
            raise CommandError("bad_argument", f"{name} is of the wrong type")
    return kind


def _station(station: Station) -> dict[str, Any]:
    return {
        "cp": station.identity,
        "connected": station.connected,
        "connections": station.connections,
        "heard": timestamp(station.heard_at) if station.heard_at else None,
        "boot": station.boot,
        "statuses": {str(connector): status for connector, status in sorted(station.statuses.items())},
    }
