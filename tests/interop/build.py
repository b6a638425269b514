"""`python -m tests.interop.build`: fetch and compile the foreign central systems, all at the same time.

Without a toolchain or a registry that answers in time a system is left out, and `make interop` says why; that
is no failure of ours. A server of ours that does not compile is one: exit code 1.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.interop.libraries import HERE, LIBRARIES, Command, Library

FETCH_WITHIN_S = 60.0
COMPILE_WITHIN_S = 120.0


class Failed(Exception):
    """A step of a build did not succeed; `slow` if it was only not done in time."""

    def __init__(self, command: Command, words: str, *, slow: bool = False) -> None:
        super().__init__(f"{' '.join(command[:3])}: {words}")
        self.slow = slow


def carry_out(command: Command, library: Library, within_s: float) -> float:
    """Run a step of a build in its folder, everything it says in a log beside that; the seconds it took."""
    began = time.monotonic()
    log = library.folder.with_suffix(".log")
    with log.open("a") as output:
        process = subprocess.Popen(
            command,
            cwd=library.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(within_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise Failed(command, f"no end within {within_s:.0f} s", slow=True) from None
    if code != 0:
        raise Failed(command, f"{complaint(log.read_text())} (all of it: {log.relative_to(HERE.parents[1])})")
    return time.monotonic() - began


def complaint(said: str) -> str:
    """The first line about an error, or the last line."""
    lines = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", said).splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "no word")[:200]


def build(library: Library) -> tuple[str, bool]:
    """What became of it, and whether that is our fault."""
    if missing := library.missing():
        return f"left out: {missing}", False
    if library.built():
        return "was built before", False
    shutil.rmtree(library.folder, ignore_errors=True)
    library.folder.mkdir(parents=True)
    library.folder.with_suffix(".log").write_text("")
    for source in library.sources:
        shutil.copy(HERE / library.name / source, library.folder)
    try:
        fetched_s = carry_out(library.fetch, library, FETCH_WITHIN_S)
    except Failed as failed:
        return f"left out, its registry cannot be had: {failed}", False
    try:
        compiled_s = carry_out(library.compile, library, COMPILE_WITHIN_S) if library.compile else 0.0
    except Failed as failed:
        return f"NOT COMPILED: {failed}", not failed.slow
    library.stamp.write_text(library.digest())
    return f"fetched in {fetched_s:.1f} s, compiled in {compiled_s:.1f} s", False


def main() -> int:
    """Build all; the exit code."""
    with ThreadPoolExecutor(len(LIBRARIES)) as pool:
        outcomes = list(pool.map(build, LIBRARIES))
    for library, (outcome, _) in zip(LIBRARIES, outcomes, strict=True):
        print(f"interop: {library.name}: {outcome}", flush=True)
    return int(any(ours for _, ours in outcomes))


if __name__ == "__main__":
    sys.exit(main())
