"""The live view of a fleet on a terminal, with the keys that steer it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live

from chargepoint.cli.fleet_lines import Lines, span, unheard
from chargepoint.cli.fleet_past import Past
from chargepoint.cli.fleet_picture import Course, Picture
from chargepoint.cli.fleet_steering import Keyboard, Steered, Steering
from chargepoint.fleet.measures.snapshot import Snapshot

MOST_NOTES = 200


class FleetView:
    """A viewer that fills the terminal from `shown` on, until `settle`; from then on it writes lines.

    `keyboard` is the descriptor that keys are read from, if they are.
    """

    def __init__(
        self,
        fleet: Steered,
        console: Console,
        lines: Lines,
        *,
        for_s: float | None = None,
        keyboard: int | None = None,
    ) -> None:
        self._fleet = fleet
        self._console = console
        self._for_s = for_s
        self._lines = lines
        self._past = Past()
        self._notes: deque[str] = deque(maxlen=MOST_NOTES)
        self._told_at = -1.0
        self._help = False
        self._live: Live | None = None
        self._steering = Steering(fleet, partial(signal.raise_signal, signal.SIGINT))
        self._keyboard = Keyboard(keyboard, self._pressed) if keyboard is not None else None

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show it as long as this lasts, or until `settle`; the terminal is then as it was."""
        loop = asyncio.get_running_loop()
        actions = {
            signal.SIGWINCH: self._draw,
            signal.SIGTSTP: self._pause,
        }
        for number, action in actions.items():
            loop.add_signal_handler(number, action)
        with _logging_to(self.note):
            self._take_terminal()
            try:
                yield
            finally:
                self.settle()
                for number in actions:
                    loop.remove_signal_handler(number)

    def settle(self) -> None:
        """Give the terminal back; only lines follow."""
        live, self._live = self._live, None
        if self._keyboard is not None:
            self._keyboard.close()
        if live is not None:
            live.stop()

    def __call__(self, snapshot: Snapshot) -> None:
        """The moment now."""
        self._past.add(snapshot)
        self._told_at, notes = unheard(snapshot, self._told_at)
        self._notes += notes
        if self._live is None:
            self._lines(snapshot)
        else:
            self._draw()

    def note(self, text: str) -> None:
        """Tell something between the figures."""
        if self._live is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._notes.append(f"{span(self._past.now.at_s)}  {text}")

    def picture(self, width: int, height: int) -> Group:
        """What is to be seen now, on a terminal of that size."""
        plain = not self._console.encoding.lower().startswith("utf")
        course = Course(
            for_s=self._for_s,
            ramp_per_s=self._fleet.ramp_per_s,
            ramp_behind_s=self._fleet.ramp_behind_s,
            held=self._fleet.held,
            troubles=[str(trouble) for trouble in self._fleet.troubles()],
            notes=list(self._notes),
            keys=self._steering.words() if self._keyboard is not None else (),
            help=self._help,
        )
        return Group(*Picture(width, height, plain=plain).lines(self._past, course))

    def _draw(self) -> None:
        if self._live is not None:
            # Asked of the terminal itself: COLUMNS and LINES in the environment do not follow its size.
            with contextlib.suppress(OSError):
                self._console.size = ConsoleDimensions(*os.get_terminal_size(self._console.file.fileno()))
            size = self._console.size
            self._live.update(self.picture(size.width, size.height), refresh=True)

    def _take_terminal(self) -> None:
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        if self._keyboard is not None:
            self._keyboard.open()
        self._draw()

    def _pause(self) -> None:
        """Ctrl-Z: the shell gets the terminal as it was; taken again when the fleet goes on."""
        was_shown = self._live is not None
        self.settle()
        os.kill(os.getpid(), signal.SIGSTOP)
        if was_shown:
            self._take_terminal()

    def _pressed(self, key: str) -> None:
        if key == "?":
            self._help = not self._help
        else:
            try:
                self._steering.press(key)
            except ValueError as error:  # an event that this fleet cannot have
                self.note(str(error))
        self._draw()


class _Notes(logging.Handler):
    """Log lines for the view."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(f"{record.levelname} {record.getMessage()}")


@contextlib.contextmanager
def _logging_to(tell: Callable[[str], None]) -> Iterator[None]:
    """A log on the same terminal would run through the picture; one that goes elsewhere is left alone."""
    root = logging.getLogger()
    before = root.handlers[:]
    if sys.stderr.isatty():
        root.handlers[:] = [_Notes(tell)]
    try:
        yield
    finally:
        root.handlers[:] = before
