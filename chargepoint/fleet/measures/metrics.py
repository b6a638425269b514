"""Metrics of a fleet for Prometheus, served over HTTP by a thread that reads the latest snapshot.

Nothing is counted here: a scrape shows what a snapshot says that is at most a second old. Label values are
bounded whatever a central system sends: names that OCPP does not know count as `other`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set

from ocpp.v16.enums import Action
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from chargepoint.fleet.measures.histogram import Histogram
from chargepoint.fleet.measures.snapshot import Snapshot
from chargepoint.fleet.verdict.criterion import KINDS

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
OTHER = "other"
ACTIONS = frozenset(str(action.value) for action in Action)


class SnapshotCollector(Collector):
    """Metric families of a snapshot, made when they are asked for.

    `latest` is replaced by the fleet's thread and read by the server's: a snapshot never changes once it is
    made.
    """

    def __init__(self) -> None:
        self.latest = Snapshot()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        now = self.latest
        yield from _fleet(now)
        yield from _calls(now)
        yield from _simulators(now)


class Metrics:
    """A viewer of a fleet and the server that tells what it saw, until `close`.

    Port 0 takes a free one. Raises `OSError` if it cannot listen there.
    """

    def __init__(self, host: str, port: int) -> None:
        self._collector = SnapshotCollector()
        registry = CollectorRegistry()
        registry.register(self._collector)
        self._server, self._thread = start_http_server(port, host, registry)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._server.server_port}/metrics"

    def __call__(self, snapshot: Snapshot) -> None:
        """The moment that is told from now on."""
        self._collector.latest = snapshot

    def close(self) -> None:
        """The port is free again and the thread has ended."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _fleet(now: Snapshot) -> Iterator[Metric]:
    stations = GaugeMetricFamily(
        "chargepoint_fleet_stations", "Stations that are so far; charging: transactions.", labels=["state"]
    )
    for state in ("planned", "started", "connected", "booted", "charging"):
        stations.add_metric([state], getattr(now, state))
    yield stations
    yield _gauge("power_watts", "What all vehicles draw.", now.power_w, "watts")
    yield _gauge("run_seconds", "Since the start, real time.", now.at_s, "seconds")
    yield _gauge("station_time_seconds", "Since the start, on the stations' clock.", now.station_s, "seconds")
    yield _gauge("queued_records", "Transaction-related messages that wait for delivery.", now.queued)
    yield _counter("connects", "Connections made.", now.connects)
    yield _counter("reconnects", "Connections that were not a station's first.", now.reconnects)
    yield _counter("released_holds", "A stepped clock went on without an answer.", now.released_holds)
    transactions = CounterMetricFamily(
        "chargepoint_fleet_transactions", "All made, and those of them lost or doubled.", labels=["state"]
    )
    transactions.add_metric(["made"], now.transactions)
    transactions.add_metric(["lost"], now.lost_transactions)
    transactions.add_metric(["doubled"], now.doubled_transactions)
    yield transactions
    yield _counters("connect_failures", "Connections that did not come about.", "kind", now.connect_failures)
    yield _counters("lost_links", "Connections that ended.", "kind", now.lost_links)


def _calls(now: Snapshot) -> Iterator[Metric]:
    sent = Counter({action: figures.sent for action, figures in now.actions.items()})
    yield _counters("calls", "CALLs to the central system.", "action", _known(sent, ACTIONS))
    yield _counters("errors", "CALLs without a result.", "kind", _known(now.errors, KINDS))
    yield _gauge("calls_under_way", "CALLs that are neither answered nor failed yet.", now.under_way)
    yield _counters("received_calls", "CALLs of the central system.", "action", _known(now.served, ACTIONS))
    yield _counters("refused_calls", "Those that were refused.", "kind", _known(now.refused, KINDS))
    durations = HistogramMetricFamily(
        "chargepoint_fleet_call_duration_seconds",
        "Round trips: took since sent, waited since due. In part the simulator's own while "
        "chargepoint_fleet_simulator_bottleneck is 1.",
        labels=["action", "kind"],
        unit="seconds",
    )
    merged: dict[tuple[str, str], Histogram] = {}
    for action, figures in now.actions.items():
        name = action if action in ACTIONS else OTHER
        for kind, histogram in (("waited", figures.waited), ("took", figures.took)):
            merged.setdefault((name, kind), Histogram()).add(histogram)
    for labels, histogram in sorted(merged.items()):
        counts = zip(map(str, BOUNDS_S), histogram.at_most(BOUNDS_S), strict=True)
        durations.add_metric(labels, [*counts, ("+Inf", histogram.count)], histogram.sum_s)
    yield durations


def _simulators(now: Snapshot) -> Iterator[Metric]:
    """What each process costs, and whether it keeps up."""
    families = {
        "cpu_cores": GaugeMetricFamily(
            "chargepoint_fleet_simulator_cpu_cores", "Cores in use, lately.", labels=["shard"]
        ),
        "memory_bytes": GaugeMetricFamily(
            "chargepoint_fleet_simulator_memory_bytes", "Resident memory.", labels=["shard"], unit="bytes"
        ),
        "lag_seconds": GaugeMetricFamily(
            "chargepoint_fleet_simulator_lag_seconds",
            "How late the event loop is.",
            labels=["shard"],
            unit="seconds",
        ),
        "bottleneck": GaugeMetricFamily(
            "chargepoint_fleet_simulator_bottleneck",
            "1: it does not keep up, latencies are in part its own.",
            labels=["shard"],
        ),
    }
    spent = CounterMetricFamily(
        "chargepoint_fleet_simulator_bottleneck_seconds",
        "For how long it did not keep up.",
        labels=["shard"],
        unit="seconds",
    )
    for simulator in now.simulators:
        shard = [str(simulator.shard)]
        families["cpu_cores"].add_metric(shard, simulator.cpu_share)
        families["memory_bytes"].add_metric(shard, simulator.rss_bytes)
        families["lag_seconds"].add_metric(shard, simulator.lag_s)
        families["bottleneck"].add_metric(shard, simulator.bottleneck is not None)
        spent.add_metric(shard, simulator.bottleneck_s)
    yield from families.values()
    yield spent


def _gauge(name: str, about: str, value: float, unit: str = "") -> Metric:
    return GaugeMetricFamily(f"chargepoint_fleet_{name}", about, value=value, unit=unit)


def _counter(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(f"chargepoint_fleet_{name}", about, value=value)


def _counters(name: str, about: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"chargepoint_fleet_{name}", about, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family


def _known(counts: Mapping[str, int], names: Set[str]) -> Counter[str]:
    known: Counter[str] = Counter()
    for name, count in counts.items():
        known[name if name in names else OTHER] += count
    return known
