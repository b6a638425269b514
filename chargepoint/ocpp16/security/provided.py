"""What the configuration brings along: the certificate files a station leaves the factory with.

A file is taken in when it says something else than the last time. It then takes the place of what came from
the old one, while what was deleted since stays deleted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chargepoint.domain.outside import Certificate, CertificateError, KeyStore
from chargepoint.domain.ports import Document, Store

ROOT, OWN, IMPORTED = "root_certificate", "own_certificate", "imported_certificates"
"""Kinds in the store: roots by use and fingerprint, own chains with their keys by fingerprint, and which
files were taken in last."""


@dataclass(frozen=True, slots=True)
class Provided:
    """The texts of the PEM files that the configuration names: "" for none, None for one that cannot be read.

    A private key may lie in the same file as its chain.
    """

    central_system: str | None = ""
    manufacturer: str | None = ""
    own_chain: str | None = ""
    own_key: str | None = field(default="", repr=False)


NOTHING_PROVIDED = Provided()


def root_key(use: str, root: Certificate) -> str:
    """Under which key the store keeps a root."""
    return f"{use} {root.fingerprint}"


def own_document(chain: Sequence[Certificate], key_pem: str, at: float) -> Document:
    """What the store keeps of a certificate of the station's own that came at a moment."""
    return {"chain": "".join(certificate.pem for certificate in chain), "key": key_pem, "at": at}


def take_in_roots(
    store: Store, key_store: KeyStore, use: str, text: str | None, name: str, complain: Callable[[str], None]
) -> None:
    """Keep the roots of a file for one use; `name` is how the configuration calls it."""
    if text is None:
        complain(f"{name} cannot be read: what it said before stays installed")
        return
    digest = _news(store, use, text)
    if digest is None:
        return
    try:
        found = {root_key(use, root): root for root in key_store.chain(text)} if text else {}
    except CertificateError as error:
        complain(f"{name} holds no certificates that can be used: {error}")
        return
    for key, document in store.items(ROOT):
        if document.get("file") and document["use"] == use and key not in found:
            store.delete(ROOT, key)
    for key, root in found.items():
        if store.get(ROOT, key) is None:
            store.put(ROOT, key, {"use": use, "pem": root.pem, "file": True})
    store.put(IMPORTED, use, {"digest": digest})


def take_in_own(
    store: Store, key_store: KeyStore, files: Provided, now: float, complain: Callable[[str], None]
) -> None:
    """Keep the station's own certificate and its key."""
    if files.own_chain is None or files.own_key is None:
        complain("csms.tls.cert or csms.tls.key cannot be read: what it said before stays in use")
        return
    key_pem = files.own_key or files.own_chain
    digest = _news(store, OWN, files.own_chain and files.own_chain + key_pem)
    if digest is None:
        return
    try:
        chain = key_store.chain(files.own_chain) if files.own_chain else []
    except CertificateError as error:
        complain(f"csms.tls.cert holds no certificate that can be used: {error}")
        return
    if chain and not key_store.belongs(chain[0], key_pem):
        complain("csms.tls.key is not the private key of csms.tls.cert, or has a password")
        return
    for key, document in store.items(OWN):
        if document.get("file"):
            store.delete(OWN, key)
    if chain:
        store.put(OWN, chain[0].fingerprint, {**own_document(chain, key_pem, now), "file": True})
    store.put(IMPORTED, OWN, {"digest": digest})


def _news(store: Store, what: str, text: str) -> str | None:
    """What stands for the content of a file, if it is another than the last time."""
    digest = hashlib.sha256(text.encode()).hexdigest() if text else ""
    last = store.get(IMPORTED, what)
    return None if digest == (last["digest"] if last else "") else digest
