"""What can be read of a computer, below a root folder that is `/` but in tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Result = Literal["ok", "warn", "FAIL", "skip"]
Said = tuple[Result, str]
"""How a check went; what was found, and what helps."""


class Facts:
    """Files and programs of one computer."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def at(self, path: str) -> Path:
        """Where an absolute path is."""
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str:
        """What is in a file; empty without it."""
        try:
            return (self.root / path).read_text(errors="replace")
        except OSError:
            return ""

    def glob(self, pattern: str) -> Iterator[Path]:
        """The files that match."""
        return self.root.glob(pattern)

    def asked(self, program: str, *arguments: str) -> str | None:
        """What a program of this computer says; None without it."""
        path = self.root / "usr/bin" / program
        try:
            done = subprocess.run((path, *arguments), capture_output=True, text=True, timeout=5, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None
