"""The control protocol: commands as JSON objects, each answered by one object (see docs of `--control`)."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from chargepoint.trace import json_line

PROTOCOL_VERSION = 1

Command = dict[str, Any]
Reply = dict[str, Any]
Perform = Callable[[Command], Reply | Awaitable[Reply]]
"""Carries out a command, its `id` removed, and returns the fields of the reply.

To refuse it raises an exception with a `code` (one of the protocol's error codes) and a text for people.
"""

_log = logging.getLogger(__name__)


class BadCommand(Exception):
    """What came is not a command at all; the text says why."""

    code = "bad_json"


class BrokenOff(Exception):
    """A command that did not come to its end, because everything ends."""

    code = "bad_state"


def read_command(text: bytes) -> Command:
    """The command in a line or a request body; raises `BadCommand` if it is not one JSON object in UTF-8.

    Not with orjson, which turns integers over 64 bits into floats: an `id` may be any JSON value.
    """
    try:
        command = json.loads(text.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise BadCommand("the JSON is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise BadCommand(f"not UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise BadCommand(f"not JSON: {error}") from None
    if not isinstance(command, dict):
        raise BadCommand('a command is a JSON object, such as {"cmd": "status"}')
    return command


async def answer(perform: Perform, command: Command) -> Reply:
    """Carry out one command and return the whole reply; whatever goes wrong becomes a reply too."""
    echo = {"id": command["id"]} if "id" in command else {}
    try:
        fields = perform({name: value for name, value in command.items() if name != "id"})
        if inspect.isawaitable(fields):
            fields = await fields
        return {"ok": True, **fields, **echo}
    except Exception as error:
        return refusal(error) | echo


class Performer:
    """Carries out commands, each until its end or until everything ends."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform
        self._under_way: set[asyncio.Future[Reply]] = set()
        self._broken_off = False

    def break_off(self) -> None:
        """Break off what is under way; its reply says so."""
        self._broken_off = True
        for work in self._under_way:
            work.cancel()

    async def answer(self, command: Command) -> Reply:
        """Carry out one command and return the whole reply."""
        return await answer(self._begin, command)

    def _begin(self, command: Command) -> Reply | Awaitable[Reply]:
        fields = self._perform(command)
        return self._finish(fields) if isinstance(fields, Awaitable) else fields

    async def _finish(self, fields: Awaitable[Reply]) -> Reply:
        work = asyncio.ensure_future(fields)
        self._under_way.add(work)
        try:
            return await work
        except asyncio.CancelledError:
            if not self._broken_off:  # somebody cancels the caller itself
                raise
            raise BrokenOff("broken off, because the station ends") from None
        finally:
            self._under_way.discard(work)


def reply_line(reply: Reply) -> bytes:
    """A reply as it is written, its line end included; one that JSON has no form for becomes a refusal."""
    try:
        return json_line(reply)
    except TypeError as error:
        return json_line(refusal(error) | {name: reply[name] for name in ("id",) if name in reply})


def refusal(error: Exception) -> Reply:
    """The reply for an exception: its own code, or `internal` for one that nobody expected."""
    code = getattr(error, "code", None)
    if not isinstance(code, str):
        _log.error("a command failed unexpectedly", exc_info=error)
        code = "internal"
    return {"ok": False, "error": code, "message": str(error) or type(error).__name__}


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")
