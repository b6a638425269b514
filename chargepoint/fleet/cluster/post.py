"""What a leader and the shards of its fleet tell each other, by queues at the scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from distributed import Client, Event, Queue

from chargepoint.fleet.cluster.worker import news_of, orders_for, stop_of

AGAIN_AFTER_S = 0.25
"""Until the scheduler is asked again when it does not answer."""


class Post:
    """The leader's side; whatever is sent off and lost on the way is lost."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._orders: dict[str, Queue] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Before anything is heard or said."""
        self._news = await Queue(news_of(self._name), client=self._client)
        self._stop = Event(stop_of(self._name), client=self._client)

    def close(self) -> None:
        """Nothing is under way any more."""
        for task in self._tasks:
            task.cancel()
        for queue in (self._news, *self._orders.values()):
            queue.close()

    @property
    def cut(self) -> bool:
        """Dask itself has given the scheduler up."""
        return self._client.scheduler is None

    def later(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do that meanwhile, at most until `close`."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def hear(self, heard: Callable[[dict[str, Any]], None]) -> None:
        """Give every message of a shard to `heard`, until the scheduler is gone for good."""
        while not self.cut:
            try:
                first = await self._news.get()
                rest = await self._news.get(batch=True)
            except (OSError, TimeoutError, AttributeError):
                if self.cut:
                    return
                await asyncio.sleep(AGAIN_AFTER_S)
                continue
            for message in (first, *rest):
                heard(message)

    async def address(self, key: str) -> None:
        """Open the queue of a task, before it is there itself."""
        self._orders[key] = await Queue(orders_for(key), client=self._client)

    def tell(self, key: str, order: dict[str, Any]) -> None:
        """Send an order to a task."""

        async def put() -> None:
            with suppress(OSError, TimeoutError):
                await self._orders[key].put(order)

        self.later(put())

    def stop(self) -> None:
        """All shards end in good order."""
        self.later(self._stop.set())
