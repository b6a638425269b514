"""Dask's part of a fleet in many processes: a cluster that is there, or one on this machine for one run."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import tempfile
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

import dask
from distributed import Client, LocalCluster
from distributed.versions import VersionMismatchWarning

from chargepoint.errors import ConfigError

CONNECT_WITHIN_S = 10.0

_NO_WORD = "ignore::UserWarning:multiprocessing.resource_tracker"

# Ctrl-C at a terminal reaches every process of the group; only ours shall hear it, and end them well.
_DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"


@asynccontextmanager
async def connected(workers: int | None, scheduler: str | None) -> AsyncIterator[Client]:
    """A client of the cluster at `scheduler`, or of one made here for as long as this lasts."""
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is said in our own words
    if scheduler is not None:
        try:
            with warnings.catch_warnings():
                # A table of all packages that differ; what has to be the same is looked at worker by worker.
                warnings.simplefilter("ignore", VersionMismatchWarning)
                client: Client = await Client(
                    scheduler, asynchronous=True, timeout=CONNECT_WITHIN_S, set_as_default=False
                )
        except (OSError, TimeoutError, ValueError) as error:
            raise ConfigError([f"no Dask scheduler answers at {scheduler}: {error}"]) from None
        try:
            yield client
        finally:
            with suppress(OSError, TimeoutError):  # a goodbye that fails costs nobody the figures
                await client.close()
        return
    settings: dict[str, Any] = {
        "distributed.admin.event-loop": "uvloop" if importlib.util.find_spec("uvloop") else "asyncio",
        "distributed.worker.profile.enabled": False,  # it looks at every thread 100 times a second
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with dask.config.set(settings), tempfile.TemporaryDirectory(prefix="chargepoint-") as folder:
        _track_semaphores()  # before: to start it lets SIGINT through again
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # new processes inherit it
        try:
            cluster: Any = await LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                memory_limit=0,
                silence_logs=logging.CRITICAL,
                local_directory=folder,
                preload=[_DEAF],
                asynchronous=True,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        try:
            async with Client(cluster, asynchronous=True, set_as_default=False) as client:
                yield client
        finally:
            await cluster.close()


def _track_semaphores() -> None:
    """Start the process that clears away after us if a second Ctrl-C ends us at once: without a word."""
    before = os.environ.get("PYTHONWARNINGS", "")
    os.environ["PYTHONWARNINGS"] = f"{before},{_NO_WORD}".lstrip(",")
    try:
        resource_tracker.ensure_running()
    finally:
        os.environ["PYTHONWARNINGS"] = before
        if not before:
            del os.environ["PYTHONWARNINGS"]
