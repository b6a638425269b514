"""Why a file did not get through: sentences with a remedy for what operating system and servers say."""

from __future__ import annotations

import errno
import socket
import ssl

from chargepoint.domain.outside import TransferFailed

__all__ = ["cut", "from_network", "timed_out"]

_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN}


def from_network(error: BaseException, where: str) -> TransferFailed:
    """What an exception of name resolution, TCP or TLS means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TransferFailed(
            "refused",
            f"the certificate of {where} is not trusted ({error.verify_message.rstrip('.')}): install the "
            "root certificate of its issuer (csms.tls.ca), or have it issued for this name",
        )
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        reason = (error.reason or "no reason given").lower().replace("_", " ")
        return TransferFailed(
            "refused", f"TLS with {where} failed ({reason}): it must offer TLS 1.2 or newer on this port"
        )
    if isinstance(error, socket.gaierror | UnicodeError):
        host = where.rpartition(":")[0]
        return TransferFailed(
            "refused", f"the name {host} is not known: check its spelling and the DNS server"
        )
    if isinstance(error, TimeoutError):
        return timed_out(where)
    if isinstance(error, ConnectionRefusedError):
        return TransferFailed("refused", f"nothing listens at {where}: check host and port of the server")
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return TransferFailed("refused", f"there is no route to {where}: check the network of this machine")
    return cut(where)


def timed_out(where: str) -> TransferFailed:
    """Nothing moved for too long."""
    return TransferFailed(
        "timeout", f"{where} did not answer in time: check the address, the server and the firewalls between"
    )


def cut(where: str) -> TransferFailed:
    """The connection ended before the file did."""
    return TransferFailed(
        "broken", f"the connection to {where} was cut before the file was through: try again"
    )
