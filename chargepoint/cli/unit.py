"""The service unit of a station, and what systemd says about it in plain words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

__all__ = ["CONFIG", "NAME", "PATH", "PROGRAM", "USER", "Served", "explained", "served", "unit"]

NAME = "chargepoint.service"
PATH = PurePosixPath("etc/systemd/system") / NAME
USER = "chargepoint"
CONFIG = "/etc/chargepoint/station.yaml"
PROGRAM = "/opt/chargepoint/bin/chargepoint"

_UNIT = """\
# Written by `chargepoint service install`; put changes of your own into a drop-in: systemctl edit {name}
[Unit]
Description=OCPP charge point
After=network-online.target time-sync.target
Wants=network-online.target time-sync.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User={user}
ExecStart={program} run --config {config} --storage %S/chargepoint
# After every end, a crash and SIGKILL too: whatever the program left behind, the contactors open.
ExecStopPost={program} hardware safe-off --config {config}
# 3: at its end a controller could not be reached. safe-off tries again, and says whether this is a failure.
SuccessExitStatus=3
# Fed only by rounds with the hardware that succeeded.
WatchdogSec=10
Restart=always
RestartSec=2
TimeoutStopSec=30
KillMode=mixed
StateDirectory=chargepoint
StateDirectoryMode=0700
WorkingDirectory=%S/chargepoint
UMask=0077

# Serial ports and pins stay in reach: no PrivateDevices, no DevicePolicy.
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""


def unit(user: str = USER, config: str = CONFIG, program: str = PROGRAM) -> str:
    """The unit's text."""
    return _UNIT.format(name=NAME, user=user, config=_quoted(config), program=_quoted(program))


def _quoted(path: str) -> str:
    """A path as one word of an ExecStart line (systemd.service(5))."""
    text = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if any(character.isspace() for character in path) else text


@dataclass(frozen=True, slots=True)
class Served:
    """Who runs which configuration as a service, and where it keeps what it remembers."""

    user: str
    config: str
    storage: str | None = None  # None: where the configuration says


def served(text: str) -> Served | None:
    """What a unit's text says, whoever wrote it; None if it starts no station from a file."""
    command = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    try:
        words = shlex.split(command[1] if command is not None else "")
    except ValueError:
        return None
    words = [word.replace("%S", "/var/lib").replace("%%", "%").replace("$$", "$") for word in words]
    given = dict(pairwise(words))
    if "--config" not in given:
        return None
    user = re.search(r"^User=(.*)$", text, re.MULTILINE)
    return Served(user[1].strip() if user is not None else "root", given["--config"], given.get("--storage"))


_NOT_SAFE = "not safe"
_RESULTS = {
    "watchdog": "its hardware stopped answering, or it hung: systemd ended it (chargepoint hardware probe)",
    "exit-code": "it ended by itself with code {ExecMainStatus}: see journalctl -u chargepoint",
    _NOT_SAFE: "a controller could not be reached at its end, and may still give current: "
    "chargepoint hardware safe-off",
    "signal": "it was killed by signal {ExecMainStatus}",
    "core-dump": "it crashed by signal {ExecMainStatus}",
    "oom-kill": "the computer ran out of memory",
    "timeout": "it did not start or end in time",
    "protocol": "it ended before it had started: see journalctl -u chargepoint",
    "start-limit-hit": "it failed too often; sudo systemctl reset-failed chargepoint",
}


def explained(shown: Mapping[str, str]) -> tuple[bool, list[str]]:
    """Whether the station runs, and what `systemctl show` means."""
    if shown.get("LoadState") == "not-found":
        return False, ["It is not installed: chargepoint service install"]
    if shown.get("LoadState") not in ("loaded", None):
        return False, [f"systemd cannot use its unit ({shown['LoadState']}): systemd-analyze verify /{PATH}"]
    state, lines = shown.get("ActiveState", "unknown"), []
    if state == "active":
        since = shown.get("ActiveEnterTimestamp", "")
        lines.append(f"It runs{f' since {since}' if since else ''}.")
        if status := shown.get("StatusText"):
            lines.append(f"It says: {status}")
    elif shown.get("SubState") == "auto-restart":
        lines.append("It ended and is started again in a moment.")
    elif state == "activating":
        lines.append("It is starting: it waits for its hardware, a few seconds at most.")
    elif state == "deactivating":
        lines.append("It is ending in good order.")
    else:
        lines.append("It does not run: sudo systemctl start chargepoint")
    result = shown.get("Result", "success")
    if result == "exit-code" and shown.get("ExecMainStatus") in ("0", "3"):
        result = _NOT_SAFE  # what failed is safe-off, after it
    if result != "success" and state != "active":
        lines.append("The last end: " + _RESULTS.get(result, result).format_map(shown) + ".")
    if (restarts := shown.get("NRestarts", "0")) != "0":
        lines.append(f"It was started again {restarts} times: see journalctl -u chargepoint")
    if shown.get("WatchdogUSec", "0") in ("0", "infinity") and state == "active":
        lines.append("Nobody watches it: its unit has no WatchdogSec (chargepoint service install --force).")
    if shown.get("UnitFileState") not in ("enabled", "enabled-runtime"):
        lines.append("It is not started with the computer: sudo systemctl enable chargepoint")
    return state == "active", lines
