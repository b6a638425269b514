"""How a station really connects: what the central system has set in its store wins over the configuration."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from chargepoint.certificates import KEY_STORE
from chargepoint.config import StationConfig
from chargepoint.domain.ports import Document
from chargepoint.domain.time import StationTime
from chargepoint.link_settings import LinkSettings
from chargepoint.ocpp16.security.connection import KIND, ConnectionSecurity
from chargepoint.ocpp16.security.events import SecurityEvents
from chargepoint.ocpp16.security.provided import IMPORTED, OWN, ROOT
from chargepoint.ocpp16.security.vault import Vault
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore, SqliteStore
from hal.clock import SteppedClock

__all__ = ["in_force"]


@dataclass(slots=True)
class _Onlooker:
    """Stands where a station would; it has no link, and nothing to tell."""

    time: StationTime
    vault: Vault
    online: bool = False

    @property
    def security_events(self) -> SecurityEvents:
        """Asked for only by what changes something."""
        raise AssertionError("nothing is changed here")

    def complain(self, message: str) -> None:
        """The station itself will say it."""


def in_force(config: StationConfig, url: str, identity: str, store: Path) -> tuple[LinkSettings, str]:
    """The settings of the next link; and in words what of them the store changes, empty if nothing.

    Raises `StoreError` if the store cannot be read, `ConfigError` for a bad URL.
    """
    kind = StationType(config)
    settings, on_trial = _settings(kind, url, identity, SqliteStore.survey(store))
    configured, _ = _settings(kind, url, identity, {})
    changed = {
        f"security profile {settings.security_profile}": settings.security_profile
        != configured.security_profile,
        "another AuthorizationKey": settings.password != configured.password,
        "other root certificates": settings.tls.ca_pem != configured.tls.ca_pem,
        "another certificate of its own": settings.tls.cert_pem != configured.tls.cert_pem,
    }
    words = ", ".join(what for what, differs in changed.items() if differs)
    return settings, words + (" (on trial)" if words and on_trial else "")


def _settings(
    kind: StationType, url: str, identity: str, documents: dict[str, dict[str, Document]]
) -> tuple[LinkSettings, bool]:
    copy = MemoryStore()  # taking in the files of the configuration writes
    for name in (KIND, ROOT, OWN, IMPORTED):
        for key, document in documents.get(name, {}).items():
            copy.put(name, key, document)
    now = StationTime(SteppedClock(time.time()))
    vault = Vault(copy, KEY_STORE, now, lambda message: None, kind.provided)
    security = ConnectionSecurity(_Onlooker(now, vault), identity, copy, kind.security)
    return kind.settings_in_force(identity, url, security, vault), security.on_trial
