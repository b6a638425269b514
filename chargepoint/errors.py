"""Errors by what the caller does about them."""

from __future__ import annotations


class ConfigError(Exception):
    """The user wrote something that cannot be used; `problems` are ready to print, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LinkError(Exception):
    """No connection to the central system; back off and try again.

    `kind` is one of refused, name, timeout, unauthorized, not_found, subprotocol, tls_version, tls_cipher,
    tls_certificate (the server's), client_certificate (ours), wss_needed, not_websocket, redirect,
    server_error, closed; and where this machine itself is short of something, open_files, local_address.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class StoreError(Exception):
    """What must be remembered cannot be written or read; the message names file, cause and remedy."""
