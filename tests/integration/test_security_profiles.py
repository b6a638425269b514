"""Security profiles on real TLS: whitepaper "Improved security for OCPP 1.6-J" A00, A01 and A05."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chargepoint.store import MemoryStore
from chargepoint.tls import shared_context
from tests.integration.csms_process import central_system
from tests.integration.piped import play
from tests.integration.secure_rig import HEX, LITERAL, OTHER_HEX, Office, live, until
from tests.integration.station_process import CP, IMPATIENT, configuration, station
from tests.integration.tls_material import Authority

Story = Callable[[Office], Awaitable[None]]


def with_office(folder: Path, story: Story) -> None:
    async def told() -> None:
        # A server that still reads an aborted handshake complains to the loop; that is its business.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        office = Office(folder)
        try:
            await story(office)
        finally:
            await office.close()

    play(told)


@pytest.mark.parametrize("profile", range(4))
def test_every_profile(tmp_path: Path, profile: int) -> None:
    async def story(office: Office) -> None:
        office.passwords[CP] = bytes.fromhex(HEX)
        await office.speak(profile)
        async with live(office, security_profile=profile, authorization_key=HEX) as rig:
            await until(lambda: rig.accepted)
            settings = rig.station.link.settings
            assert settings.url.startswith("wss:" if profile >= 2 else "ws:")
            assert (settings.authorization() is not None) == (profile in (1, 2))
            assert await office.value("SecurityProfile") == str(profile)
            in_use = rig.station.charge_point.vault.in_use
            assert (in_use is not None) == (profile >= 2)

    with_office(tmp_path, story)


@pytest.mark.parametrize("secret", [HEX, LITERAL], ids=["hex", "literal"])
def test_the_key_is_never_read(tmp_path: Path, secret: str) -> None:
    async def story(office: Office) -> None:
        office.passwords[CP] = bytes.fromhex(HEX) if secret == HEX else secret
        await office.speak(1)
        async with live(office, security_profile=1, authorization_key=secret) as rig:
            await until(lambda: rig.accepted)
            asked = await office.call("GetConfiguration", key=["AuthorizationKey"])
            assert asked == {"configurationKey": [{"key": "AuthorizationKey", "readonly": False}]}
            every = (await office.call("GetConfiguration"))["configurationKey"]
            assert "AuthorizationKey" not in [entry["key"] for entry in every]
            assert secret not in repr((rig.station.link.settings, rig.type.security, rig.events))

    with_office(tmp_path, story)


# --- what is refused --------------------------------------------------------------------------------


@contextmanager
def tls_server(context: ssl.SSLContext, port: list[int]) -> Iterator[None]:
    """Serves handshakes in a thread: asyncio's server does not send its TLS alerts."""
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                accepted, _ = listening.accept()
            except OSError:
                continue
            accepted.settimeout(20)
            try:
                with context.wrap_socket(accepted, server_side=True) as secured:
                    secured.recv(1024)
            except OSError:
                accepted.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        port.append(listening.getsockname()[1])
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(60)


async def _refused(office: Office, context: ssl.SSLContext, event: str, **csms: Any) -> None:
    port: list[int] = []
    with tls_server(context, port):
        url = f"wss://localhost:{port[0]}"
        async with live(office, url=url, security_profile=2, authorization_key=HEX, **csms) as rig:
            await until(lambda: rig.station.failed_attempts >= 4)
            assert [kind for kind in rig.waiting() if kind not in ("StartupOfTheDevice",)] == [event]


def _serving(cert: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


@pytest.mark.parametrize(
    "issued",
    [
        pytest.param(lambda folder, root: Authority(folder, "Another").issue("localhost"), id="unknown-ca"),
        pytest.param(lambda folder, root: root.issue("other.example"), id="wrong-name"),
        pytest.param(lambda folder, root: root.issue("localhost", days=(-9, -1)), id="expired"),
    ],
)
def test_a_bad_server_certificate(tmp_path: Path, issued: Any) -> None:
    """One event for the whole series of failures (A00.FR.309)."""

    async def story(office: Office) -> None:
        server = issued(tmp_path, office.authority)
        await _refused(office, _serving(server.cert, server.key), "InvalidCentralSystemCertificate")

    with_office(tmp_path, story)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_old_tls_version(tmp_path: Path) -> None:
    """A00.FR.315."""

    async def story(office: Office) -> None:
        context = _serving(office.server.cert, office.server.key)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        await _refused(office, context, "InvalidTLSVersion")

    with_office(tmp_path, story)


def test_no_common_cipher(tmp_path: Path) -> None:
    """A00.FR.322."""

    async def story(office: Office) -> None:
        context = _serving(office.server.cert, office.server.key)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-ECDSA-AES256-CCM")
        await _refused(office, context, "InvalidTLSCipherSuite")

    with_office(tmp_path, story)


def test_a_client_certificate_is_missing(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        context = _serving(office.server.cert, office.server.key)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(office.authority.ca)
        await _refused(
            office, context, "FailedToAuthenticateAtCentralSystem", tls={"ca": Path(office.authority.ca)}
        )

    with_office(tmp_path, story)


def test_a_wrong_password_is_one_event_of_the_series_and_told_later(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        office.passwords[CP] = LITERAL
        central = await office.speak(1)
        async with live(office, security_profile=1, authorization_key=HEX) as rig:
            await until(lambda: rig.station.failed_attempts >= 4)
            assert rig.waiting().count("FailedToAuthenticateAtCentralSystem") == 1
            central.set_password(CP, bytes.fromhex(HEX))
            await until(lambda: rig.accepted and not rig.waiting())
            told = [f[3]["type"] for f in office.frames if f[2:3] == ["SecurityEventNotification"]]
            assert told.count("FailedToAuthenticateAtCentralSystem") == 1

    with_office(tmp_path, story)


# --- AuthorizationKey -------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", [1, 2])
def test_the_password_is_changed_twice(tmp_path: Path, profile: int) -> None:
    """Accepted on the old connection, then a new one with the new password, without a BootNotification."""

    async def story(office: Office) -> None:
        office.passwords[CP] = bytes.fromhex(HEX)
        central = await office.speak(profile)
        async with live(office, security_profile=profile, authorization_key=HEX) as rig:
            await until(lambda: rig.accepted)
            for key, password in ((OTHER_HEX, bytes.fromhex(OTHER_HEX)), (LITERAL, LITERAL.encode())):
                before = central.stations()[0].connections
                assert await office.change("AuthorizationKey", key) == "Accepted"
                central.set_password(CP, password)
                await until(lambda: central.stations()[0].connections > before and rig.proven)  # noqa: B023  # awaited within its round
                assert rig.station.link.settings.password == password
            assert office.heard("BootNotification") == 1
            for bad in ("short", "x" * 41, "ü" * 20, ""):
                assert await office.change("AuthorizationKey", bad) == "Rejected"
            assert rig.station.link.settings.password == LITERAL.encode()

    with_office(tmp_path, story)


def test_a_change_that_the_central_system_never_applied(tmp_path: Path) -> None:
    """After some refusals the old password is tried in turns, and stays where it alone works."""

    async def story(office: Office) -> None:
        office.passwords[CP] = bytes.fromhex(HEX)
        await office.speak(1)
        store = MemoryStore()
        async with live(office, store, security_profile=1, authorization_key=HEX) as rig:
            await until(lambda: rig.accepted)
            assert await office.change("AuthorizationKey", LITERAL) == "Accepted"
            await until(lambda: rig.proven)
            assert rig.station.link.settings.password == bytes.fromhex(HEX)
            assert any(name == "error" and "old AuthorizationKey" in f["message"] for name, f in rig.events)
        async with live(office, store, security_profile=1, authorization_key=HEX) as again:
            await until(lambda: again.accepted)
            assert again.station.failed_attempts == 0

    with_office(tmp_path, story)


# --- SecurityProfile --------------------------------------------------------------------------------


def test_from_0_to_3(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        office.passwords[CP] = bytes.fromhex(HEX)
        await office.speak(0)
        store = MemoryStore()
        async with live(office, store) as rig:
            await until(lambda: rig.accepted)
            assert await office.change("SecurityProfile", "1") == "Rejected"  # no key yet
            assert await office.change("AuthorizationKey", HEX) == "Accepted"
            assert rig.station.link.online  # stored only
            for profile in (1, 2, 3):
                assert await office.change("SecurityProfile", str(profile)) == "Accepted"
                await office.speak(profile)
                await until(lambda: rig.proven)
                assert await office.value("SecurityProfile") == str(profile)
                assert await office.change("SecurityProfile", str(profile - 1)) == "Rejected"
            assert office.heard("BootNotification") == 1
            assert await office.call("Reset", type="Soft") == {"status": "Accepted"}
            await until(lambda: office.heard("BootNotification") == 2 and rig.accepted)
        async with live(office, store) as again:  # the configuration still says 0
            await until(lambda: again.accepted)
            assert again.station.link.settings.security_profile == 3

    with_office(tmp_path, story)


def test_a_profile_that_never_worked_is_given_up(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        office.passwords[CP] = bytes.fromhex(HEX)
        await office.speak(1)
        async with live(office, security_profile=1, authorization_key=HEX) as rig:
            await until(lambda: rig.accepted)
            assert await office.change("SecurityProfile", "2") == "Accepted"
            await until(lambda: rig.proven)
            assert await office.value("SecurityProfile") == "1"
            assert any(name == "error" and "back to 1" in fields["message"] for name, fields in rig.events)

    with_office(tmp_path, story)


def test_a_profile_that_worked_is_never_left(tmp_path: Path) -> None:
    """TC_083: the old profile is offered afterwards, and the station does not come."""

    async def story(office: Office) -> None:
        office.passwords[CP] = bytes.fromhex(HEX)
        await office.speak(1)
        async with live(office, security_profile=1, authorization_key=HEX) as rig:
            await until(lambda: rig.accepted)
            assert await office.change("SecurityProfile", "2") == "Accepted"
            await office.speak(2)
            await until(lambda: rig.proven)
            central = await office.speak(1)
            rig.station.failed_attempts = 0
            await until(lambda: rig.station.failed_attempts >= 8)
            assert rig.station.link.settings.url.startswith("wss:")
            assert central.stations() == []
            await office.speak(2)
            await until(lambda: rig.accepted)

    with_office(tmp_path, story)


def test_local_service_lowers_the_profile(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        office.passwords[CP] = bytes.fromhex(HEX)
        await office.speak(1)
        async with live(office, security_profile=1, authorization_key=HEX) as rig:
            await until(lambda: rig.accepted)
            assert await office.change("SecurityProfile", "2") == "Accepted"
            await office.speak(2)
            await until(lambda: rig.proven)
            await office.speak(1)
            with rig.station.charge_point.turn:
                assert rig.station.charge_point.configuration.set_service("SecurityProfile", "1") is None
            await until(lambda: rig.proven)
            assert rig.station.link.settings.security_profile == 1

    with_office(tmp_path, story)


def test_a_new_certificate_is_shown_at_once_and_the_old_one_if_it_is_refused(tmp_path: Path) -> None:
    """A02: the newest certificate in use; the one before is the fall-back."""

    async def story(office: Office) -> None:
        await office.speak(3)
        async with live(office, security_profile=3) as rig:
            await until(lambda: rig.accepted)
            stranger = Authority(tmp_path, "Stranger").issue(CP, days=(0, 30))
            charge_point = rig.station.charge_point
            key_store = charge_point.outside.key_store
            with charge_point.turn as turn:
                chain = key_store.chain(Path(stranger.cert).read_text())
                charge_point.vault.accept(chain, Path(stranger.key).read_text())
                turn.answer(charge_point.vault.changed)
            await until(lambda: not rig.station.link.online)
            await until(lambda: rig.accepted)
            reasons = [fields.get("reason", "") for name, fields in rig.events if name == "connection"]
            assert any("client certificate" in reason or "closed" in reason for reason in reasons)
            assert rig.station.link.settings.tls.cert_pem != chain[0].pem

    with_office(tmp_path, story)


def test_stations_alike_share_one_context(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        await office.speak(3)
        contexts = []
        for _ in range(2):
            async with live(office, security_profile=3) as rig:
                await until(lambda: rig.accepted)
                contexts.append(shared_context(rig.station.link.settings.tls))
        assert contexts[0] is contexts[1]

    with_office(tmp_path, story)


def test_the_command_speaks_tls(tmp_path: Path) -> None:
    """`chargepoint csms` with certificates, and a password changed while it runs."""

    async def story(office: Office) -> None:
        files = ("--tls-cert", office.server.cert, "--tls-key", office.server.key)
        options = ("--host", "localhost", *files, "--client-ca", office.authority.ca)
        async with central_system(*options, "--password", f"{CP}={LITERAL}") as central:
            assert central.url.startswith("wss://localhost:")
            csms: dict[str, Any] = {"url": central.url, "security_profile": 2, "authorization_key": LITERAL}
            async with live(office, **csms) as rig:
                await until(lambda: rig.accepted)
                await central.do(cmd="password", cp=CP, password="another")
                await central.do(cmd="drop", cp=CP)
                await until(lambda: "FailedToAuthenticateAtCentralSystem" in rig.waiting())
                await central.do(cmd="password", cp=CP, password=None)
                await until(lambda: rig.accepted)
            async with live(office, tls={"ca": Path(office.authority.ca)}, **csms) as rig:
                await until(lambda: rig.station.failed_attempts >= 2)
            reply = await central.ask({"cmd": "password", "cp": CP, "password": ""})
            assert reply["error"] == "bad_argument"
        assert LITERAL not in str(central.lines) + central.errors

    with_office(tmp_path, story)


# --- power cuts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("proven", [False, True], ids=["at-once", "when-proven"])
@pytest.mark.parametrize("step", ["key", "profile"])
def test_a_power_cut_in_the_middle(tmp_path: Path, step: str, proven: bool) -> None:
    """kill -9 of a real process: what was accepted is used after the restart, whatever the file says."""

    async def story(office: Office) -> None:
        office.passwords[CP] = bytes.fromhex(HEX)
        central = await office.speak(1)
        config = configuration(
            tmp_path,
            csms={
                "url": office.url,
                "security_profile": 1,
                "authorization_key": HEX,
                "tls": {"ca": office.authority.ca},
                "reconnect": IMPATIENT,
            },
        )
        storage = tmp_path / "storage"
        async with station("--config", config, storage=storage, clock="wall") as running:
            await running.event("registration", status="Accepted")
            if step == "key":
                assert await office.change("AuthorizationKey", LITERAL) == "Accepted"
                central.set_password(CP, LITERAL)
            else:
                assert await office.change("SecurityProfile", "2") == "Accepted"
                if proven:
                    central = await office.speak(2)
            if proven:
                await running.event("connection", online=False)
                await running.sent("Heartbeat")
                await until(lambda: office.heard("Heartbeat") and central.stations()[0].connected)
                await running.until(
                    lambda line: line["event"] == "ocpp" and line["dir"] == "rx" and line["frame"][0] == 3
                )
                assert (await running.do("status"))["online"]
            await running.kill()
        assert all(path.stat().st_mode & 0o077 == 0 for path in storage.iterdir())
        if step == "profile":
            central = await office.speak(2)
        async with station("--config", config, storage=storage, clock="wall") as running:
            await running.event("registration", status="Accepted")
            assert await office.value("SecurityProfile") == ("2" if step == "profile" else "1")
            await running.shut_down()

    with_office(tmp_path, story)
