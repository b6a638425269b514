"""Draws docs/fleet.svg: a moment of a thousand stations, as a terminal of 100 columns shows it."""

from __future__ import annotations

import asyncio
import io
import sys
from dataclasses import replace
from pathlib import Path

from demo_picture import FRAME, THEME
from rich.console import Console

from chargepoint.cli.fleet_lines import Lines
from chargepoint.cli.fleet_runs import FleetRun
from chargepoint.cli.fleet_view import FleetView
from chargepoint.cli.options import ClockChoice
from chargepoint.fleet.plan.planning import plan_of_flags

WIDTH, HEIGHT = 100, 34
TIMES = 10.0
FOR_S, RECORDED_FOR_S = 600.0, 330.0
EVENTS = ((150.0, "blackout 30s share=40%"), (240.0, "surge x3 for 10m"))
TITLE = "chargepoint fleet run: the live view of a thousand stations in a morning rush"


async def draw(path: Path) -> None:
    """Run the fleet for half a minute, and write the picture of its last moment."""
    plan = plan_of_flags(count=1000, ramp="10/s", behaviour="morning-rush", seed=1)
    run = FleetRun(
        replace(plan, events=EVENTS), clock=ClockChoice("scaled", TIMES), start=plan.starts_at, for_s=FOR_S
    )
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    view = FleetView(run.fleet, console, Lines(run.fleet, lambda line: None), for_s=FOR_S, keyboard=0)
    run.viewers.append(view)
    running = asyncio.create_task(run.run())
    await asyncio.sleep(RECORDED_FOR_S / TIMES)
    console.print(view.picture(WIDTH, HEIGHT))
    run.fleet.stop()
    await running
    picture = console.export_svg(theme=THEME, code_format=titled(FRAME), unique_id="fleet")
    path.write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n", encoding="utf-8")


def titled(frame: str) -> str:
    """The frame of the other picture under the name of this one."""
    before, _, rest = frame.partition("<title>")
    return f"{before}<title>{TITLE}{rest[rest.index('</title>') :]}"


if __name__ == "__main__":
    asyncio.run(draw(Path(sys.argv[1])))
