"""Metrics as Prometheus gets them: over HTTP, in its format, with bounded labels."""

from __future__ import annotations

import re
import socket
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import parser
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.samples import Sample

from chargepoint.cli.fleet_watching import AddressType
from chargepoint.fleet.measures.metrics import ACTIONS, BOUNDS_S, Metrics
from chargepoint.fleet.measures.snapshot import ActionFigures, Simulator, Snapshot

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(scope="module")
def server() -> Iterator[Metrics]:
    """On a free port of this machine; one for all, as its thread takes half a second to end."""
    server = Metrics("127.0.0.1", 0)
    yield server
    server.close()


@pytest.fixture
def metrics(server: Metrics) -> Metrics:
    """A server that has seen nothing yet."""
    server(Snapshot())
    return server


def scrape(metrics: Metrics, accept: str = "text/plain") -> str:
    request = urllib.request.Request(metrics.url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def families(metrics: Metrics) -> dict[str, Metric]:
    text = scrape(metrics, OPEN_METRICS)
    assert text.endswith("# EOF\n")
    read = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # its parser has no types
    return {family.name: family for family in read}


def samples(metrics: Metrics, name: str) -> list[Sample]:
    return [
        sample for family in families(metrics).values() for sample in family.samples if sample.name == name
    ]


def value(metrics: Metrics, name: str, **labels: str) -> float:
    (found,) = [sample.value for sample in samples(metrics, name) if sample.labels == labels]
    return float(found)


def test_the_page_lists_every_metric(metrics: Metrics) -> None:
    metrics(a_moment())
    page = (Path(__file__).parents[3] / "docs" / "fleet.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| (`chargepoint_fleet_.*?) \|", page, re.MULTILINE))
    names = {name for cell in listed for name in re.findall(r"`(chargepoint_fleet_\w+)`", cell)}
    told = {name + "_total" * (family.type == "counter") for name, family in families(metrics).items()}
    assert names == told


def a_moment() -> Snapshot:
    snapshot = Snapshot(
        at_s=12.5,
        planned=100,
        started=90,
        connected=80,
        booted=70,
        charging=60,
        power_w=1234.5,
        queued=9,
        connects=95,
        reconnects=5,
        transactions=65,
        lost_transactions=2,
        doubled_transactions=1,
        served=Counter({"Reset": 3, "Nonsense": 4}),
        lost_links=Counter({"no pong": 1}),
        connect_failures=Counter(refused=7),
        simulators=[Simulator(0, 0.5, 2**20, 0.01), Simulator(1, 0.99, 2**21, 0.3, 0.4, "late", 8.0)],
    )
    figures = snapshot.actions["Heartbeat"] = ActionFigures(sent=4, answered=4, failed=1)
    figures.errors["Timeout"] = 1
    for seconds in (0.004, 0.04, 0.4, 40.0):
        figures.waited.record(seconds)
        figures.took.record(seconds / 2)
    return snapshot


def test_it_tells_what_the_snapshot_says(metrics: Metrics) -> None:
    metrics(a_moment())
    told = {
        state: value(metrics, "chargepoint_fleet_stations", state=state) for state in ("planned", "booted")
    }
    assert told == {"planned": 100, "booted": 70}
    for name, labels, expected in (
        ("power_watts", {}, 1234.5),
        ("queued_records", {}, 9),
        ("reconnects_total", {}, 5),
        ("transactions_total", {"state": "lost"}, 2),
        ("calls_total", {"action": "Heartbeat"}, 4),
        ("errors_total", {"kind": "Timeout"}, 1),
        ("connect_failures_total", {"kind": "refused"}, 7),
        ("lost_links_total", {"kind": "no pong"}, 1),
        ("received_calls_total", {"action": "Reset"}, 3),
        ("simulator_bottleneck", {"shard": "0"}, 0),
        ("simulator_bottleneck", {"shard": "1"}, 1),
        ("simulator_bottleneck_seconds_total", {"shard": "1"}, 8),
        ("simulator_lag_seconds", {"shard": "1"}, 0.3),
        ("simulator_memory_bytes", {"shard": "1"}, 2**21),
    ):
        assert value(metrics, f"chargepoint_fleet_{name}", **labels) == expected, name


def test_durations_are_a_histogram(metrics: Metrics) -> None:
    metrics(a_moment())
    name = "chargepoint_fleet_call_duration_seconds"
    buckets = {
        sample.labels["le"]: sample.value
        for sample in samples(metrics, f"{name}_bucket")
        if sample.labels["kind"] == "waited"
    }
    assert len(buckets) == len(BOUNDS_S) + 1
    assert (buckets["0.0025"], buckets["0.005"], buckets["0.05"], buckets["30.0"], buckets["+Inf"]) == (
        0,
        1,
        2,
        3,
        4,
    )
    waited = value(metrics, f"{name}_sum", action="Heartbeat", kind="waited")
    assert waited == pytest.approx(40.444)
    assert value(metrics, f"{name}_sum", action="Heartbeat", kind="took") == pytest.approx(waited / 2)


def test_both_formats_are_valid_also_before_anything_happened(metrics: Metrics) -> None:
    assert families(metrics)["chargepoint_fleet_stations"].type == "gauge"
    metrics(a_moment())
    told = {family.name: family for family in parser.text_string_to_metric_families(scrape(metrics))}
    assert told["chargepoint_fleet_call_duration_seconds"].type == "histogram"
    assert set(told) >= set(families(metrics))
    assert all(name.startswith("chargepoint_fleet_") for name in told)


def test_whatever_the_central_system_says_labels_are_bounded(metrics: Metrics) -> None:
    snapshot = a_moment()
    for n in range(1000):
        snapshot.served[f"Odd{n}"] = 1
        snapshot.refused[f"Odd{n}"] = 1
        snapshot.actions[f"Odd\n{n}"] = figures = ActionFigures(sent=1, failed=1)
        figures.errors[f'Odd"{n}'] = 1
        figures.waited.record(0.1)
    metrics(snapshot)
    assert value(metrics, "chargepoint_fleet_received_calls_total", action="other") == 1004
    assert value(metrics, "chargepoint_fleet_refused_calls_total", kind="other") == 1000
    assert value(metrics, "chargepoint_fleet_errors_total", kind="other") == 1000
    assert value(metrics, "chargepoint_fleet_calls_total", action="other") == 1000
    assert (
        value(metrics, "chargepoint_fleet_call_duration_seconds_count", action="other", kind="waited") == 1000
    )
    assert sum(len(family.samples) for family in families(metrics).values()) < 200
    assert "Heartbeat" in ACTIONS


def test_after_close_the_port_is_free_and_no_thread_is_left() -> None:
    before = threading.active_count()
    metrics = Metrics("127.0.0.1", 0)
    port = int(metrics.url.split(":")[2].partition("/")[0])
    scrape(metrics)
    metrics.close()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_taken_port_is_said_at_once(metrics: Metrics) -> None:
    port = int(metrics.url.split(":")[2].partition("/")[0])
    with pytest.raises(OSError, match="in use"):
        Metrics("127.0.0.1", port)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("9100", ("127.0.0.1", 9100)),
        (":9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:9100", ("0.0.0.0", 9100)),
        ("[::1]:0", ("::1", 0)),
        ("metrics.example:80", ("metrics.example", 80)),
    ],
)
def test_an_address_is_of_this_machine_unless_it_says_otherwise(
    written: str, address: tuple[str, int]
) -> None:
    assert AddressType().convert(written, None, None) == address
