"""`--control` on the command line: where commands come from, who may give them, and what is behind."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from chargepoint.actions import Reply
from chargepoint.cli.running import say
from chargepoint.control import PROTOCOL_VERSION, Command
from chargepoint.errors import ConfigError
from chargepoint.recording import Perform
from chargepoint.station import Station

if TYPE_CHECKING:
    from chargepoint.control.http import HttpControl, Stations

TOKEN_VARIABLE = "CHARGEPOINT_CONTROL_TOKEN"


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """Where HTTP is served; port 0 takes a free one."""

    host: str
    port: int

    def url(self, port: int) -> str:
        """The address with the port that was taken."""
        return f"http://[{self.host}]:{port}" if ":" in self.host else f"http://{self.host}:{port}"


class ControlType(click.ParamType["str | HttpAddress"]):
    """http://HOST:PORT, and where standard input may be used also stdio."""

    def __init__(self, *, stdio: bool) -> None:
        self._stdio = stdio
        self.name = "stdio|http://HOST:PORT" if stdio else "http://HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, HttpAddress) or (self._stdio and value == "stdio"):
            return value
        try:
            parts = urlsplit(str(value))
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if host is None or port is None or str(value).rstrip("/") != HttpAddress(host, port).url(port):
            others = "stdio or " if self._stdio else ""
            self.fail(f"write {others}http://127.0.0.1:PORT, with port 0 for a free one", param, ctx)
        return HttpAddress(host, port)


def token_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The two options of the token; the function gets them as `control_token` and `control_token_file`."""
    token = click.option(
        "--control-token",
        envvar=TOKEN_VARIABLE,
        metavar="TOKEN",
        help=f"Who controls over HTTP must show it; better in {TOKEN_VARIABLE} or a file: everybody on this "
        "machine can read a command line.",
    )
    file = click.option(
        "--control-token-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The token is in this file, which only its owner may read.",
    )
    return token(file(command))


def token_for(address: HttpAddress, token: str | None, file: Path | None) -> str | None:
    """The token to be shown; None: nobody needs one. Raises `ConfigError`."""
    from chargepoint.control.http import is_loopback

    if file is not None:
        token = _token_in(file)
    if token is None:
        if not is_loopback(address.host):
            raise ConfigError(
                [
                    f"--control {address.url(address.port)}: other machines can reach that address; "
                    f"set {TOKEN_VARIABLE} or give --control-token-file FILE, or use 127.0.0.1"
                ]
            )
        return None
    if not token or not all("!" <= letter <= "~" for letter in token):
        raise ConfigError(["the control token: use visible ASCII characters without spaces, at least one"])
    return token


def _token_in(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
                raise ConfigError([f"{file}: others can read the control token; chmod 600 {file}"])
            return opened.read(4096).strip()
    except OSError as error:
        raise ConfigError([f"--control-token-file {file}: {error.strerror}"]) from error


class OneStation:
    """The station of `chargepoint run`, as a control over HTTP sees it."""

    def __init__(self, station: Station, perform: Perform) -> None:
        self._station = station
        self._perform = perform

    def perform(self, command: Command) -> Reply | Awaitable[Reply]:
        return self._perform(command)

    def known(self, cp: str) -> bool:
        return cp == self._station.identity

    def lane(self, command: Command) -> str | None:
        return None

    def listing(self) -> list[dict[str, Any]]:
        return [summary(self._station)]

    def ready(self) -> dict[str, Any]:
        return ready(identity=self._station.identity)

    def now(self) -> float:
        return self._station.utc()

    def audience_changed(self) -> None: ...


def ready(**fields: Any) -> dict[str, Any]:
    """The fields of the event `ready`."""
    return {"protocol": PROTOCOL_VERSION, **fields, "version": version()}


def summary(station: Station) -> dict[str, Any]:
    """A station in a list of them."""
    return {
        "cp": station.identity,
        "online": station.online,
        "registration": station.charge_point.boot.registration.value,
        "connectors": len(station.evses),
    }


def version() -> str:
    """Of this program."""
    try:
        return metadata.version("chargepoint")
    except metadata.PackageNotFoundError:
        return "0"


def http_control(stations: Stations, address: HttpAddress, token: str | None) -> HttpControl:
    """A control over HTTP that does not serve yet."""
    from chargepoint.control.http import HttpControl  # not above: it takes a while, and few want it

    return HttpControl(stations, address.host, token)


async def open_http(control: HttpControl, address: HttpAddress) -> str:
    """Begin to serve; say and return the URL. Raises `ConfigError` if the address cannot be had."""
    try:
        port = await control.open(address.port)
    except OSError as error:
        raise ConfigError([f"--control {address.url(address.port)}: {error.strerror}"]) from error
    say(f"ready: commands and events at {address.url(port)}")
    return address.url(port)
