"""Every shipped register map against registers written down by hand from the makers' tables.

The words are those of IEEE 754 (230.0 is 4366 0000) or of the integer that the table's resolution
gives (230.0 V in tenths is 2300, 0000 08FC), at the addresses of the tables. No other register exists.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from hal.device import MeterSnapshot
from hal.modbus.register_map import load_map, map_names
from tests.unit.hal.meter_line import Registers, meter

SERIAL = {(3, 0xFC00): (0x00BC, 0x614E)}  # 12345678

SDM_3P = {
    (4, 0x00): (0x4366, 0x0000, 0x4366, 0x8000, 0x4367, 0x0000),  # 230.0, 230.5, 231.0 V
    (4, 0x06): (0x4180, 0x0000, 0x4120, 0x0000, 0x0000, 0x0000),  # 16, 10, 0 A
    (4, 0x0C): (0x4566, 0x0000, 0xC510, 0x1000, 0x0000, 0x0000),  # 3680, -2305, 0 W
    (4, 0x34): (0x44AB, 0xE000, ),  # 1375 W
    (4, 0x3E): (0x3F00, 0x0000),  # 0.5
    (4, 0x46): (0x4248, 0x0000),  # 50.0 Hz
    (4, 0x48): (0x449A, 0x5000, 0x3FC0, 0x0000),  # 1234.5, 1.5 kWh
} | SERIAL  # fmt: skip

SDM_3P_SEEN = MeterSnapshot(
    read_at=1000.0,
    import_wh=1_234_500.0,
    export_wh=1_500.0,
    power_w=1375.0,
    voltage_v=(230.0, 230.5, 231.0),
    current_a=(16.0, -10.0, 0.0),
    power_phase_w=(3680.0, -2305.0, 0.0),
    frequency_hz=50.0,
    power_factor=0.5,
)

SDM_1P = {
    (4, 0x00): (0x4366, 0x0000),
    (4, 0x06): (0x4180, 0x0000),
    (4, 0x0C): (0x4566, 0x0000),
    (4, 0x1E): (0x3F80, 0x0000),
    (4, 0x46): (0x4248, 0x0000, 0x449A, 0x5000, 0x0000, 0x0000),
} | SERIAL


def sdm_1p_seen(power_factor: float | None) -> MeterSnapshot:
    return MeterSnapshot(
        read_at=1000.0,
        import_wh=1_234_500.0,
        export_wh=0.0,
        power_w=3680.0,
        voltage_v=(230.0,),
        current_a=(16.0,),
        power_phase_w=(3680.0,),
        frequency_hz=50.0,
        power_factor=power_factor,
    )


CARLO_GAVAZZI = {
    (4, 0x00): (0x08FC, 0x0000, 0x0901, 0x0000, 0x0906, 0x0000),  # 2300, 2305, 2310
    (4, 0x0C): (0x3E80, 0x0000, 0x2710, 0x0000, 0x0000, 0x0000),  # 16000, 10000, 0
    (4, 0x12): (0x8FC0, 0x0000, 0xA5F6, 0xFFFF, 0x0000, 0x0000),  # 36800, -23050, 0
    (4, 0x28): (0x35B6, 0x0000),  # 13750
    (4, 0x0B): (0x0154,),  # an identification code
}
CARLO_GAVAZZI_SEEN = MeterSnapshot(
    read_at=1000.0,
    import_wh=12_345_600.0,
    export_wh=6_553_600.0,
    power_w=1375.0,
    voltage_v=(230.0, 230.5, 231.0),
    current_a=(16.0, -10.0, 0.0),
    power_phase_w=(3680.0, -2305.0, 0.0),
    frequency_hz=50.0,
    power_factor=-0.5,
)

ABB = {
    (3, 0x5000): (0x0000, 0x0000, 0x0001, 0xE240, 0x0000, 0x0000, 0x0000, 0x0096),  # 123456, 150
    (3, 0x5B00): (0x0000, 0x08FC, 0x0000, 0x0901, 0x0000, 0x0906),
    (3, 0x5B06): (0x0000, 0x0F9C) * 3,  # between phases
    (3, 0x5B0C): (0x0000, 0x0640, 0x0000, 0x03E8, 0x0000, 0x0000),  # 1600, 1000, 0
    (3, 0x5B12): (0x0000, 0x0258),  # neutral
    (3, 0x5B14): (0x0002, 0x191C, 0x0005, 0x9D80, 0xFFFC, 0x7B9C, 0, 0),  # 137500, 368000, -230500, 0
    (3, 0x5B2C): (0x1388,),  # 5000
    (3, 0x5B3A): (0x01F4,),  # 500
    (3, 0x8900): (0x00BC, 0x614E),
}  # fmt: skip
ABB_SEEN = MeterSnapshot(
    read_at=1000.0,
    import_wh=1_234_560.0,
    export_wh=1_500.0,
    power_w=1375.0,
    voltage_v=(230.0, 230.5, 231.0),
    current_a=(16.0, -10.0, 0.0),
    power_phase_w=(3680.0, -2305.0, 0.0),
    frequency_hz=50.0,
    power_factor=0.5,
)

ORNO = {
    (3, 0x0E): (0x4366, 0x0000, 0x4366, 0x8000, 0x4367, 0x0000, 0x4248, 0x0000),
    (3, 0x16): (0x4180, 0x0000, 0x4120, 0x0000, 0x0000, 0x0000),
    (3, 0x1C): (0x3FB0, 0x0000, 0x4068, 0x0000, 0xC010, 0x0000, 0x0000, 0x0000),  # 1.375, 3.625, -2.25, 0 kW
    (3, 0x108): (0x449A, 0x5000),
    (3, 0x110): (0x3FC0, 0x0000),
}  # fmt: skip
ORNO_SEEN = MeterSnapshot(
    read_at=1000.0,
    import_wh=1_234_500.0,
    export_wh=1_500.0,
    power_w=1375.0,
    voltage_v=(230.0, 230.5, 231.0),
    current_a=(16.0, -10.0, 0.0),
    power_phase_w=(3625.0, -2250.0, 0.0),
    frequency_hz=50.0,
)

SCHNEIDER = {
    (3, 0x0BB7): (0x4180, 0x0000, 0x4120, 0x0000, 0x0000, 0x0000),
    (3, 0x0BD3): (0x4366, 0x0000, 0x4366, 0x8000, 0x4367, 0x0000),
    (3, 0x0BED): (0x4068, 0x0000, 0xC010, 0x0000, 0x0000, 0x0000, 0x3FB0, 0x0000),
    (3, 0x0C25): (0x4248, 0x0000),
    (3, 0x0C83): (0x0000, 0x0000, 0x0012, 0xD644, 0x0000, 0x0000, 0x0000, 0x05DC),  # 1234500, 1500 Wh
}


@dataclass(frozen=True, slots=True)
class Case:
    registers: Mapping[tuple[int, int], tuple[int, ...]]
    seen: MeterSnapshot
    identification: int | None


CASES = {
    "sdm120": Case(SDM_1P, sdm_1p_seen(None), 12345678),
    "sdm230": Case(SDM_1P, sdm_1p_seen(1.0), 12345678),
    "sdm630": Case(SDM_3P, SDM_3P_SEEN, 12345678),
    "sdm72d-m-2": Case(SDM_3P, SDM_3P_SEEN, 12345678),
    "sdm72d-m": Case(
        {key: words for key, words in SDM_3P.items() if key[1] in (0x34, 0x48, 0xFC00)},
        MeterSnapshot(read_at=1000.0, import_wh=1_234_500.0, export_wh=1_500.0, power_w=1375.0),
        12345678,
    ),
    "em340": Case(
        CARLO_GAVAZZI
        | {
            (4, 0x31): (0xFE0C, 0x0000, 0x01F4),  # -500, the phase sequence, 500
            (4, 0x34): (0xE240, 0x0001),  # 123456
            (4, 0x4E): (0x0000, 0x0001),  # 65536
        },
        CARLO_GAVAZZI_SEEN,
        340,
    ),
    "em24": Case(
        CARLO_GAVAZZI
        | {
            (4, 0x35): (0xFE0C,),
            (4, 0x37): (0x01F4,),
            (4, 0x3E): (0xE240, 0x0001),
            (4, 0x5C): (0x0000, 0x0001),
        },
        CARLO_GAVAZZI_SEEN,
        340,
    ),
    "abb-b23": Case(ABB, ABB_SEEN, 12345678),
    "or-we-516": Case(ORNO, ORNO_SEEN, None),
    "iem3155": Case(SCHNEIDER, ORNO_SEEN, None),
}
OTHER_NAMES = {
    "abb-b21": "abb-b23",
    "abb-b24": "abb-b23",
    "em330": "em340",
    "et330": "em340",
    "et340": "em340",
    "or-we-517": "or-we-516",
    "sdm220": "sdm230",
}


def figures(value: Any) -> Any:
    """Rounded as no register is: tenths have no exact binary form."""
    if isinstance(value, tuple):
        return tuple(figures(item) for item in value)
    return round(value, 9) if isinstance(value, float) else value


def test_every_shipped_map_is_in_the_table() -> None:
    assert sorted((*CASES, *OTHER_NAMES)) == list(map_names())


@pytest.mark.parametrize("name", map_names())
def test_registers_become_values(name: str) -> None:
    case = CASES[OTHER_NAMES.get(name, name)]

    async def reading() -> tuple[MeterSnapshot, int | None]:
        there = meter(Registers(case.registers), name)
        await there.open()
        seen = await there.read()
        await there.close()
        return seen, there.identification

    seen, identification = asyncio.run(reading())
    assert {key: figures(value) for key, value in asdict(seen).items()} == {
        key: figures(value) for key, value in asdict(case.seen).items()
    }
    assert identification == case.identification


def test_a_single_phase_variant_has_only_its_own_phase() -> None:
    """An ABB B21 says "not available" for what it lacks: all ones, or the largest signed number."""
    registers = Registers(ABB)
    registers.put(3, 0x5B02, *(0xFFFF,) * 4)
    registers.put(3, 0x5B0E, *(0xFFFF,) * 4)
    registers.put(3, 0x5B16, *(0x7FFF, 0xFFFF) * 3)
    registers.put(3, 0x5B14, 0x0005, 0x9D80)

    async def reading() -> MeterSnapshot:
        there = meter(registers, "abb-b21")
        await there.open()
        return await there.read()

    seen = asyncio.run(reading())
    assert (seen.voltage_v, seen.current_a, seen.power_phase_w, seen.power_w) == (
        (230.0,),
        (16.0,),
        (),
        3680.0,
    )


def test_an_em24_that_counts_one_direction_only_is_read_all_the_same() -> None:
    """Some EM24 answer exception 2 where others keep what was exported."""
    case = CASES["em24"]
    registers = Registers({place: words for place, words in case.registers.items() if place != (4, 0x5C)})

    async def reading() -> MeterSnapshot:
        there = meter(registers, "em24")
        await there.open()
        return await there.read()

    seen = asyncio.run(reading())
    assert (seen.import_wh, seen.export_wh, seen.frequency_hz) == (case.seen.import_wh, None, 50.0)


@pytest.mark.parametrize("name", sorted(CASES))
def test_no_request_asks_for_registers_that_may_not_exist(name: str) -> None:
    registers = load_map(name)
    known = {
        (point.function, address) for point in registers.points for address in range(point.address, point.end)
    }
    known |= {(4, 0x32)} if name == "em340" else set()
    if name == "abb-b23":
        known |= {(3, address) for address in (*range(0x5B06, 0x5B0C), 0x5B12, 0x5B13)}
    for block in registers.blocks():
        assert block.count <= registers.max_block
        assert {(block.function, block.address + index) for index in range(block.count)} <= known
