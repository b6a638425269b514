"""The other ends of whole fleets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.processes import started
from tests.integration.tls_material import Authority

HEARTBEAT_S = 10


@dataclass(frozen=True, slots=True)
class End:
    """Where stations connect to, and whom they trust."""

    url: str
    ca: str | None = None


@pytest.fixture(scope="session")
def heartbeats() -> Iterator[str]:
    """Asks for one every 10 s."""
    with started("tests.bench.sink", "--heartbeat", str(HEARTBEAT_S)) as port:
        yield f"ws://127.0.0.1:{int(port)}/"


@pytest.fixture(scope="session", params=["ws", "wss"])
def end(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[End]:
    """With and without TLS."""
    if request.param == "ws":
        with started("tests.bench.sink") as port:
            yield End(f"ws://127.0.0.1:{int(port)}/")
        return
    authority = Authority(Path(tmp_path_factory.mktemp("tls")))
    issued = authority.issue("localhost", ("localhost", "127.0.0.1"))
    with started("tests.bench.sink", "--tls", issued.cert, issued.key) as port:
        yield End(f"wss://127.0.0.1:{int(port)}/", authority.ca)
