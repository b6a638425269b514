"""TLS for the link: shared contexts, and whether a certificate belongs to the host we asked for."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import ssl
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from chargepoint.errors import LinkError
from chargepoint.link_settings import TlsSettings

# Python's own list leaves out TLS_RSA_WITH_AES_*_GCM, which the security whitepaper requires of both sides;
# level 2 refuses RSA keys under 2048 bits and elliptic curves under 224.
_CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:kRSA+AESGCM:!aNULL:!eNULL"


def shared_context(settings: TlsSettings) -> ssl.SSLContext:
    """The one context of all stations with the same certificates and key (a context costs about 1 MB).

    Raises `LinkError`: tls_certificate for roots, client_certificate for an own certificate that cannot be
    used.
    """
    return _context(settings.ca_pem, settings.cert_pem, settings.key_pem)


def trust_anchor(tls: Any) -> str | None:
    """The fingerprint (SHA-256, lower-case hexadecimal) of the root that a connection was verified with.

    `tls` is the connection's SSLObject. None where Python does not tell.
    """
    inner: Any = getattr(tls, "_sslobj", None)  # there is no public way before Python 3.13
    try:
        der = ssl.PEM_cert_to_DER_cert(inner.get_verified_chain()[-1].public_bytes())
    except (AttributeError, IndexError, TypeError, ValueError):
        return None
    return hashlib.sha256(der).hexdigest()


def check_server_name(certificate: dict[str, Any], host: str, settings: TlsSettings) -> None:
    """Refuse a verified certificate that names another host (OCPP 1.6 security whitepaper, A00).

    `certificate` is what `ssl` calls getpeercert(). The whitepaper wants the host in the subject's common
    name, which Python never looks at; the alternative names count in either setting. Raises `LinkError`.
    """
    if not settings.verify_hostname:
        return
    names = list(_alternative_names(certificate))
    if settings.server_name == "cn_or_san":
        names += _common_names(certificate)
    if not any(_same_host(name, host) for name in names):
        written = ", ".join(dict.fromkeys(names)) or "no host at all"
        raise LinkError(
            "tls_certificate",
            f"the server's certificate is for {written}, not for {host}: use a name that it contains, "
            "or have it issued again",
        )


@lru_cache(maxsize=32)
def _context(ca_pem: str | None, cert_pem: str | None, key_pem: str | None) -> ssl.SSLContext:
    if ca_pem is not None and "-----BEGIN" not in ca_pem:
        raise LinkError(
            "tls_certificate",
            "no usable PEM certificate is installed to trust the central system by: check tls.ca",
        )
    try:
        context = ssl.create_default_context(cadata=ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise LinkError("tls_certificate", f"the CA holds no usable PEM certificate ({error})") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    # The name is checked by `check_server_name`, which knows common names.
    context.check_hostname = False
    # Chains without key identifiers or key usage are common among central systems, and so are pinned server
    # certificates that are no authority.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if cert_pem is not None:
        _load_own(context, cert_pem, key_pem)
    return context


def _load_own(context: ssl.SSLContext, cert_pem: str, key_pem: str | None) -> None:
    """Python takes an own certificate from a file only: one that is in memory, or gone at once."""
    text = f"{cert_pem}\n{key_pem or ''}".encode()
    try:
        with _private_file(text) as path:
            # An encrypted key would otherwise ask for its password on the terminal and block every station.
            context.load_cert_chain(path, password=lambda: b"")
    except (OSError, ssl.SSLError) as error:
        raise LinkError(
            "client_certificate",
            f"the client certificate and its key cannot be used ({error}): both must be PEM, "
            "belong together and have no password",
        ) from None


@contextmanager
def _private_file(content: bytes) -> Iterator[str]:
    if sys.platform == "linux":
        descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
    else:
        with tempfile.NamedTemporaryFile() as file:  # mode 0600
            file.write(content)
            file.flush()
            yield file.name


def _alternative_names(certificate: dict[str, Any]) -> Iterator[str]:
    for kind, value in certificate.get("subjectAltName", ()):
        if kind in ("DNS", "IP Address"):
            yield value


def _common_names(certificate: dict[str, Any]) -> Iterator[str]:
    for relative_name in certificate.get("subject", ()):
        for key, value in relative_name:
            if key == "commonName":
                yield value


def _same_host(name: str, host: str) -> bool:
    """True if `name` is `host`, or a wildcard for exactly its first label (RFC 6125 §6.4.3)."""
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(host)
    except ValueError:
        pass
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    if not name.startswith("*."):
        return name == host
    first, dot, rest = host.partition(".")
    return bool(first and dot) and "." in rest and rest == name[2:] and not _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
