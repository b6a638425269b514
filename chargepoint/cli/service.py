"""`chargepoint service`: a station that systemd starts, watches and makes safe."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click

from chargepoint.cli.unit import CONFIG, NAME, PATH, USER, explained, unit

__all__ = ["service"]

_SHOWN = (
    "LoadState,ActiveState,SubState,Result,NRestarts,StatusText,ExecMainStatus,UnitFileState,"
    "ActiveEnterTimestamp,WatchdogUSec"
)
_NO_SYSTEMD = (
    "this computer does not run systemd, so nothing would start the service or make the station safe after a "
    "crash; --dry-run prints the unit, --prefix DIR writes it for another computer"
)

EPILOG = """\
\b
Examples:
  chargepoint service install --dry-run
  sudo chargepoint service install --user pi --config /home/pi/station.yaml
  chargepoint service status
"""


@click.group(epilog=EPILOG)
def service() -> None:
    """A station as a service: started with the computer, watched, made safe whenever it ends."""


@service.command()
@click.option("--user", default=USER, show_default=True, metavar="NAME", help="Who runs it; not root.")
@click.option(
    "--config",
    "config_file",
    default=CONFIG,
    show_default=True,
    metavar="FILE",
    help="The station's configuration.",
)
@click.option(
    "--prefix", type=click.Path(path_type=Path), metavar="DIR", help="Write below this folder, for an image."
)
@click.option("--dry-run", is_flag=True, help="Print the unit, write nothing.")
@click.option("--force", is_flag=True, help="Overwrite a unit that is different.")
def install(user: str, config_file: str, prefix: Path | None, dry_run: bool, force: bool) -> None:
    """Write the unit and say what to do next; a unit that somebody changed stays without --force."""
    if not config_file.startswith("/"):
        config_file = str(Path(config_file).absolute())
    text = unit(user, config_file, _program())
    if dry_run:
        click.echo(text, nl=False)
        return
    if prefix is None and not Path("/run/systemd/system").exists():
        raise click.ClickException(_NO_SYSTEMD)
    path = (prefix or Path("/")) / PATH
    try:
        found = path.read_text() if path.exists() else None
        if found is not None and found != text and not force:
            raise click.ClickException(
                f"{path} is there already and different; --force overwrites it, --dry-run prints the new one"
            )
        if found != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o644)
    except PermissionError:
        raise click.ClickException(
            f"{path} cannot be written: sudo chargepoint service install ..."
        ) from None
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None
    click.echo(f"{path} {'is up to date' if found == text else 'written'}.")
    if prefix is None:
        for line in _next(user, config_file):
            click.echo(line)


@service.command()
def status() -> int:
    """Say in plain words how the service does. Exit code 1 if it does not run."""
    systemctl = shutil.which("systemctl")
    shown: dict[str, str] = {}
    if systemctl is not None:
        done = subprocess.run(
            (systemctl, "show", NAME, "--property", _SHOWN),
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        shown = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if not shown:
        raise click.ClickException("this computer does not run systemd, or does not let you ask it")
    runs, lines = explained(shown)
    for line in lines:
        click.echo(line)
    return 0 if runs else 1


def _program() -> str:
    """The command as systemd can start it: by its full path."""
    beside = Path(sys.executable).parent / "chargepoint"
    found = str(beside) if beside.exists() else shutil.which("chargepoint")
    if found is None:
        raise click.ClickException(
            "the command chargepoint is not on the PATH: install it first (pip install ...)"
        )
    return found


def _next(user: str, config_file: str) -> list[str]:
    """What the person has to do yet."""
    import pwd

    lines = ["Next:"]
    try:
        pwd.getpwnam(user)
    except KeyError:
        lines.append(f"  sudo useradd --system --groups dialout,gpio,input {user}")
    if not Path(config_file).parent.exists():
        lines.append(f"  sudo mkdir -p {Path(config_file).parent}")
    if not Path(config_file).exists():
        lines.append(f"  chargepoint config example | sudo tee {config_file}    # and edit it")
    return [
        *lines,
        f"  sudo -u {user} {_program()} hardware doctor --config {config_file}",
        "  sudo systemctl daemon-reload",
        f"  sudo systemctl enable --now {NAME}",
        "  chargepoint service status",
    ]
