"""The control protocol: commands as JSON objects, each answered by one object (see docs of `--control`)."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

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


def refusal(error: Exception) -> Reply:
    """The reply for an exception: its own code, or `internal` for one that nobody expected."""
    code = getattr(error, "code", None)
    if not isinstance(code, str):
        _log.error("a command failed unexpectedly", exc_info=error)
        code = "internal"
    return {"ok": False, "error": code, "message": str(error) or type(error).__name__}


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")
