"""Transfers and installations that only take time."""

from __future__ import annotations

import pytest

from chargepoint.domain.outside import TransferFailed
from chargepoint.installer import SimulatedInstaller
from chargepoint.transfer import SimulatedTransfers
from hal.clock import SteppedClock


@pytest.mark.parametrize("scheme", ["http", "https", "ftp", "ftps"])
def test_everything_a_server_might_take_succeeds(scheme: str) -> None:
    clock, ended = SteppedClock(), list[object]()
    transfers = SimulatedTransfers(clock)
    transfers.download(f"{scheme}://h/f", "name", ended.append, ended.append)
    clock.advance(4.9)
    assert ended == []
    clock.advance(0.1)
    assert ended == ["name"]
    transfers.upload(f"{scheme}://h/f", bytes(2**20), lambda: ended.append("up"), ended.append)
    clock.advance(1.9)
    assert ended == ["name"]
    clock.advance(0.1)
    assert ended == ["name", "up"]


def test_what_no_server_takes_fails_later() -> None:
    clock, failures = SteppedClock(), list[TransferFailed]()
    SimulatedTransfers(clock).download("file:///f", "name", print, failures.append)
    assert failures == []
    clock.advance(0)
    assert [failure.kind for failure in failures] == ["unsupported"]


def test_cancelled() -> None:
    clock, ended = SteppedClock(), list[object]()
    SimulatedTransfers(clock).download("http://h/f", "name", ended.append, ended.append).cancel()
    SimulatedTransfers(clock).upload("no://h/f", b"", lambda: ended.append(1), ended.append).cancel()
    SimulatedInstaller(clock).install("f", "2", ended.append, ended.append).cancel()
    clock.advance(10)
    assert ended == []


def test_an_installation_in_name_only() -> None:
    clock, ended = SteppedClock(), list[object]()
    SimulatedInstaller(clock).install("f", "2", ended.append, ended.append)
    clock.advance(4.9)
    assert ended == []
    clock.advance(0.1)
    assert ended == ["2"]
