"""Who is knocking: the identity in the path, the password in the header (OCPP-J 1.6 §3.1.1, §6.2.2)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from urllib.parse import unquote

SUBPROTOCOL = "ocpp1.6"


def identity_of(path: str) -> str | None:
    """The identity: the last part of the path, percent-decoded; None if there is none to read.

    Any parts may stand in front; a query and one closing slash are no part of it.
    """
    last = path.partition("?")[0].removesuffix("/").rpartition("/")[2]
    try:
        return unquote(last, errors="strict") or None
    except UnicodeDecodeError:
        return None


def admitted(identity: str, password: bytes, authorization: Sequence[str]) -> bool:
    """True if the Authorization headers are one basic authentication with this identity and password."""
    if len(authorization) != 1:
        return False
    scheme, _, credentials = authorization[0].partition(" ")
    if scheme.casefold() != "basic":
        return False
    try:
        given = base64.b64decode(credentials.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(given, identity.encode() + b":" + password)
