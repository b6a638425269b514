"""TLS of the embedded central system: its certificate, and whether stations must show one (A00)."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Everything a station of the whitepaper may offer, also without elliptic curves.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:kRSA+AESGCM:!aNULL:!eNULL"


@dataclass(frozen=True, slots=True)
class ServerTls:
    """PEM files: the server's chain, its key (None: in the same file), and the roots of client certificates.

    With `client_ca` every station must show a certificate that leads to it; `check_common_name` asks in
    addition that its common name is the station's identity. `ciphers` is a list for TLS 1.2 as OpenSSL
    writes it.
    """

    certificate: Path
    key: Path | None = None
    client_ca: Path | None = None
    check_common_name: bool = False
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
    ciphers: str = _CIPHERS


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """The context to listen with; raises `ValueError` for files that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = tls.minimum
    context.maximum_version = tls.maximum
    context.set_ciphers(tls.ciphers)
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: b"")
    except OSError as error:  # ssl.SSLError too
        raise ValueError(f"the certificate {tls.certificate} and its key cannot be used: {error}") from None
    if tls.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(tls.client_ca)
        except OSError as error:
            raise ValueError(f"{tls.client_ca} holds no certificates that can be used: {error}") from None
    return context


def common_name(certificate: Mapping[str, Any] | None) -> str | None:
    """The subject's common name of what `getpeercert` told."""
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return None
