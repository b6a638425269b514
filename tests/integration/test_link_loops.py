"""A link on every event loop it may run on: no attempt, however it ends, is the last one or keeps it open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from chargepoint.link import Backoff, LinkSettings, WebSocketLink
from hal.clock import WallClock
from tests.integration.link_rig import PATIENCE_S, Listener

ATTEMPTS = 100

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture
def hasty_port() -> Iterator[int]:
    """A server that refuses before it is asked: its answer is there as soon as the connection."""
    server = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")

    thread = threading.Thread(target=refuse, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def link_to(port: int, listener: Listener) -> WebSocketLink:
    """A link that tries again at once."""
    clock = WallClock()
    return WebSocketLink(
        LinkSettings(f"ws://127.0.0.1:{port}/CP1", "CP1"),
        listener,
        wire=clock,
        clock=clock,
        backoff=Backoff(min_s=0.001, jitter_s=0, max_s=0.001),
        backoff_clock=clock,
        jitter=lambda: 0.0,
    )


def play(story: Coroutine[Any, Any, None], new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Run a test's story on a loop of this kind."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(story)


@pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS)
def test_a_refusal_that_comes_with_the_connection_does_not_end_the_attempts(
    new_loop: Callable[[], asyncio.AbstractEventLoop], hasty_port: int
) -> None:
    async def story() -> None:
        listener = Listener()
        link = link_to(hasty_port, listener)
        link.start()
        for n in range(1, ATTEMPTS + 1):
            _, _, attempts = await listener.expect("failed")
            assert attempts == n
        link.close()
        async with asyncio.timeout(PATIENCE_S):
            await link.closed()

    play(story(), new_loop)


def test_links_close_at_any_moment_of_an_attempt(hasty_port: int) -> None:
    """On uvloop: the other loop leaves sockets of attempts that are cut short to the garbage collector."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        links = [link_to(hasty_port, Listener()) for _ in range(ATTEMPTS)]
        ended = loop.create_future()
        for n, link in enumerate(links):
            link.start()
            loop.call_later(n / 5000, link.close)
        loop.call_later(ATTEMPTS / 5000, ended.set_result, None)
        await ended
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(link.closed() for link in links))

    play(story(), uvloop.new_event_loop)
