"""TLS for the link: shared contexts, and whether a certificate belongs to the host we asked for."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from chargepoint.errors import LinkError
from chargepoint.link_settings import TlsSettings

# Python's own list leaves out TLS_RSA_WITH_AES_*_GCM, which the security whitepaper requires of both sides;
# level 2 refuses RSA keys under 2048 bits and elliptic curves under 224.
_CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:kRSA+AESGCM:!aNULL:!eNULL"


def shared_context(settings: TlsSettings) -> ssl.SSLContext:
    """The one context of all stations with the same files (a context costs about 1 MB).

    A file that was replaced gives a new context. Raises `LinkError` of kind tls_certificate for a file that
    cannot be used.
    """
    stamps = tuple(_stamp(path) for path in (settings.ca, settings.cert, settings.key))
    return _context(settings.ca, settings.cert, settings.key, stamps)


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


def _stamp(path: str | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        status = os.stat(path)
    except OSError as error:
        raise LinkError(
            "tls_certificate", f"{path} cannot be read ({error.strerror}): check the path"
        ) from None
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=32)
def _context(ca: str | None, cert: str | None, key: str | None, _stamps: object) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise LinkError("tls_certificate", f"{ca} holds no usable PEM certificate ({error})") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    # The name is checked by `check_server_name`, which knows common names.
    context.check_hostname = False
    # Chains without key identifiers or key usage are common among central systems, and so are pinned server
    # certificates that are no authority.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if cert is not None:
        try:
            # An encrypted key would otherwise ask for its password on the terminal and block every station.
            context.load_cert_chain(cert, key, password=lambda: b"")
        except (OSError, ssl.SSLError) as error:
            raise LinkError(
                "tls_certificate",
                f"the client certificate {cert} and its key cannot be used ({error}): both must be PEM, "
                "belong together and have no password",
            ) from None
    return context


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
