"""The rig of the security cases: certificates made on the spot, and a door in front of the central system."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from tests.conformance.door import Door, Handshake
from tests.conformance.rig import CP, Rig
from tests.unit.certificate_material import Issuer, key_pem

PASSWORD = b"OCA_OCTT_admin_test"
LONG = (-10.0, 36_500.0)
"""Days from the beginning: valid on the station's clock and on the one of this computer."""


class SecureRig(Rig):
    """`profile` is the station's security profile at the beginning, and the door is as that one needs it."""

    profile = 1

    def __init__(self, folder: Path, config: dict[str, Any], *, durable: bool = False) -> None:
        self.folder = folder
        self.root = Issuer("Central Root", days=LONG)
        self.server = Issuer("localhost", self.root, ca=None, days=LONG, serial=0x1002)
        self.client = Issuer(CP, self.root, ca=None, days=LONG, serial=0x1003)
        tls = {"ca": self.file("root.pem", self.root.pem)}
        if self.profile == 3:
            chain = self.client.pem + key_pem(self.client.key)
            tls["cert"] = self.file("client.pem", chain)
        csms = {
            "url": "wss://localhost" if self.profile >= 2 else "ws://localhost",
            "security_profile": self.profile,
            "authorization_key": PASSWORD.hex() if self.profile in (1, 2) else None,
            "tls": tls,
        }
        super().__init__(folder, {"csms": csms, **config}, durable=durable)
        self.door = Door(lambda: self.csms.url)
        self.door.password = PASSWORD if self.profile in (1, 2) else None

    def file(self, name: str, text: str) -> Path:
        """A file with that text."""
        path = self.folder / name
        path.write_text(text)
        return path

    def tls(self, profile: int) -> ssl.SSLContext | None:
        """The door's side of TLS for that security profile."""
        if profile < 2:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file("server.pem", self.server.pem + key_pem(self.server.key)))
        if profile == 3:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.root.pem)
        return context

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        async with self.door.listening(self.tls(self.profile)), super().running():
            yield self

    def url(self) -> str:
        return self.door.url

    def handshake(self) -> Handshake:
        """The newest one."""
        return self.door.handshakes[-1]


class OverTls(SecureRig):
    """Security profile 2."""

    profile = 2


class WithCertificate(SecureRig):
    """Security profile 3."""

    profile = 3
