"""Draws docs/demo.svg: a moment of the demonstration, as a terminal of 100 columns shows it."""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from chargepoint.cli.dashboard import Dashboard
from chargepoint.cli.demo import STATION, Story
from chargepoint.cli.options import ClockChoice
from chargepoint.cli.running import Running
from hal.clock import SteppedClock

WIDTH = 100
BEGINS_S = 1_792_917_000.0  # 2026-10-25T08:30:00Z
FROM_MINUTE, TO_MINUTE = 13.9, 19.6

FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

# rich's own frame without its web fonts: nothing is fetched when the picture is shown.
FRAME = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>chargepoint demo: the power of connector 1 follows a charging profile</title>
<style>
.{unique_id}-matrix {{ font-family: FONT; font-size: 20.2px; }}
{styles}
</style>
<defs>
{lines}
</defs>
<rect fill="#16181d" width="{width}" height="{height}" rx="8"/>
<g transform="translate(9, 16)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
""".replace("FONT", FONT)

THEME = TerminalTheme(
    (22, 24, 29),
    (214, 218, 224),
    [
        (60, 64, 72),
        (240, 110, 110),
        (120, 200, 120),
        (220, 190, 100),
        (110, 160, 250),
        (200, 140, 230),
        (100, 205, 215),
        (214, 218, 224),
    ],
)


async def draw(path: Path) -> None:
    """Play the demonstration on a clock that jumps, record some minutes of it, and write the picture."""
    running = Running(STATION, clock=ClockChoice("stepped"), start=BEGINS_S, seed=1)
    station = await running.open()
    clock, csms = running.clock, running.csms
    assert isinstance(clock, SteppedClock)
    assert csms is not None
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.record = False
    dashboard = Dashboard(station, console.print, console)
    station.watch(dashboard.event)
    story = Story(station, csms, clock)
    station.start()
    telling = asyncio.create_task(story.tell(dashboard.say))
    await clock.run_until(BEGINS_S + FROM_MINUTE * 60)
    console.record = True
    console.print("$ make run", style="bold green")
    console.print("  [...]", style="dim", markup=False, highlight=False)
    await clock.run_until(BEGINS_S + TO_MINUTE * 60)
    console.print(dashboard.table())
    console.record = False
    telling.cancel()
    await running.close()
    picture = console.export_svg(theme=THEME, code_format=FRAME, unique_id="demo")
    path.write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(draw(Path(sys.argv[1])))
