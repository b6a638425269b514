"""File descriptors and local addresses: enough of them, or one clear line."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from chargepoint.fleet.descriptors import in_use, needed
from chargepoint.fleet.plan.addresses import sources_for


def limits_after(soft: int, hard: int, wanted: int, granted: int | None = None) -> tuple[str | None, int]:
    """What `provide` says in a process with these limits and no privilege, and the soft limit afterwards.

    `granted`: the system gives no more than that, whatever the hard limit says, as macOS does.
    """
    code = f"""
import json, os, resource
from chargepoint.fleet.descriptors import provide
set_limit = resource.setrlimit
set_limit(resource.RLIMIT_NOFILE, ({soft}, {hard}))

def granting(which, limits):
    if {granted} is not None and limits[0] > {granted}:
        raise ValueError("current limit exceeds maximum limit")
    set_limit(which, limits)

resource.setrlimit = granting
if os.getuid() == 0:
    os.setuid(65534)
print(json.dumps([provide({wanted}), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    problem, limit = json.loads(done.stdout)
    return problem, limit


@pytest.mark.parametrize("soft", [256, 900, 1000])
def test_the_soft_limit_is_raised_for_those_too_that_come_later(soft: int) -> None:
    """Stations are added by hand, and a worker takes those of a lost one: nobody asks again."""
    assert limits_after(soft, 1000, 700) == (None, 1000)


@pytest.mark.parametrize(("soft", "limit"), [(256, 700), (750, 750)])
def test_a_system_that_grants_less_than_its_hard_limit_grants_what_is_needed(soft: int, limit: int) -> None:
    assert limits_after(soft, 1000, 700, granted=800) == (None, limit)


def test_a_system_that_grants_less_than_is_needed_is_told_like_a_hard_limit() -> None:
    problem, limit = limits_after(256, 1000, 700, granted=600)
    assert problem is not None
    assert "needs 700" in problem
    assert limit == 256


def test_links_that_are_there_count() -> None:
    before = in_use()
    with socket.socket(), socket.socket():
        assert in_use() == before + 2


def test_a_hard_limit_too_low_is_one_line_with_every_remedy() -> None:
    problem, limit = limits_after(256, 1000, 5000)
    assert problem is not None
    assert "\n" not in problem
    for remedy in ("5000", "1000", "ulimit -n", "LimitNOFILE", "/etc/security/limits.conf", "--ulimit"):
        assert remedy in problem
    assert limit == 1000, "what can be had is taken"


def test_both_ends_of_a_link_count_when_the_central_system_is_embedded() -> None:
    assert needed(1000, embedded=True) - needed(1000) == 1000


def test_a_station_with_a_database_has_three_files_more() -> None:
    assert needed(1000, stored=True) - needed(1000) == 3000


@pytest.mark.parametrize(
    ("urls", "stations", "count"),
    [
        (["ws://127.0.0.1:9000"], 25_000, 0),
        (["ws://127.0.0.1:9000"], 25_001, 2),
        (["ws://localhost:9000"], 60_000, 3),
        (["wss://csms.example/ocpp"], 60_000, 0),
        (["ws://127.0.0.1:9000", "wss://csms.example/ocpp"], 60_000, 0),
    ],
)
def test_more_links_to_loopback_than_ports_need_several_sources(
    urls: list[str], stations: int, count: int
) -> None:
    sources = sources_for(urls, stations)
    assert len(sources) == count
    assert len(set(sources)) == count
