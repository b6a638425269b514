"""What helps whoever may not open a device."""

from __future__ import annotations

import os
import pwd

__all__ = ["no_permission"]


def no_permission(group: str) -> str:
    """Says that this user lacks a group, and how to get it; who reads that may be somebody else."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = "$USER"
    return f"no permission; sudo usermod -aG {group} {user}, then log in again, or restart the service"
