"""What a fleet is measured against: `ocpp` over `websockets`, as their documentations show it.

Its stations send the messages that ours send, at the same times; payloads are fixed and there is nothing
behind them: no vehicle, no meter, no store, no statistics. Schemas are checked, as by default.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from ocpp.v16 import ChargePoint, call
from ocpp.v16.enums import ChargePointErrorCode, ChargePointStatus
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

FREE, WAITING, CHARGING = (
    ChargePointStatus.available,
    ChargePointStatus.preparing,
    ChargePointStatus.charging,
)
SAMPLED = [
    {"context": "Sample.Periodic", **value}
    for value in (
        {"measurand": "Energy.Active.Import.Register", "value": "123456", "unit": "Wh"},
        {"measurand": "Power.Active.Import", "value": "7360.0", "unit": "W"},
        {"measurand": "Current.Import", "value": "32.00", "unit": "A", "phase": "L1"},
        {"measurand": "Voltage", "value": "230.1", "unit": "V", "phase": "L1-N"},
        {"measurand": "SoC", "value": "54", "unit": "Percent", "location": "EV"},
    )
]


class PlainStation:
    """One station: a connection, the task that reads from it, and one that sends."""

    def __init__(self, url: str, identity: str, sample_s: float) -> None:
        self.url = url
        self.identity = identity
        self.sample_s = sample_s
        self.accepted = self.charging = False
        self.meter_values = self.heartbeats = 0
        self._plugged = asyncio.Event()

    async def live(self) -> None:
        """Connect, boot, send heartbeats, and from `charge` on meter values."""
        async with connect(self.url + self.identity, subprotocols=[Subprotocol("ocpp1.6")]) as socket:
            charge_point = ChargePoint(self.identity, socket)
            reading = asyncio.create_task(charge_point.start())
            try:
                await self._talk(charge_point)
            finally:
                reading.cancel()

    def charge(self) -> None:
        """A vehicle comes, and a card."""
        self._plugged.set()

    async def _talk(self, charge_point: ChargePoint) -> None:
        boot = await charge_point.call(
            call.BootNotification(
                charge_point_vendor="Example", charge_point_model="Wallbox", firmware_version="1.0.0"
            )
        )
        await charge_point.call(
            call.SecurityEventNotification(type="StartupOfTheDevice", timestamp=now(), tech_info="Start")
        )
        for connector in (0, 1):
            await charge_point.call(status(connector, FREE))
        self.accepted = True
        while not await self._plugged_within(boot.interval):
            await charge_point.call(call.Heartbeat())
            self.heartbeats += 1
        await self._charge(charge_point)

    async def _plugged_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._plugged.wait()
        except TimeoutError:
            return False

    async def _charge(self, charge_point: ChargePoint) -> None:
        await charge_point.call(status(1, WAITING))
        await charge_point.call(call.Authorize(id_tag="TAG1"))
        started = await charge_point.call(
            call.StartTransaction(connector_id=1, id_tag="TAG1", meter_start=0, timestamp=now())
        )
        await charge_point.call(status(1, CHARGING))
        self.charging = True
        while True:
            await asyncio.sleep(self.sample_s)
            await charge_point.call(
                call.MeterValues(
                    connector_id=1,
                    transaction_id=started.transaction_id,
                    meter_value=[{"timestamp": now(), "sampled_value": SAMPLED}],
                )
            )
            self.meter_values += 1


def now() -> str:
    """As OCPP writes moments."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def status(connector: int, which: ChargePointStatus) -> Any:
    """A StatusNotification without a fault."""
    return call.StatusNotification(
        connector_id=connector, error_code=ChargePointErrorCode.no_error, status=which, timestamp=now()
    )
