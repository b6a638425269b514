"""What every card reader promises (`hal.api.TagReader`), over every driver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hal.api import TagReader
from hal.clock import SteppedClock
from hal.registry import open_reader
from hal.simulated.reader import SimulatedReader


@dataclass(slots=True)
class Bench:
    """A reader and a hand with a card."""

    reader: TagReader
    present: Callable[[str], None]


def simulated() -> Bench:
    reader = open_reader({"driver": "simulated"}, SteppedClock())
    assert isinstance(reader, SimulatedReader)
    return Bench(reader, reader.present)


@pytest.fixture(params=[simulated])
def bench(request: pytest.FixtureRequest) -> Bench:
    made = request.param()
    assert isinstance(made, Bench)
    return made


def test_a_card_is_reported_as_upper_case_hex_of_at_most_20_characters(bench: Bench) -> None:
    seen: list[str] = []
    bench.reader.on_tag = seen.append
    bench.present("04E12345A1B2C3")
    assert seen == ["04E12345A1B2C3"]


def test_two_cards_are_reported_in_order(bench: Bench) -> None:
    seen: list[str] = []
    bench.reader.on_tag = seen.append
    bench.present("AAAA0001")
    bench.present("BBBB0002")
    assert seen == ["AAAA0001", "BBBB0002"]


def test_a_card_nobody_waits_for_is_forgotten(bench: Bench) -> None:
    bench.present("AAAA0001")
    seen: list[str] = []
    bench.reader.on_tag = seen.append
    assert seen == []


def test_a_closed_reader_reads_nothing_and_may_be_closed_again(bench: Bench) -> None:
    seen: list[str] = []
    bench.reader.on_tag = seen.append
    bench.reader.close()
    bench.reader.close()
    bench.present("AAAA0001")
    assert seen == []
