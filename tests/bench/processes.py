"""Measuring processes: each is alone with its interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LONGEST_S = 120.0


def run_json(module: str, *args: str, longest_s: float = LONGEST_S) -> Any:
    """Run a module to its end; returns the JSON it prints."""
    command = [sys.executable, "-m", module, *args]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=longest_s)
    return json.loads(ended.stdout)


@contextmanager
def started(module: str, *args: str) -> Iterator[str]:
    """A module that runs meanwhile; gives the first line it prints."""
    command = [sys.executable, "-m", module, *args]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline()
        finally:
            process.kill()
