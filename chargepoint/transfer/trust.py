"""Whom a transfer over TLS trusts."""

from __future__ import annotations

import ssl
from functools import lru_cache

__all__ = ["trusting"]


@lru_cache(maxsize=8)
def trusting(roots: tuple[str, ...]) -> ssl.SSLContext:
    """A context that believes the operating system's authorities and `roots`, PEM texts; names are checked.

    File servers are often the company's own and certified by the authority of its central system. Shared,
    because each one costs about 1 MB. Raises `ValueError` or `ssl.SSLError` for a text that cannot be used.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # As for the link: chains without key identifiers are common, and so are pinned server certificates.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if roots:
        context.load_verify_locations(cadata="\n".join(roots))
    return context
