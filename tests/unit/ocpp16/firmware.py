"""A bench whose station can update its firmware, and a world that downloads, checks and installs it."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from chargepoint.certificates import KEY_STORE
from chargepoint.domain.outside import Certificate, Outside, TransferFailed
from chargepoint.ocpp16.security.connection import Credentials, Factory
from chargepoint.ocpp16.times import format_time
from tests.unit.ocpp16.bench import START, Bench
from tests.unit.ocpp16.outside import MemoryInstaller, MemoryTransfers, Work

URL = "https://files.example/builds/fw-2.0.bin"
REBOOT_S = 2.0
BROKEN = TransferFailed("broken", "the connection was cut; it is tried again")

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class PatientKeyStore:
    """The real one, but for a signature check that ends when a test says so."""

    def __init__(self) -> None:
        self.checks: list[Work] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(KEY_STORE, name)

    def verify_file(
        self, path: str, signature: str, certificate: Certificate, algorithms: Any, done: Any
    ) -> Work:
        def found() -> None:
            KEY_STORE.verify_file(path, signature, certificate, algorithms, done)

        self.checks.append(Work({"path": path, "algorithms": algorithms}, found, done))
        return self.checks[-1]


class FirmwareBench(Bench):
    """A station that restarts when it wants to, as `chargepoint.station` does, and connects again.

    `world_path` is where downloads end up.
    """

    def __init__(
        self, *args: Any, factory_version: str | None = "1.0.0", security_profile: int = 0, **options: Any
    ) -> None:
        self.security_profile = security_profile
        self.factory_version = factory_version
        self.reboots: list[str] = []
        self.reachable = True  # the central system, after a restart
        self.keys = PatientKeyStore()
        self.world_path = "/firmware"
        self.served: list[Work] = []
        super().__init__(*args, **options)

    @property
    def transfers(self) -> MemoryTransfers:
        assert isinstance(self.outside.transfers, MemoryTransfers)
        return self.outside.transfers

    @property
    def installer(self) -> MemoryInstaller:
        assert isinstance(self.outside.installer, MemoryInstaller)
        return self.outside.installer

    def plate(self) -> dict[str, str]:
        version = {} if self.factory_version is None else {"firmwareVersion": self.factory_version}
        return super().plate() | version

    def security(self) -> Factory:
        return Factory(Credentials(self.security_profile, key="a password of 20 c."))

    def make(self) -> None:
        self.outside: Outside = replace(self.outside, key_store=self.keys)
        super().make()
        self.cp.on_restart = self._restart_wanted

    def trust(self, *roots: Signer) -> None:
        """Install manufacturer's roots."""
        for root in roots:
            fields = {"certificateType": "ManufacturerRootCertificate", "certificate": root.pem}
            assert self.call("InstallCertificate", fields) == {"status": "Accepted"}

    # --- restarts -----------------------------------------------------------------------------------

    def _restart_wanted(self, reason: str) -> bool:
        self.reboots.append(reason)
        with self.cp.turn:
            self.cp.wind_down(reason, self._down, 60.0, self.clock)
        return True

    def _down(self) -> None:
        cp = self.cp
        self.clock.call_at(self.clock.now(), lambda: self._reboot() if cp is self.cp else None)

    def _reboot(self) -> None:
        self.restart()
        self.clock.call_at(self.clock.now() + REBOOT_S, self.reconnect)

    def reconnect(self) -> None:
        """Connect again if the central system can be reached."""
        if self.reachable and not self.cp.session.online:
            self.csms.deliver = self._receive
            self.connections.append(len(self.csms.frames))
            with self.cp.turn:
                self.cp.link_up(self.csms)

    def cut(self, for_s: float = 30.0) -> None:
        """The power goes, and comes back."""
        self.disconnect()
        self.restart()
        self.advance(for_s)
        self.reconnect()
        self.advance(0)

    # --- requests -----------------------------------------------------------------------------------

    def update(self, location: str = URL, in_s: float = -1.0, **more: Any) -> Any:
        """UpdateFirmware; the answer."""
        retrieve_date = format_time(self.clock.now() + in_s)
        return self.call("UpdateFirmware", {"location": location, "retrieveDate": retrieve_date, **more})

    # --- the world ----------------------------------------------------------------------------------

    @property
    def job(self) -> dict[str, Any]:
        """What is remembered of the newest update."""
        return self.store.get("firmware", "job") or {}

    @property
    def step(self) -> str | None:
        """How far it has come."""
        return self.job.get("step")

    def under_way(self) -> list[Work]:
        """What would call back."""
        works = [*self.transfers.downloads, *self.keys.checks, *self.installer.installations]
        return [work for work in works if not work.cancelled and work not in self.served]

    def serve(self, fails: Any = None, brings: str | None = None) -> None:
        """Let what is under way succeed, or fail that way; exactly one thing is.

        `brings` is the version an installation says there is now.
        """
        (work,) = self.under_way()
        self.served.append(work)
        if fails is not None:
            work.failed(fails)
        elif work in self.transfers.downloads:
            work.done(self.world_path)
        elif work in self.installer.installations:
            work.done(work.what["version"] if brings is None else brings)
        else:
            work.done()
        self.advance(0)

    def go_on(self, until: str = "ended", within_s: float = 3600.0) -> None:
        """Let everything succeed until that step is reached."""
        deadline = self.clock.now() + within_s
        while self.step != until:
            assert self.clock.now() < deadline, f"it stays {self.step}"
            if self.under_way():
                self.serve()
            else:
                self.advance(1)

    def told(self) -> list[str]:
        """The statuses of updates that were sent, signed ones with their request id."""
        told = []
        for way, frame in self.csms.frames:
            if way == "tx" and frame[0] == 2 and frame[2].endswith("FirmwareStatusNotification"):
                number = frame[3].get("requestId")
                told.append(frame[3]["status"] + ("" if number is None else f" {number}"))
        return told

    def became(self) -> list[str]:
        """The statuses of updates as they became true."""
        return [event["status"] for event in self.events if event["event"] == "firmware"]

    def version(self) -> str | None:
        """What the newest BootNotification said."""
        version = self.sent("BootNotification")[-1].get("firmwareVersion")
        return None if version is None else str(version)


def ready(connectors: int = 1, **options: Any) -> FirmwareBench:
    """A station in operation."""
    bench = FirmwareBench(connectors, **options)
    bench.connect()
    bench.advance(1)
    return bench


# --- signed firmware ----------------------------------------------------------------------------------


class Signer:
    """A certificate with its key, which signs others and files."""

    def __init__(
        self,
        name: str,
        by: Signer | None = None,
        *,
        days: tuple[float, float] = (-1, 365),
        key: PrivateKey | None = None,
        authority: bool | None = None,
    ) -> None:
        self.key: PrivateKey = key or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = by or self
        start = datetime.fromtimestamp(START, UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start + timedelta(days=days[0]))
            .not_valid_after(start + timedelta(days=days[1]))
        )
        if authority is not None:
            builder = builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
        certificate = builder.sign(issuer.key, hashes.SHA256())
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()

    def sign(self, content: bytes, pss: bool = True) -> str:
        """The signature over a file, base64."""
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            made = self.key.sign(content, ec.ECDSA(hashes.SHA256()))
        else:
            pad = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if pss else padding.PKCS1v15()
            made = self.key.sign(content, pad, hashes.SHA256())
        return base64.b64encode(made).decode()


class Build:
    """A firmware file and whoever signs it."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        self.content = b"firmware" * 1000
        self.path = folder / "download"
        self.path.write_bytes(self.content)
        self.signer = signer

    def order(self, bench: FirmwareBench, request_id: int = 7, **more: Any) -> Any:
        """SignedUpdateFirmware; the status of the answer, or the code of a CALLERROR."""
        bench.world_path = str(self.path)
        firmware: dict[str, Any] = {
            "location": URL,
            "retrieveDateTime": format_time(bench.clock.now() - 1),
            "signingCertificate": self.signer.pem,
            "signature": self.signer.sign(self.content),
        }
        fields: dict[str, Any] = {
            name: more.pop(name) for name in ("retries", "retryInterval") if name in more
        }
        payload: dict[str, Any] = {"requestId": request_id, "firmware": firmware | more, **fields}
        answer = bench.call("SignedUpdateFirmware", payload)
        return answer["status"] if isinstance(answer, dict) else answer
