"""Makes a certification case, told as a story, a test of its name."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.conformance.rig import Rig

PATIENCE_S = 20.0
"""Real seconds after which a story is given up."""

Story = Callable[[Any], Coroutine[Any, Any, None]]
"""What a case tells of its rig."""

Case = Callable[[Path], None]


def case(
    *, connectors: int = 1, connector: dict[str, Any] | None = None, booted: bool = True,
    durable: bool = False, rig: type[Rig] = Rig, **config: Any,
) -> Callable[[Story], Case]:  # fmt: skip
    """Make a story a test: `connectors` like `connector`, the station's configuration, booted or not.

    `durable` stores on disk, so that `power_cut` can be survived.
    """
    config["connectors"] = [connector or {}] * connectors

    def decorate(story: Story) -> Case:
        @functools.wraps(story)
        def test(tmp_path: Path) -> None:
            async def told() -> None:
                async with rig(tmp_path, config, durable=durable).running() as cp:
                    if booted:
                        await cp.cold_boot()
                    await story(cp)
                    cp.verify_end()

            _play(told())

        # pytest hands out what this signature names, not the story's.
        parameter = inspect.Parameter("tmp_path", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        vars(test)["__signature__"] = inspect.Signature([parameter])
        return test

    return decorate


def _play(story: Coroutine[Any, Any, None]) -> None:
    """Run a story on a loop of its own; an exception that reached the loop's handler fails it."""

    async def supervised() -> None:
        unseen: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
        async with asyncio.timeout(PATIENCE_S):
            await story
        assert unseen == []

    asyncio.run(supervised())
