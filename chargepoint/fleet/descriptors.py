"""File descriptors: how many a fleet needs, and how to get them."""

from __future__ import annotations

import os
import resource

RESERVE = 200
"""For the process itself: files, pipes, name look-ups, transfers under way."""

AMPLE = 2**20
"""More than one process can use; beyond it some programs count for seconds when they are started."""

REMEDY = (
    "raise it with `ulimit -n {needed}` in the shell, `LimitNOFILE={needed}` in a systemd unit, "
    "`* hard nofile {needed}` in /etc/security/limits.conf, or `docker run --ulimit nofile={needed}`"
)


def needed(stations: int, *, embedded: bool = False, stored: bool = False) -> int:
    """Descriptors for so many links; both ends with the central system embedded, three files a database."""
    return stations * (1 + embedded + 3 * stored) + RESERVE


def in_use() -> int:
    """Descriptors that this process has open, such as for the links of another fleet in it."""
    return len(os.listdir("/dev/fd"))


def provide(count: int) -> str | None:
    """See that there can be `count`, and more for stations that come later, such as those of a lost worker.

    The soft limit is raised as far as may be, the hard one to `count` where that is allowed. Returns what is
    wrong and how to mend it if there cannot be so many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ample = max(count, AMPLE)
    if _enough(soft, ample):
        return None
    if _enough(hard, count):
        most = ample if _enough(hard, ample) else hard
        if _set(most, hard) or _enough(soft, count) or _set(count, hard):
            return None
    elif _set(count, count):
        return None
    else:
        _set(hard, hard)
    return (
        f"this fleet needs {count} open files and the limit of this process is {hard}: "
        f"{REMEDY.format(needed=count)}"
    )


def _set(soft: int, hard: int) -> bool:
    """False where it may not be: only root may raise the hard one, and macOS grants less than it says."""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    except (OSError, ValueError):
        return False
    return True


def _enough(limit: int, count: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= count
