"""The vault: the certificates and private keys of one station, in its store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from chargepoint.domain.outside import Certificate, CertificateError, HashAlgorithm, HashData, KeyStore
from chargepoint.domain.ports import Document, Store
from chargepoint.domain.time import StationTime
from chargepoint.ocpp16.security import provided
from chargepoint.ocpp16.security.provided import NOTHING_PROVIDED, OWN, ROOT, Provided, own_document, root_key

CENTRAL_SYSTEM, MANUFACTURER = "CentralSystemRootCertificate", "ManufacturerRootCertificate"

PENDING = "pending_key"
"""Under this kind the store keeps the one key that waits for its certificate."""

MONTH_S = 30 * 86_400.0

Undo = Callable[[], None]
"""Puts back what was there before a change."""


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class Identification:
    """What the station shows to prove who it is: its chain, leaf first, and the private key of the leaf."""

    certificate: Certificate
    chain_pem: str = field(repr=False)
    key_pem: str = field(repr=False)


class Vault:
    """The installed root certificates, the station's own ones and the key it wants one for.

    What the configuration provides is taken in when it is first asked for, and again when a file says
    something else than the last time: it then takes the place of what came from the old file, while what was
    deleted since stays deleted. `changed` is called when a new connection should be made because own() or the
    roots of the central system are others now. Whoever connects tells in `in_use` the fingerprint of the root
    that the present connection was verified with, and calls `proven` once it works.
    """

    __slots__ = (
        "_complain",
        "_key_store",
        "_own_files",
        "_root_files",
        "_store",
        "_time",
        "changed",
        "in_use",
    )

    def __init__(
        self,
        store: Store,
        key_store: KeyStore,
        time: StationTime,
        complain: Callable[[str], None],
        files: Callable[[], Provided] = lambda: NOTHING_PROVIDED,
    ) -> None:
        self._store = store
        self._key_store = key_store
        self._time = time
        self._complain = complain
        self._own_files: Callable[[], Provided] | None = files
        self._root_files: Callable[[], Provided] | None = files
        self.changed: Callable[[], None] = _nothing
        self.in_use: str | None = None

    # --- root certificates --------------------------------------------------------------------------

    def roots(self, use: str) -> list[Certificate]:
        """The installed root certificates of one use: `CENTRAL_SYSTEM` or `MANUFACTURER`.

        Those that were replaced, and are kept until a connection with their successor worked, come last.
        """
        return self.current(use) + [root for root, document in self._roots(use) if document.get("fallback")]

    def current(self, use: str) -> list[Certificate]:
        """The same without those that were replaced."""
        return [root for root, document in self._roots(use) if not document.get("fallback")]

    def _roots(self, use: str | None = None) -> Iterator[tuple[Certificate, Document]]:
        self._import_roots()
        for _, document in self._store.items(ROOT):
            if use in (None, document["use"]):
                for certificate in self._read(document["pem"])[:1]:
                    yield certificate, document

    def count(self) -> int:
        """How many roots there are, those apart that were replaced already."""
        return sum(not document.get("fallback") for _, document in self._roots())

    def install(self, use: str, root: Certificate, replacing: bool) -> Undo:
        """Add a root; `replacing` turns the others of its use into fallbacks (whitepaper, M05)."""
        self._import_roots()
        changes: dict[tuple[str, str], Document | None] = {}
        if replacing:
            for other, document in self._roots(use):
                changes[ROOT, root_key(use, other)] = {**document, "fallback": True}
        changes[ROOT, root_key(use, root)] = {"use": use, "pem": root.pem}
        return self._change(changes)

    def proven(self) -> None:
        """A connection works: what its root replaced is not needed any more."""
        replaced = [root for root, document in self._roots(CENTRAL_SYSTEM) if document.get("fallback")]
        if all(root.fingerprint != self.in_use for root in replaced):
            for root in replaced:
                self._store.delete(ROOT, root_key(CENTRAL_SYSTEM, root))

    def hash_data(self, root: Certificate, algorithm: HashAlgorithm) -> HashData:
        """Name a root; its issuer is itself, another root, or not at hand."""
        signs = self._key_store.signed_by
        candidates = [root, *(other for other, _ in self._roots())]
        issuer = next((other for other in candidates if signs(root, other)), None)
        return self._key_store.hash_data(root, issuer, algorithm)

    def named(self, name: HashData) -> list[tuple[str, Certificate]]:
        """The roots, each with its use, that hash data can mean.

        Also one that was named without its issuer, or after an issuer that is gone by now.
        """
        return [(document["use"], root) for root, document in self._roots() if self._means(name, root)]

    def _means(self, name: HashData, root: Certificate) -> bool:
        alone = self._key_store.hash_data(root, None, name.algorithm)
        return name in (alone, self.hash_data(root, name.algorithm))

    def names_own(self, name: HashData) -> bool:
        """Hash data means a certificate of the station itself."""
        for document in self._own():
            own, *between = self._read(document["chain"])
            issuers = [*between, *(root for root, _ in self._roots()), own]
            if any(
                name == self._key_store.hash_data(own, issuer, name.algorithm)
                for issuer in issuers
                if issuer is own or self._key_store.signed_by(own, issuer)
            ):
                return True
        return False

    def delete(self, roots: Iterable[tuple[str, Certificate]]) -> Undo:
        """Forget roots, each of the use it comes with."""
        self._import_roots()
        return self._change({(ROOT, root_key(use, root)): None for use, root in roots})

    # --- own certificates ---------------------------------------------------------------------------

    def own(self) -> Identification | None:
        """The newest certificate of this station's own that is valid now, with its key (A02)."""
        return next(iter(self.identifications()), None)

    def identifications(self) -> list[Identification]:
        """All that are valid now, the newest by the beginning of their validity first."""
        now = self._time.utc()
        found = [(self._identification(document), document["at"]) for document in self._own()]
        usable = [
            (one, at) for one, at in found if one.certificate.not_before <= now < one.certificate.not_after
        ]
        usable.sort(key=lambda one: (one[0].certificate.not_before, one[1]), reverse=True)
        return [one for one, _ in usable]

    def newest(self) -> Certificate | None:
        """The own certificate whose validity begins last, be it valid or not."""
        own = self._own()
        if not own:
            return None
        return max((self._identification(one).certificate for one in own), key=lambda one: one.not_before)

    def next_at(self) -> float | None:
        """When the next own certificate becomes valid; None: there is none to come."""
        now = self._time.utc()
        begins = (self._identification(document).certificate.not_before for document in self._own())
        return min((at for at in begins if at > now), default=None)

    def accept(self, chain: list[Certificate], key_pem: str) -> Undo:
        """Take the certificate for the pending key, which is none any more."""
        self._import_own()
        return self._change(
            {
                (OWN, chain[0].fingerprint): own_document(chain, key_pem, self._time.utc()),
                (PENDING, ""): None,
            }
        )

    def tidy(self) -> None:
        """Drop own certificates whose successor has been used for a month."""
        current = self.own()
        document = self._store.get(OWN, current.certificate.fingerprint) if current else None
        if current is None or document is None:
            return
        since = max(document["at"], current.certificate.not_before)
        if self._time.utc() - since < MONTH_S:
            return
        for document in self._own():
            other = self._identification(document).certificate
            if other != current.certificate and other.not_before <= current.certificate.not_before:
                self._store.delete(OWN, other.fingerprint)

    def _own(self) -> list[Document]:
        self._import_own()
        return [document for _, document in self._store.items(OWN) if self._read(document["chain"])]

    def _identification(self, document: Document) -> Identification:
        return Identification(self._read(document["chain"])[0], document["chain"], document["key"])

    # --- the key that waits for its certificate -----------------------------------------------------

    @property
    def pending(self) -> str | None:
        """The private key, PEM, that a certificate was asked for."""
        document = self._store.get(PENDING, "")
        return None if document is None else str(document["key"])

    @property
    def promised(self) -> bool:
        """The central system said that it will send that certificate."""
        document = self._store.get(PENDING, "")
        return document is not None and document["promised"] is True

    def expect(self, key_pem: str, promised: bool = False) -> None:
        """A certificate is asked for; an earlier key is forgotten."""
        self._store.put(PENDING, "", {"key": key_pem, "promised": promised})

    def expect_nothing(self) -> None:
        """No certificate will come."""
        self._store.delete(PENDING, "")

    # --- the files of the configuration -------------------------------------------------------------

    def _import_roots(self) -> None:
        files, self._root_files = self._root_files, None
        if files is not None:
            given, take_in = files(), partial(provided.take_in_roots, self._store, self._key_store)
            take_in(CENTRAL_SYSTEM, given.central_system, "csms.tls.ca", self._complain)
            take_in(MANUFACTURER, given.manufacturer, "csms.tls.manufacturer_ca", self._complain)

    def _import_own(self) -> None:
        files, self._own_files = self._own_files, None
        if files is not None:
            provided.take_in_own(self._store, self._key_store, files(), self._time.utc(), self._complain)

    # --- the store ----------------------------------------------------------------------------------

    def _read(self, pem: str) -> list[Certificate]:
        """Nothing for a document that was damaged."""
        try:
            return self._key_store.chain(pem)
        except CertificateError:
            return []

    def _change(self, changes: Mapping[tuple[str, str], Document | None]) -> Undo:
        before = {(kind, key): self._store.get(kind, key) for kind, key in changes}
        self._write(changes)
        return lambda: self._write(before)

    def _write(self, changes: Mapping[tuple[str, str], Document | None]) -> None:
        for (kind, key), document in changes.items():
            if document is None:
                self._store.delete(kind, key)
            else:
                self._store.put(kind, key, document)
