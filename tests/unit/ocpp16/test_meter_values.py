"""Meter values of a running station: OCPP 1.6 §3.16, §4.7, §7.31-7.49, §9.1 and errata 3.14-3.16, 3.76, 3.91.

What the values say physically is in `test_meter_physics.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import pytest

from chargepoint.ocpp16.times import format_time, parse_time
from chargepoint.store import MemoryStore
from hal.api import EvseInfo, MeterReading, MeterUnavailable
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse
from tests.unit.ocpp16.bench import START, Bench

HOUR_S = 3600.0
REGISTER = "Energy.Active.Import.Register"
INTERVAL = "Energy.Active.Import.Interval"
DC = EvseInfo(current="dc", max_current_a=200.0, max_power_w=50_000.0, tethered=True, lockable=False)
EVERYTHING = (
    "Energy.Active.Import.Register,Energy.Active.Import.Interval,Power.Active.Import,Power.Offered,"
    "Power.Factor,Current.Import,Current.Offered,Voltage,Frequency,Temperature,SoC"
)
FOR_DC = EVERYTHING.replace("Power.Factor,", "").replace("Frequency,", "")


class Value(NamedTuple):
    """One sampled value with everything around it; `at` in seconds since the bench's start."""

    at: float
    connector: int
    transaction: int | None
    context: str
    measurand: str
    phase: str | None
    location: str | None
    unit: str | None
    value: str


def flat(
    meter_values: Iterable[Mapping[str, Any]], connector: int = 0, transaction: int | None = None
) -> list[Value]:
    return [
        Value(
            round(parse_time(meter_value["timestamp"]) - START, 3),
            connector,
            transaction,
            *(sampled.get(name) for name in ("context", "measurand", "phase", "location", "unit", "value")),
        )
        for meter_value in meter_values
        for sampled in meter_value["sampledValue"]
    ]


def received(bench: Bench, context: str | None = None, measurand: str | None = None) -> list[Value]:
    """What came in MeterValues.req so far, in the order in which it came."""
    return [
        value
        for payload in bench.sent("MeterValues")
        for value in flat(payload["meterValue"], payload["connectorId"], payload.get("transactionId"))
        if context in (None, value.context) and measurand in (None, value.measurand)
    ]


def moments(values: Iterable[Value]) -> list[float]:
    return [value.at for value in values]


def transaction_data(bench: Bench) -> list[Value]:
    return flat(bench.sent("StopTransaction")[-1].get("transactionData", ()))


def station(connectors: int = 1, info: EvseInfo | None = None, **keys: str | int) -> Bench:
    """Connected; only what `keys` asks for is measured."""
    quiet = {
        "MeterValueSampleInterval": "0",
        "ClockAlignedDataInterval": "0",
        "MeterValuesAlignedData": REGISTER,
    }
    bench = Bench(connectors, info, {**quiet, **{name: str(value) for name, value in keys.items()}})
    bench.connect()
    return bench


def configure(bench: Bench, key: str, value: str | int) -> None:
    assert bench.call("ChangeConfiguration", {"key": key, "value": str(value)}) == {"status": "Accepted"}


def tell_time(bench: Bench, ahead_s: float) -> None:
    """The central system's clock is `ahead_s` ahead of the hardware's, and the next Heartbeat says so."""
    bench.csms.answers["Heartbeat"] = lambda payload: {
        "currentTime": format_time(bench.clock.now() + ahead_s)
    }
    with bench.cp.turn:
        bench.cp.boot.heartbeat()
    bench.advance(0)


class SleepyClock(SteppedClock):
    """Misses its timers while the process sleeps, and fires them all at once afterwards."""

    def sleep(self, seconds: float) -> None:
        self._now += seconds
        self._step(self._now)


class SleepyBench(Bench):
    clock_type = SleepyClock


class DurableStore(MemoryStore):
    """A store that counts as one that survives a power cut."""

    durable = True


class FaintEvse(SimulatedEvse):
    """A connector whose meter can fall silent."""

    silent = False

    def reading(self) -> MeterReading:
        if self.silent:
            raise MeterUnavailable("no answer")
        return super().reading()


class FaintBench(Bench):
    def evse(self, connector: int, info: EvseInfo) -> SimulatedEvse:
        return FaintEvse(info, self.clock)


class TestSampled:
    """MeterValueSampleInterval: from the start of the transaction on, in its rhythm (§9.1.17)."""

    def test_exactly_spaced_from_the_start_of_the_transaction(self) -> None:
        bench = station(MeterValueSampleInterval=60)
        bench.advance(17.25)
        bench.charge()
        bench.advance(HOUR_S)
        values = received(bench)
        assert moments(values) == [17.25 + 60 * n for n in range(1, 61)]
        assert {value[1:8] for value in values} == {(1, 1, "Sample.Periodic", REGISTER, None, None, "Wh")}

    def test_only_during_a_transaction(self) -> None:
        bench = station(MeterValueSampleInterval=60)
        bench.plug_in()
        bench.advance(100)
        bench.swipe("TAG", 1)
        bench.advance(130)
        bench.swipe("TAG", 1)
        bench.advance(HOUR_S)
        assert moments(received(bench)) == [160, 220]

    def test_values_are_text(self) -> None:
        bench = station(MeterValueSampleInterval=60, MeterValuesSampledData=EVERYTHING)
        bench.charge()
        bench.advance(60)
        assert {type(value.value) for value in received(bench)} == {str}
        assert not any(mark in value.value for value in received(bench) for mark in "eE+,")

    @pytest.mark.parametrize("listed", ["", REGISTER], ids=["empty-means-energy", "energy"])
    def test_no_measurand_means_energy(self, listed: str) -> None:
        bench = station(MeterValueSampleInterval=60, MeterValuesSampledData=listed)
        bench.charge()
        bench.advance(60)
        assert [value.measurand for value in received(bench)] == [REGISTER]

    def test_an_interval_changed_on_the_way_keeps_the_phase(self) -> None:
        bench = station(MeterValueSampleInterval=60)
        bench.charge()  # 10 s
        bench.advance(120)
        configure(bench, "MeterValueSampleInterval", 25)
        bench.advance(50)
        configure(bench, "MeterValueSampleInterval", 0)
        bench.advance(500)
        configure(bench, "MeterValueSampleInterval", 200)
        bench.advance(400)
        assert moments(received(bench)) == [60, 120, 150, 175, 800, 1000]

    def test_measurands_changed_on_the_way(self) -> None:
        bench = station(MeterValueSampleInterval=60)
        bench.charge()
        bench.advance(60)
        configure(bench, "MeterValuesSampledData", "SoC,Current.Offered")
        bench.advance(60)
        assert [value.measurand for value in received(bench)] == [REGISTER, "SoC", "Current.Offered"]

    def test_what_was_slept_through_is_left_out(self) -> None:
        """One value, of the newest moment on the grid, since it was measured after it."""
        bench = SleepyBench(ocpp={"MeterValueSampleInterval": "60"})
        bench.connect()
        bench.charge()
        assert isinstance(bench.clock, SleepyClock)
        bench.advance(60)
        bench.clock.sleep(150)
        bench.advance(60)
        assert moments(received(bench)) == [60, 180, 240]

    def test_a_silent_meter_gives_no_value_and_the_station_goes_on(self) -> None:
        bench = FaintBench(ocpp={"MeterValueSampleInterval": "60", "ClockAlignedDataInterval": "60"})
        bench.connect()
        bench.charge()
        evse = bench.evses[0]
        assert isinstance(evse, FaintEvse)
        evse.silent = True
        bench.advance(120)
        evse.silent = False
        bench.advance(60)
        assert set(moments(received(bench))) == {180}
        evse.silent = True
        bench.swipe("TAG", 1)
        bench.advance(10)
        stop = bench.sent("StopTransaction")[0]
        assert stop["meterStop"] == int(received(bench)[-1].value)

    def test_offline_samples_arrive_complete_and_in_order_before_newer_ones(self) -> None:
        """T:TC_036."""
        bench = station(MeterValueSampleInterval=60)
        bench.charge()
        bench.advance(100)
        bench.disconnect()
        bench.advance(600)
        bench.connect()
        bench.advance(120)
        assert moments(received(bench)) == [60 * n for n in range(1, 14)]

    @pytest.mark.parametrize("number", [0, -7, 2_000_000_000])
    def test_any_number_of_a_transaction_is_told_back(self, number: int) -> None:
        bench = station(MeterValueSampleInterval=60)
        bench.csms.answers["StartTransaction"] = lambda payload: {
            "transactionId": number,
            "idTagInfo": {"status": "Accepted"},
        }
        bench.charge()
        bench.advance(60)
        assert [payload["transactionId"] for payload in bench.sent("MeterValues")] == [number]

    def test_a_start_that_was_refused_leaves_no_number_to_tell(self) -> None:
        """Errata 3.18."""
        bench = station(MeterValueSampleInterval=60, TransactionMessageAttempts=1)
        bench.csms.answers["StartTransaction"] = lambda payload: "InternalError"
        bench.charge()
        bench.advance(60)
        assert [payload["transactionId"] for payload in bench.sent("MeterValues")] == [-1]

    def test_a_correction_of_the_time_moves_stamps_and_no_sample(self) -> None:
        bench = station(MeterValueSampleInterval=60)
        bench.charge()
        bench.advance(110)
        tell_time(bench, 7200)
        bench.advance(60)
        tell_time(bench, -7200)
        bench.advance(60)
        assert moments(received(bench)) == [60, 120, 180 + 7200, 240 - 7200]


class TestAligned:
    """ClockAlignedDataInterval: on the grid of the day, transaction or not (§9.1.5, errata 3.16)."""

    def test_on_the_grid_for_every_connector(self) -> None:
        """T:TC_071."""
        bench = station(2, ClockAlignedDataInterval=20)
        bench.advance(5)
        bench.charge(connector=2)  # from 5 s, to 15 s
        bench.advance(45)
        assert [(value.at, value.connector, value.transaction) for value in received(bench)] == [
            (at, connector, 1 if connector == 2 else None) for at in (20, 40, 60) for connector in (1, 2)
        ]
        assert {value.context for value in received(bench)} == {"Sample.Clock"}

    def test_before_and_after_a_transaction_it_belongs_to_none(self) -> None:
        bench = station(ClockAlignedDataInterval=60)
        bench.advance(70)
        bench.charge()
        bench.advance(60)
        bench.swipe("TAG", 1)
        bench.advance(100)
        assert [(value.at, value.transaction) for value in received(bench)] == [
            (60, None), (120, 1), (180, None), (240, None)
        ]  # fmt: skip

    def test_the_grid_begins_again_at_midnight(self) -> None:
        bench = station(ClockAlignedDataInterval=7 * 3600)
        bench.advance(30 * HOUR_S)
        assert moments(received(bench)) == [HOUR_S * hour for hour in (7, 14, 21, 24)]

    def test_an_interval_changed_takes_effect_at_once(self) -> None:
        bench = station(ClockAlignedDataInterval=900)
        bench.advance(1000)
        configure(bench, "ClockAlignedDataInterval", 300)
        bench.advance(250)
        configure(bench, "ClockAlignedDataInterval", 0)
        bench.advance(1000)
        assert moments(received(bench)) == [900, 1200]

    @pytest.mark.parametrize(
        ("ahead_s", "expected"),
        [
            (2 * HOUR_S + 100, [900, 9000, 9900]),
            (-2 * HOUR_S + 100, [900, -5400, -4500]),
            (0.9, [900, 1800, 2700]),
            (1700, [900, 2700, 3600]),
            (-950, [900, 900]),
        ],
        ids=["hours-forward", "hours-back", "within-the-noise", "just-before-a-moment", "same-moment-again"],
    )
    def test_a_correction_of_the_time_finds_the_new_grid(self, ahead_s: float, expected: list[float]) -> None:
        """Nothing is made up for a stretch that was jumped over, and nothing stalls after a step back."""
        bench = station(ClockAlignedDataInterval=900)
        bench.advance(950)
        tell_time(bench, ahead_s)
        bench.advance(1750)
        assert moments(received(bench)) == expected

    def test_at_one_instant_with_a_sample(self) -> None:
        bench = station(ClockAlignedDataInterval=60, MeterValueSampleInterval=60)
        bench.charge()
        bench.advance(120)
        assert [(value.at, value.context) for value in sorted(received(bench))] == [
            (at, context) for at in (60, 120) for context in ("Sample.Clock", "Sample.Periodic")
        ]
        assert len({(value.at, value.value) for value in received(bench)}) == 2

    def test_what_was_slept_through_is_left_out(self) -> None:
        bench = SleepyBench(ocpp={"ClockAlignedDataInterval": "60"})
        bench.connect()
        assert isinstance(bench.clock, SleepyClock)
        bench.clock.sleep(200)
        bench.advance(60)
        assert moments(received(bench)) == [180, 240]

    def test_nothing_before_the_first_acceptance_ever(self) -> None:
        bench = Bench(ocpp={"ClockAlignedDataInterval": "60"})
        bench.csms.answers["BootNotification"] = lambda payload: {
            "status": "Pending", "currentTime": format_time(bench.clock.now()), "interval": 100
        }  # fmt: skip
        bench.connect()
        bench.advance(90)
        del bench.csms.answers["BootNotification"]
        bench.advance(60)
        assert moments(received(bench)) == [120]

    def test_offline_values_are_kept(self) -> None:
        bench = station(ClockAlignedDataInterval=900)
        bench.disconnect()
        bench.advance(HOUR_S)
        bench.connect()
        assert moments(received(bench)) == [900, 1800, 2700, 3600]


class TestIntervals:
    """Energy.Active.Import.Interval: the elapsed interval's energy, stamped with its start (§9.1.5)."""

    def test_samples_follow_each_other_without_gaps(self) -> None:
        bench = station(
            MeterValueSampleInterval=60,
            MeterValuesSampledData=f"{REGISTER},{INTERVAL}",
            StopTxnSampledData=INTERVAL,
        )
        bench.advance(30)
        bench.charge()
        bench.advance(600)
        bench.swipe("TAG", 1)
        bench.advance(10)
        values = received(bench, measurand=INTERVAL)
        assert moments(values) == [30 + 60 * n for n in range(10)]
        start = bench.sent("StartTransaction")[0]["meterStart"]
        stop = bench.sent("StopTransaction")[0]["meterStop"]
        registers = [start] + [int(value.value) for value in received(bench, measurand=REGISTER)]
        assert [int(value.value) for value in values] == [
            later - earlier for earlier, later in pairwise(registers)
        ]
        gathered = transaction_data(bench)
        assert sum(int(value.value) for value in gathered) == stop - start > 0
        assert (gathered[-1].at, gathered[-1].context) == (630, "Transaction.End")

    def test_aligned_ones_are_partial_at_the_start_and_lose_nothing_at_the_end(self) -> None:
        bench = station(
            ClockAlignedDataInterval=60,
            MeterValuesAlignedData=f"{REGISTER},{INTERVAL}",
            StopTxnAlignedData=INTERVAL,
        )
        bench.advance(75)
        bench.charge()
        bench.advance(300)
        bench.swipe("TAG", 1)
        bench.advance(300)
        values = received(bench, measurand=INTERVAL)
        assert moments(values) == [75, 120, 180, 240, 300, 360, 420, 480, 540, 600]
        registers = [int(value.value) for value in received(bench, measurand=REGISTER)]
        assert sum(int(value.value) for value in values) == registers[-1] - registers[0] > 0
        start, stop = bench.sent("StartTransaction")[0], bench.sent("StopTransaction")[0]
        inside = transaction_data(bench)
        assert sum(int(value.value) for value in inside) == stop["meterStop"] - start["meterStart"]
        assert (inside[-1].at, inside[-1].context) == (360, "Transaction.End")

    def test_a_connector_without_a_transaction_has_no_interval_before_its_first_value(self) -> None:
        bench = station(ClockAlignedDataInterval=60, MeterValuesAlignedData=INTERVAL)
        bench.advance(180)
        assert [(value.at, value.value) for value in received(bench)] == [(60, "0"), (120, "0")]

    def test_a_transaction_is_not_counted_again_after_it(self) -> None:
        bench = station(ClockAlignedDataInterval=60, MeterValuesAlignedData=INTERVAL)
        bench.advance(60)
        bench.charge()  # at 60 s
        bench.advance(230)
        bench.swipe("TAG", 1)  # at 300 s
        bench.advance(120)
        values = received(bench)
        total = bench.sent("StopTransaction")[0]["meterStop"]
        assert sum(int(value.value) for value in values) == total > 0
        assert values[-1].value == "0"

    def test_a_correction_of_the_time_lengthens_no_interval(self) -> None:
        bench = station(MeterValueSampleInterval=60, MeterValuesSampledData=INTERVAL)
        bench.charge()
        bench.advance(80)
        tell_time(bench, 7200)
        bench.advance(90)
        assert moments(received(bench)) == [0, 60 + 7200, 120 + 7200]


class TestStopData:
    """StopTxnSampledData and StopTxnAlignedData: in StopTransaction.req (§3.16.5, errata 3.14, 3.91)."""

    def test_begin_samples_and_end(self) -> None:
        bench = station(MeterValueSampleInterval=60, StopTxnSampledData="SoC," + REGISTER)
        bench.charge()
        bench.advance(150)
        bench.swipe("TAG", 1)
        bench.advance(10)
        values = transaction_data(bench)
        assert [(value.at, value.context, value.measurand) for value in values] == [
            (at, context, measurand)
            for at, context in [
                (0, "Transaction.Begin"),
                (60, "Sample.Periodic"),
                (120, "Sample.Periodic"),
                (160, "Transaction.End"),
            ]
            for measurand in ("SoC", REGISTER)
        ]  # fmt: skip
        energies = [value.value for value in values if value.measurand == REGISTER]
        start, stop = bench.sent("StartTransaction")[0], bench.sent("StopTransaction")[0]
        assert (energies[0], energies[-1]) == (str(start["meterStart"]), str(stop["meterStop"]))

    def test_begin_and_end_hold_the_measurands_of_both_lists(self) -> None:
        bench = station(
            MeterValueSampleInterval=60,
            ClockAlignedDataInterval=60,
            StopTxnSampledData=REGISTER,
            StopTxnAlignedData=f"{REGISTER},Temperature",
        )
        bench.advance(30)
        bench.charge()
        bench.advance(60)
        bench.swipe("TAG", 1)
        bench.advance(10)
        assert [(value.at, value.context, value.measurand) for value in transaction_data(bench)] == [
            (30, "Transaction.Begin", REGISTER),
            (30, "Transaction.Begin", "Temperature"),
            (60, "Sample.Clock", REGISTER),
            (60, "Sample.Clock", "Temperature"),
            (90, "Sample.Periodic", REGISTER),
            (100, "Transaction.End", REGISTER),
            (100, "Transaction.End", "Temperature"),
        ]

    def test_begin_and_end_without_any_interval(self) -> None:
        bench = station(StopTxnAlignedData=REGISTER)
        bench.charge()
        bench.advance(HOUR_S)
        bench.swipe("TAG", 1)
        bench.advance(10)
        assert [value.context for value in transaction_data(bench)] == [
            "Transaction.Begin",
            "Transaction.End",
        ]

    def test_nothing_configured_is_no_transaction_data(self) -> None:
        bench = station(MeterValueSampleInterval=60, ClockAlignedDataInterval=60)
        bench.charge()
        bench.advance(HOUR_S)
        bench.swipe("TAG", 1)
        bench.advance(10)
        assert "transactionData" not in bench.sent("StopTransaction")[0]

    @pytest.mark.parametrize(("maximum", "kept"), [(100, 62), (62, 62), (61, 32), (10, 9), (3, 3), (2, 2)])
    def test_thinned_but_never_at_the_edges(self, maximum: int, kept: int) -> None:
        bench = station(
            MeterValueSampleInterval=60, StopTxnSampledData=REGISTER, StopTransactionMaxMeterValues=maximum
        )
        bench.charge()
        bench.advance(HOUR_S)
        bench.swipe("TAG", 1)
        bench.advance(10)
        values = transaction_data(bench)
        assert len(values) == kept
        assert (values[0].context, values[-1].context) == ("Transaction.Begin", "Transaction.End")
        spaces = {later - earlier for earlier, later in pairwise(moments(values[1:-1]))}
        assert len(spaces) <= 1

    def test_a_power_cut_loses_nothing_that_was_gathered(self) -> None:
        bench = Bench(
            ocpp={"MeterValueSampleInterval": "60", "StopTxnSampledData": REGISTER}, store=DurableStore()
        )
        bench.connect()
        bench.charge()
        bench.advance(200)
        bench.restart()
        bench.connect()
        bench.advance(10)
        assert [(value.at, value.context) for value in transaction_data(bench)] == [
            (0, "Transaction.Begin"),
            *((60 * n, "Sample.Periodic") for n in (1, 2, 3)),
            (180, "Transaction.End"),
        ]
        stop = bench.sent("StopTransaction")[0]
        assert stop["reason"] == "PowerLoss"
        assert transaction_data(bench)[-1].value == str(stop["meterStop"])
        assert not [key for key, _ in bench.store.items("sample:00000001-000001")]

    def test_a_meter_that_lost_its_memory_in_the_cut_takes_nothing_back(self) -> None:
        bench = Bench(
            ocpp={"MeterValueSampleInterval": "60", "StopTxnSampledData": REGISTER}, store=DurableStore()
        )
        bench.connect()
        bench.charge()
        bench.advance(200)
        last = int(received(bench)[-1].value)
        bench.evses[0].set_register(0)
        bench.restart()
        bench.connect()
        bench.advance(10)
        assert bench.sent("StopTransaction")[0]["meterStop"] == last
        assert transaction_data(bench)[-1].value == str(last)

    def test_a_transaction_that_goes_on_after_the_cut_keeps_rhythm_and_data(self) -> None:
        bench = Bench(
            ocpp={
                "MeterValueSampleInterval": "60",
                "MeterValuesSampledData": INTERVAL,
                "StopTxnSampledData": REGISTER,
            },
            behaviour={"resume_tx_after_power_loss": True},
            store=DurableStore(),
        )
        bench.connect()
        bench.charge()
        bench.advance(130)
        bench.restart()
        bench.connect()
        bench.advance(100)
        bench.swipe("TAG", 1)
        bench.advance(10)
        assert [value.at for value in transaction_data(bench)] == [0, 60, 120, 180, 240, 240]
        assert moments(received(bench)) == [0, 60, 120, 180]
        start, stop = bench.sent("StartTransaction")[0], bench.sent("StopTransaction")[0]
        intervals = [int(value.value) for value in received(bench)]
        assert sum(intervals) == stop["meterStop"] - start["meterStart"]


class TestOnRequest:
    """TriggerMessage for MeterValues takes what is measured now; here what it would send."""

    def test_now_and_with_its_own_context(self) -> None:
        bench = station(MeterValuesSampledData=f"{REGISTER},{INTERVAL}")
        bench.advance(12.5)
        bench.charge()
        payload = bench.cp.meter_values.fresh(bench.cp.connectors[1])
        assert payload is not None
        values = flat(payload["meterValue"], payload["connectorId"], payload["transactionId"])
        assert [value[:5] for value in values] == [(22.5, 1, 1, "Trigger", REGISTER)]

    def test_without_a_transaction_there_is_no_number(self) -> None:
        bench = station()
        payload = bench.cp.meter_values.fresh(bench.cp.connectors[1])
        assert payload is not None
        assert "transactionId" not in payload


AC_3P = [
    (REGISTER, None, None, "Wh"),
    (INTERVAL, None, None, "Wh"),
    ("Power.Active.Import", None, None, "W"),
    *(("Power.Active.Import", phase, None, "W") for phase in ("L1", "L2", "L3")),
    ("Power.Offered", None, None, "W"),
    ("Power.Factor", None, None, None),
    *(("Current.Import", phase, None, "A") for phase in ("L1", "L2", "L3")),
    ("Current.Offered", None, None, "A"),
    *(("Voltage", phase, None, "V") for phase in ("L1-N", "L2-N", "L3-N")),
    ("Frequency", None, None, None),
    ("Temperature", None, "Body", "Celcius"),
    ("SoC", None, "EV", "Percent"),
]
AC_1P = [
    row
    for row in AC_3P
    if row[1] not in ("L2", "L3", "L2-N", "L3-N") and row[:2] != ("Power.Active.Import", "L1")
]
DIRECT = [
    (REGISTER, None, None, "Wh"),
    (INTERVAL, None, None, "Wh"),
    ("Power.Active.Import", None, None, "W"),
    ("Power.Offered", None, None, "W"),
    ("Current.Import", None, None, "A"),
    ("Current.Offered", None, None, "A"),
    ("Voltage", None, None, "V"),
    ("Temperature", None, "Body", "Celcius"),
    ("SoC", None, "EV", "Percent"),
]


@pytest.mark.parametrize(
    ("info", "listed", "expected"),
    [
        (EvseInfo(), EVERYTHING, AC_3P),
        (EvseInfo(phases=1), EVERYTHING, AC_1P),
        (DC, FOR_DC, DIRECT),
        (
            EvseInfo(),
            "Voltage.L2-N,Current.Import.L3,Power.Active.Import.L1",
            [
                ("Voltage", "L2-N", None, "V"),
                ("Current.Import", "L3", None, "A"),
                ("Power.Active.Import", "L1", None, "W"),
            ],
        ),
    ],
    ids=["three-phases", "one-phase", "direct-current", "single-phases-of-three"],
)
def test_all_there_is_of_a_measurand(
    info: EvseInfo, listed: str, expected: list[tuple[str, str | None, str | None, str | None]]
) -> None:
    """§3.16.3; never with location EV but for the state of charge (T:TC_070)."""
    bench = station(1, info, MeterValueSampleInterval=60, MeterValuesSampledData=listed)
    bench.charge()
    bench.advance(60)
    found = [(value.measurand, value.phase, value.location, value.unit) for value in received(bench)]
    assert sorted(found, key=str) == sorted(expected, key=str)


def profile(limit: float, unit: str = "A", **period: int) -> dict[str, Any]:
    return {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit, **period}],
        },
    }


@pytest.mark.parametrize(
    ("info", "limit", "current_a", "power_w"),
    [
        (EvseInfo(), None, "32.00", "22080.0"),
        (EvseInfo(), profile(10), "10.00", "6900.0"),
        (EvseInfo(), profile(11_000, "W"), "15.94", "11000.0"),
        (EvseInfo(), profile(12, numberPhases=1), "12.00", "2760.0"),
        (EvseInfo(phases=1), profile(10), "10.00", "2300.0"),
        (EvseInfo(), profile(5.9), "0.00", "0.0"),
        (EvseInfo(), profile(0), "0.00", "0.0"),
        (DC, profile(20_000, "W"), "200.00", "20000.0"),
        (DC, profile(0, "W"), "0.00", "0.0"),
    ],
    ids=[
        "hardware",
        "amperes",
        "watts",
        "one-of-three-phases",
        "one-phase",
        "below-6-a",
        "zero",
        "dc",
        "dc-zero",
    ],
)
def test_what_is_offered_follows_the_profile(
    info: EvseInfo, limit: dict[str, Any] | None, current_a: str, power_w: str
) -> None:
    """…Offered is the set point, and nothing while nothing is offered (§7.31)."""
    bench = station(
        1, info, MeterValueSampleInterval=60, MeterValuesSampledData="Current.Offered,Power.Offered"
    )
    bench.charge()
    if limit is not None:
        answer = bench.call("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": limit})
        assert answer == {"status": "Accepted"}
    bench.advance(60)
    assert [value.value for value in received(bench)] == [current_a, power_w]


@pytest.mark.parametrize(
    ("unplug", "offered"), [(False, "32.00"), (True, "0.00")], ids=["vehicle-pauses", "unplugged"]
)
def test_what_is_offered_while_the_vehicle_does_not_draw(unplug: bool, offered: str) -> None:
    bench = station(
        MeterValueSampleInterval=60,
        MeterValuesSampledData="Current.Offered",
        StopTransactionOnEVSideDisconnect="false",
    )
    bench.charge()
    if unplug:
        bench.plug_out()
    else:
        bench.evses[0].adjust(draws=False)
    bench.advance(60)
    assert bench.statuses()[-1] == "SuspendedEV"
    assert [value.value for value in received(bench)] == [offered]
