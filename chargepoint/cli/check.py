"""`chargepoint check`: go the way to the central system step by step and say where it ends, and why."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargepoint.cli.checkup import Step, checkup
from chargepoint.errors import ConfigError, StoreError
from chargepoint.link_settings import LinkSettings, TlsSettings, connection_url, decode_authorization_key

if TYPE_CHECKING:
    from chargepoint.config import StationConfig

_COLOURS = {"ok": "green", "warn": "yellow", "FAIL": "red", "skip": "bright_black"}
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("check")
@click.option("--csms", metavar="URL", help="The central system: ws://host/path or wss://host/path.")
@click.option("--id", "identity", metavar="ID", help="The identity of the charge point.")
@click.option("--config", "config_file", type=_FILE, help="Take everything not given here from this file.")
@click.option(
    "--storage",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="What the station remembers, security settings from the central system too [the configuration's].",
)
@click.option("--user-password-stdin", is_flag=True, help="Read the AuthorizationKey from standard input.")
@click.option("--password-file", type=_FILE, help="Read the AuthorizationKey from this file.")
@click.option("--ca", type=_FILE, help="PEM file of the root certificates to trust.")
@click.option("--cert", type=_FILE, help="PEM file of the station's certificate (security profile 3).")
@click.option("--key", type=_FILE, help="PEM file of its private key.")
@click.option(
    "--security-profile", type=click.IntRange(0, 3), help="0 to 3; without it, as the rest implies."
)
@click.option("--timeout", "timeout_s", type=click.FloatRange(0.1, 600), default=10, show_default=True,
              metavar="SECONDS", help="Patience per step.")  # fmt: skip
@click.option(
    "--no-boot", is_flag=True, help="Stop before BootNotification, which the central system records."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def check(
    csms: str | None,
    identity: str | None,
    config_file: Path | None,
    storage: Path | None,
    user_password_stdin: bool,
    password_file: Path | None,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    security_profile: int | None,
    timeout_s: float,
    no_boot: bool,
    as_json: bool,
) -> None:
    """Try the way to the central system: name, TCP, TLS, WebSocket, password, BootNotification.

    With --config the way is that of the station itself: security settings that the central system has stored
    there win over the file, unless options here say otherwise. A real BootNotification is sent, under the
    identity given; --no-boot leaves it out. The exit code is 0 when all went well, 1 when something failed, 2
    when the command or the configuration is wrong.
    """
    if user_password_stdin and password_file is not None:
        raise click.UsageError("--user-password-stdin and --password-file exclude each other")
    try:
        config = _load(config_file) if config_file else None
        password = None
        if user_password_stdin or password_file is not None:
            password = sys.stdin.read() if password_file is None else password_file.read_text("utf-8")
            password = password.rstrip("\r\n")
        settings = _settings(config, csms, identity, password, (ca, cert, key), security_profile)
        remembered = ""
        if config is not None and all(given is None for given in (password, ca, cert, key, security_profile)):
            settings, remembered = _in_force(config, storage, csms, settings)
    except (ConfigError, UnicodeDecodeError) as error:
        raise click.UsageError(str(error)) from None
    steps = checkup(settings, timeout_s, None if no_boot else _nameplate(config))
    if as_json:
        passed = _print_json(steps, remembered)
    else:
        passed = _print_lines(steps, settings, remembered, announce_boot=not no_boot)
    sys.exit(0 if passed else 1)


def _load(path: Path) -> StationConfig:
    # Reading configuration loads pydantic and YAML, which a check without a file does not need.
    from chargepoint.config import load

    return load(path)


def _in_force(
    config: StationConfig, storage: Path | None, csms: str | None, settings: LinkSettings
) -> tuple[LinkSettings, str]:
    """What the station would connect with: its store may say otherwise than the configuration."""
    from chargepoint.store import file_name

    folder = storage or config.storage
    store = None if folder is None else folder / file_name(settings.identity)
    if store is None or not store.exists():
        return settings, ""
    from chargepoint.cli.in_force import in_force

    try:
        found, words = in_force(config, csms or str(config.csms.url), settings.identity, store)
    except StoreError as error:
        return settings, f"With the configuration alone, since the store cannot be read: {error}"
    if not words:
        return settings, ""
    return found, f"With {words}: so says {store}, which wins over the configuration."


def _settings(
    config: StationConfig | None,
    csms: str | None,
    identity: str | None,
    password: str | None,
    files: tuple[Path | None, Path | None, Path | None],
    profile: int | None,
) -> LinkSettings:
    """What the options say, else the configuration, else what the rest implies."""
    endpoint = csms or (config.csms.url if config else None)
    identity = identity or (config.identity if config else None)
    if not endpoint or not identity:
        raise click.UsageError("say where to: --csms URL and --id ID, or a --config FILE that has both")
    encoding = config.compatibility.authorization_key_encoding if config else "auto"
    if password is None and config and config.csms.authorization_key:
        password = config.csms.authorization_key.get_secret_value()
    tls = config.csms.tls if config else None
    ca, cert, key = (
        str(given or configured) if given or configured else None
        for given, configured in zip(files, (tls.ca, tls.cert, tls.key) if tls else (None,) * 3, strict=True)
    )
    if profile is None and config:
        profile = config.csms.security_profile
    if profile is None:
        secure = endpoint.lower().startswith("wss:")
        profile = (2 if secure else 1) if password else (3 if secure and cert else 0)
    if profile in (1, 2) and password is None:
        raise click.UsageError(f"security profile {profile} needs a password: give --password-file")
    return LinkSettings(
        url=connection_url(endpoint, identity),
        identity=identity,
        security_profile=profile,
        password=None if password is None else decode_authorization_key(password, encoding),
        tls=TlsSettings(
            _text(ca),
            _text(cert),
            _text(key),
            verify_hostname=tls.verify_hostname if tls else True,
            server_name=config.compatibility.server_name if config else "cn_or_san",
        ),
        proxy=config.csms.proxy if config else "auto",
    )


def _text(path: str | None) -> str | None:
    try:
        return None if path is None else Path(path).read_text("ascii", errors="replace")
    except OSError as error:
        raise ConfigError([f"{path} cannot be read ({error.strerror}): check the path"]) from None


def _nameplate(config: StationConfig | None) -> dict[str, str]:
    """The payload of BootNotification (OCPP 1.6 §6.3)."""
    if config is None:
        return {"chargePointVendor": "Example", "chargePointModel": "Wallbox"}
    station = config.station
    fields = {
        "chargePointVendor": station.vendor,
        "chargePointModel": station.model,
        "chargePointSerialNumber": station.serial_number,
        "chargeBoxSerialNumber": station.charge_box_serial_number,
        "firmwareVersion": station.firmware_version,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _print_lines(steps: Iterator[Step], settings: LinkSettings, remembered: str, announce_boot: bool) -> bool:
    click.echo(f"Checking {settings.url}")
    if remembered:
        click.echo(remembered)
    if announce_boot:
        click.echo("The last step sends a real BootNotification; --no-boot leaves it out.")
    passed = True
    for step in steps:
        passed &= step.result != "FAIL"
        word = click.style(f"{step.result:<4}", fg=_COLOURS[step.result])
        took = "" if step.result == "skip" else f"{step.took_ms:.0f} ms"
        click.echo(f"{word}  {step.name:<14}  {took:>9}  {step.message}")
    return passed


def _print_json(steps: Iterator[Step], remembered: str) -> bool:
    done: list[dict[str, Any]] = [step.as_json() for step in steps]
    passed = all(step["result"] != "FAIL" for step in done)
    click.echo(
        json.dumps(
            {"ok": passed, "at": int(time.time()), "remembered": remembered or None, "steps": done},
            ensure_ascii=False,
            indent=2,
        )
    )
    return passed
