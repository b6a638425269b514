"""A foreign central system's HTTP API, described by a small file: how to make it call a station."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import aiohttp
from pydantic import AfterValidator, Field, ValidationError

from chargepoint.config.problems import in_order, places
from chargepoint.config.section import Context, Expected, Section, mistake
from chargepoint.config.source import read
from chargepoint.config.wording import nearest
from chargepoint.errors import ConfigError
from chargepoint.ocpp16.schema import CSMS_TO_CP
from scenarios.condition import Path as JmesPath
from scenarios.expressions import ExpressionError, filled, found, names_between_braces, text_problem

__all__ = ["Adapter", "AdapterError", "AdapterFile", "CallEntry", "load_adapter"]

_ENVIRONMENT = re.compile(r"\$\{(\w+)\}")


class AdapterError(Exception):
    """The API could not be asked, or said something unexpected."""


_NAMES = ("cp", "action", "payload")
ANY = "*"


def _template(value: Any) -> Any:
    if wrong := text_problem(value):
        raise mistake(wrong)
    for text in _texts(value):
        for name in names_between_braces(text):
            if name not in _NAMES:
                raise mistake(f"{name} is not known here; {nearest(name, _NAMES)}")
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


Template = Annotated[Any, AfterValidator(_template)]


class CallEntry(Section):
    """How one CALL is made."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(default="POST", description="Of HTTP.")
    path: Annotated[str, AfterValidator(_template)] = Field(
        description="Below base_url; {cp}, {action} and {payload.key} are filled in."
    )
    body: Template = Field(default=None, description="JSON with the same in braces; null: none.")
    answer: JmesPath | None = Field(
        default=None,
        description="JMESPath that makes the OCPP answer of the JSON that comes; null: all of it.",
    )


class AdapterFile(Section):
    """The file."""

    base_url: str = Field(description="Where the API is; ${NAME} is read from the environment.")
    headers: Annotated[dict[str, str], Expected("names and texts")] = Field(
        default={}, description="Of every request; ${NAME} is read from the environment."
    )
    timeout_s: float = Field(default=30.0, gt=0, description="Real seconds for an answer.")
    calls: Mapping[str, Any] = Field(description="By action; `*` for all others.")


class Adapter:
    """Makes a foreign central system call a station."""

    def __init__(
        self, base_url: str, timeout_s: float, calls: Mapping[str, CallEntry], headers: Mapping[str, str]
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._calls = calls
        self._headers = headers

    def describes(self, action: str) -> bool:
        """It says how to make that call."""
        return action in self._calls or ANY in self._calls

    async def call(self, cp: str, action: str, payload: Any) -> Any:
        """The station's answer, as the API tells it, to a call that it `describes`. Raises `AdapterError`."""
        entry = self._calls.get(action) or self._calls[ANY]
        scope = {"cp": cp, "action": action, "payload": payload}
        quoted = {"cp": quote(cp, safe=""), "action": action, "payload": payload}
        try:
            url = self._base_url + str(filled(entry.path, quoted))
            body = filled(entry.body, scope)
        except ExpressionError as error:
            raise AdapterError(f"{action}: {error}") from None
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=self._headers) as session,
                session.request(entry.method, url, json=body) as response,
            ):
                text = await response.text()
                if response.status >= 400:
                    raise AdapterError(f"{entry.method} {url} was answered {response.status}: {text[:200]}")
                document = await response.json(content_type=None) if text.strip() else {}
        except TimeoutError:
            raise AdapterError(f"{entry.method} {url}: no answer in {self._timeout_s:g} s") from None
        except aiohttp.ClientConnectorDNSError:
            raise AdapterError(f"{entry.method} {url}: that host is not known: check base_url") from None
        except aiohttp.ClientConnectorError as error:
            refused = error.errno == errno.ECONNREFUSED
            why = "nothing listens there" if refused else str(error.os_error)
            raise AdapterError(f"{entry.method} {url}: {why}: check base_url and that the API runs") from None
        except ValueError:
            raise AdapterError(f"{entry.method} {url} was answered with no JSON: {text[:200]}") from None
        except aiohttp.ClientError as error:
            raise AdapterError(f"{entry.method} {url}: {error}") from None
        try:
            return document if entry.answer is None else found(entry.answer, document)
        except ExpressionError as error:
            raise AdapterError(f"{action}: {error}") from None


def load_adapter(path: Path, environment: Mapping[str, str] = os.environ) -> Adapter:
    """Read an adapter's file. Raises `ConfigError` with every mistake."""
    document = read(path)
    problems: dict[tuple[str | int, ...], str] = {}
    calls: dict[str, CallEntry] = {}
    try:
        file = AdapterFile.model_validate(dict(document.tree), context=Context(path.parent))
    except ValidationError as error:
        raise ConfigError(in_order(places(AdapterFile, error), document, columns=True)) from None
    for action, entry in file.calls.items():
        if action != ANY and action not in CSMS_TO_CP:
            wrong = f"is not an action of the central system; {nearest(action, CSMS_TO_CP)}"
            problems["calls", action] = wrong
        try:
            calls[action] = CallEntry.model_validate(entry)
        except ValidationError as error:
            problems |= {("calls", action, *place): text for place, text in places(CallEntry, error).items()}

    def known(text: str, *place: str | int) -> str:
        for wanted in _ENVIRONMENT.findall(text):
            if wanted not in environment:
                problems[place] = f"needs the environment variable {wanted}, which is not set"
        return _ENVIRONMENT.sub(lambda match: environment.get(match[1], ""), text)

    headers = {name: known(value, "headers", name) for name, value in file.headers.items()}
    base_url = known(file.base_url, "base_url")
    if not base_url.startswith(("http://", "https://")):
        problems.setdefault(("base_url",), "is no address of an HTTP API; write http:// or https://")
    if problems:
        raise ConfigError(in_order(problems, document, columns=True))
    return Adapter(base_url, file.timeout_s, calls, headers)
