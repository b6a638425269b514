"""Faults of TLS: the embedded central system goes over to it with something wrong."""

from __future__ import annotations

import pytest

from chargepoint.csms import ServerTls
from scenarios.faults import Applied, BadDisturbance, Setting, Unsuitable
from scenarios.faults.certificates import Authority
from scenarios.faults.tls import BadTls
from tests.integration.piped import play
from tests.integration.scenarios.fault_rig import CP, FREE, disturbance, live

KEPT_OUT = [
    ("expired", "has expired"),
    ("wrong_name", "elsewhere.example"),
    ("unknown_ca", "the certificate of"),
    ("no_client_certificate", "client certificate"),
    ("old_version", "no TLS 1.2 or newer"),
]


@pytest.mark.parametrize(("kind", "said"), KEPT_OUT, ids=[kind for kind, _ in KEPT_OUT])
def test_it_keeps_the_station_out_as_long_as_it_lasts(kind: str, said: str) -> None:
    """A00: no connection over TLS that is not right; what happens meanwhile is delivered afterwards."""

    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            before = rig.station.link.settings
            await rig.disturb(tls=kind, for_="15m")
            await rig.charge_freely(1)
            await rig.wait(300)
            assert not rig.station.online
            assert rig.transactions == []
            assert any(said in reason for reason in rig.losses), rig.losses
            await rig.wait(600)
            assert rig.station.online
            assert rig.station.link.settings == before
            assert rig.csms.tls is None
            await rig.nothing_is_lost()
            assert len(rig.transactions) == 1
            assert rig.struck[0].what == f"tls: {kind}"

    play(run)


class GoodTls(BadTls):
    """A planted mistake: nothing is wrong with it."""

    def _server(self, trusted: Authority, host: str) -> ServerTls:
        return ServerTls(trusted.issue(host))


def test_it_is_the_fault_that_keeps_the_station_out() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            expired = disturbance(tls="expired")
            good = GoodTls(expired, Applied(expired, rig.setting, CP))
            await good.strike()
            await rig.wait(300)
            assert rig.station.online
            assert rig.station.link.settings.url.startswith("wss:")
            assert rig.csms.tls is not None
            folder = rig.csms.tls.certificate.parent
            assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
            await good.heal()
            await rig.charge_freely(1)
            await rig.nothing_is_lost()
            assert not folder.exists()

    play(run)


def test_without_our_own_central_system_it_cannot_be() -> None:
    async def run() -> None:
        async with live() as rig:
            setting = Setting({CP: rig.station}, None, seed=1)
            with pytest.raises(Unsuitable, match="embedded central system"):
                await setting.apply(disturbance(tls="expired"))
            assert disturbance(tls="expired").needs == {"own csms"}

    play(run)


def test_one_at_a_time() -> None:
    async def run() -> None:
        async with live() as rig:
            await rig.disturb(tls="expired")
            with pytest.raises(BadDisturbance, match="calm it first"):
                await rig.disturb(tls="wrong_name")

    play(run)
