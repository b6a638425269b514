"""The program: `chargepoint`, or `python -m chargepoint`."""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Run the command line and return its exit code."""
    _open_standard_descriptors()
    # While modules load, which takes a second on a small computer, Ctrl-C simply ends the process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from chargepoint.cli import main as command_line

    signal.signal(signal.SIGINT, signal.default_int_handler)
    return command_line.main()


def _open_standard_descriptors() -> None:
    """Started with one of them closed, we would give its number to a socket, and print into that."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    sys.exit(main())
