"""File descriptors: how many a fleet needs, and how to get them."""

from __future__ import annotations

import resource

RESERVE = 200
"""For the process itself: files, pipes, name look-ups, transfers under way."""

REMEDY = (
    "raise it with `ulimit -n {needed}` in the shell, `LimitNOFILE={needed}` in a systemd unit, "
    "`* hard nofile {needed}` in /etc/security/limits.conf, or `docker run --ulimit nofile={needed}`"
)


def needed(stations: int, *, embedded: bool = False, databases: int = 0) -> int:
    """Descriptors for so many links; both ends with the central system embedded, three files a database."""
    return stations * (2 if embedded else 1) + 3 * databases + RESERVE


def provide(count: int) -> str | None:
    """Raise the soft limit to `count` if it is lower, the hard one too where that is allowed.

    Returns what is wrong and how to mend it if there cannot be so many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _enough(soft, count):
        return None
    for ceiling in (hard,) if _enough(hard, count) else (count,):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, ceiling))
        except (OSError, ValueError):  # only root may raise the hard limit, and no further than the kernel's
            continue
        return None
    if _enough(hard, soft):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return (
        f"this fleet needs {count} open files and the limit of this process is {hard}: "
        f"{REMEDY.format(needed=count)}"
    )


def _enough(limit: int, count: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= count
