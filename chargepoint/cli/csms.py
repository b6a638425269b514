"""`chargepoint csms`: the embedded central system as a program of its own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import click

from chargepoint.csms.central_system import CentralSystem
from chargepoint.csms.control import Control
from chargepoint.csms.lines import ends_by_itself, lines
from chargepoint.csms.tls import ServerTls
from chargepoint.csms.transcript import Transcript

_STDIN = 0


class _CannotListen(click.ClickException):
    """The address cannot be had."""

    exit_code = 2


def _passwords(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """IDENTITY=PASSWORD pairs; a password may contain an equals sign."""
    pairs = [value.partition("=") for value in values]
    if not all(identity and sign and password for identity, sign, password in pairs):
        raise click.BadParameter("write IDENTITY=PASSWORD")
    return {identity: password for identity, _, password in pairs}


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9000, show_default=True, help="0: any free one."
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="0.0.0.0: reachable from other machines."
)
@click.option("--seed", type=int, help="Makes message ids repeatable.")
@click.option(
    "--interval",
    type=click.IntRange(min=0),
    default=300,
    show_default=True,
    help="Heartbeat interval in seconds for accepted stations.",
)
@click.option(
    "--password",
    "passwords",
    multiple=True,
    metavar="IDENTITY=PASSWORD",
    callback=_passwords,
    help="This station must show this password (basic authentication). Repeatable.",
)
@click.option("--tls-cert", type=_FILE, metavar="FILE", help="Speak wss:// with this certificate (PEM).")
@click.option("--tls-key", type=_FILE, metavar="FILE", help="Its private key, if not in the same file.")
@click.option(
    "--client-ca",
    type=_FILE,
    metavar="FILE",
    help="Stations must show a certificate that these roots vouch for (security profile 3).",
)
@click.option("--quiet", is_flag=True, help="Do not print frames.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines even on a terminal.")
def csms(
    port: int,
    host: str,
    seed: int | None,
    interval: int,
    passwords: dict[str, str],
    tls_cert: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run a central system that accepts any OCPP 1.6-J station.

    Frames are printed: one line each on a terminal, JSON Lines otherwise. Commands are read from standard
    input as JSON Lines. It ends on Ctrl-C, on {"cmd": "shutdown"}, and when commands from a pipe or file end.

    \b
    Examples:
      chargepoint csms
      chargepoint csms --port 9001 --password CP001=open-sesame
      chargepoint csms --tls-cert server.pem --tls-key server.key --client-ca root.pem
      chargepoint csms --json </dev/null >frames.jsonl

    \b
    Commands, one per line:
      {"cp": "CP001", "call": "RemoteStartTransaction", "payload": {"idTag": "04E12345"}, "id": 1}
      {"answer": "Authorize", "id_tag": "BAD", "payload": {"idTagInfo": {"status": "Blocked"}}}
      {"answer": "StopTransaction", "error": "InternalError", "times": 2}
      {"cmd": "transactions"}
      {"cmd": "password", "cp": "CP001", "password": "another-sesame"}
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    if tls_cert is None and (tls_key or client_ca):
        raise click.UsageError("--tls-key and --client-ca need --tls-cert")
    tls = None if tls_cert is None else ServerTls(tls_cert, tls_key, client_ca)
    try:
        central = CentralSystem(
            host=host, port=port, seed=seed, interval_s=interval, passwords=passwords, tls=tls
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    asyncio.run(_serve(central, _address(host, port), quiet, as_json or not sys.stdout.isatty()))


async def _serve(central: CentralSystem, address: str, quiet: bool, as_json: bool) -> None:
    """Serve until a signal, `shutdown`, the end of commands from a pipe, or nobody reads what is printed."""
    ended = asyncio.Event()
    write = _writer(as_json, ended.set)
    control = Control(central, write, ended)
    central.listen(lambda event: None if quiet and event.name == "frame" else write(event.as_dict()))
    _end_on_signals(ended)
    try:
        await central.start()
    except OSError as error:
        raise _CannotListen(f"cannot listen on {address}: {_reason(error)}") from None
    commands = _commands() if sys.stdin is None else lines(_STDIN)
    reading = asyncio.create_task(control.obey(commands, keep_serving=not ends_by_itself(_STDIN)))
    ending = asyncio.create_task(ended.wait())
    await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
    await central.stop()
    await control.replied()
    for task in (reading, ending):
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program does; end it or choose another --port"
    return error.strerror or str(error)


async def _commands() -> AsyncIterator[bytes]:
    """No commands: standard input was closed before the start."""
    return
    yield


def _end_on_signals(ended: asyncio.Event) -> None:
    """The first signal asks for an orderly end, a second one ends at once."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def end() -> None:
        ended.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, end)
    # A job in the background of a terminal would be stopped when it reads from it; ignored, the read fails.
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)


def _writer(as_json: bool, gone: Callable[[], None]) -> Callable[[dict[str, Any]], None]:
    """What writes events and replies to standard output; calls `gone` when nobody reads it any more."""

    def print_line(line: str) -> None:
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except OSError:
            gone()

    if as_json:
        return lambda message: print_line(json.dumps(message, separators=(",", ":")))
    return Transcript(print_line).write
