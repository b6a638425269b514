"""The workers of a cluster: which there are, and which have what it takes to run a shard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from distributed import Client

from chargepoint.errors import ConfigError
from chargepoint.fleet.cluster.worker import version

PROBE_WITHIN_S = 20.0

# As text: code of ours would already need the package, or the same Python, over there.
_PROBE = (
    "'chargepoint {} on Python {}.{}'.format("
    "__import__('importlib.metadata').metadata.version('chargepoint'), *__import__('sys').version_info[:2])"
)


class Workers:
    """Looked at again and again; each worker that comes is probed once, and told of if it is of no use."""

    def __init__(self, client: Client, notice: Callable[[str], None]) -> None:
        self._client = client
        self._notice = notice
        self.usable: set[str] = set()
        self._known: set[str] = set()
        self._probes: dict[str, asyncio.Task[None]] = {}

    @property
    def useless(self) -> bool:
        """There are workers, and none of them can run a shard."""
        return bool(self._known) and not self.usable

    async def check_scheduler(self) -> None:
        """Raise `ConfigError` if the scheduler is of no use: it unpacks each task before a worker does."""
        try:
            answer: object = await asyncio.wait_for(
                self._client.run_on_scheduler(eval, _PROBE), PROBE_WITHIN_S
            )
        except (OSError, TimeoutError, ValueError, ImportError) as error:
            answer = error
        if (problem := _problem(answer)) is not None:
            raise ConfigError([f"the scheduler cannot hand out a fleet: {problem}"])

    async def look(self) -> set[str]:
        """Note who is there now; usable ones that are gone."""
        there = set(await self._client.nthreads())
        gone = self.usable - there
        self.usable &= there
        self._known &= there
        for address in there - self._known - self._probes.keys():
            self._probes[address] = asyncio.ensure_future(self._probe(address))
        return gone

    async def probed(self) -> None:
        """Wait until all who are there have answered, or not in time."""
        await asyncio.gather(*self._probes.values())

    def close(self) -> None:
        """Nobody is asked any more."""
        for task in self._probes.values():
            task.cancel()

    async def _probe(self, address: str) -> None:
        try:
            found = await asyncio.wait_for(
                self._client.run(eval, _PROBE, workers=[address], on_error="return"), PROBE_WITHIN_S
            )
            answer: object = found.get(address, ValueError("it is gone"))
        except (OSError, TimeoutError, ValueError) as error:
            answer = error
        finally:
            del self._probes[address]
        self._known.add(address)
        if (problem := _problem(answer)) is None:
            self.usable.add(address)
        else:
            self._notice(f"worker {address} is not used: {problem}")


def _problem(answer: object) -> str | None:
    if answer == version():
        return None
    if isinstance(answer, ImportError):
        return f"it has no chargepoint; install {version()} there"
    if isinstance(answer, str):
        return f"it has {answer}, here it is {version()}"
    return f"it does not answer ({in_a_line(answer)})"


def in_a_line(error: object) -> str:
    """What went wrong, however many lines Dask makes of it."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
