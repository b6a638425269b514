"""What stations made alike share: one configuration, checked and worked out once."""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from chargepoint.config import DriverConfig, StationConfig
from chargepoint.config.keys import keys_of
from chargepoint.domain.site import SiteSettings
from chargepoint.errors import ConfigError
from chargepoint.link import (
    Backoff,
    LinkSettings,
    TlsSettings,
    connection_url,
    decode_authorization_key,
)
from chargepoint.link_settings import over_tls
from chargepoint.observer import StationObserver
from chargepoint.ocpp16.configuration import FactoryConfiguration
from chargepoint.ocpp16.security.connection import ConnectionSecurity, Credentials
from chargepoint.ocpp16.security.connection import Factory as FactorySecurity
from chargepoint.ocpp16.security.provided import NOTHING_PROVIDED, Provided
from chargepoint.ocpp16.security.vault import CENTRAL_SYSTEM, Vault
from chargepoint.site import settings_of
from hal.connector_spec import ConnectorSpec

Listener = Callable[[Any, str, dict[str, Any]], None]
"""Takes a station and what its watchers take, but for frames."""

SERIAL_NUMBERS = ("chargePointSerialNumber", "chargeBoxSerialNumber", "meterSerialNumber", "iccid", "imsi")
_DIGITS = re.compile(r"([0-9]+)([^0-9]*)$")


class StationType:
    """What stations made alike share: one configuration, checked and worked out once.

    `listener` hears of all of them at once what would cost a watcher for each; frames go to watchers only.
    `sources` are local addresses to connect from, by identity; none: whichever the system takes.
    """

    __slots__ = (
        "_files",
        "_made",
        "backoff",
        "behaviour",
        "boot_payload",
        "compatibility",
        "config",
        "factory",
        "firmware",
        "infos",
        "keeps_log",
        "listener",
        "max_frame_bytes",
        "observer",
        "proxy",
        "quirks",
        "readers",
        "security",
        "shared_reader",
        "site",
        "sources",
        "specs",
        "tls",
    )

    def __init__(
        self,
        config: StationConfig,
        *,
        keeps_log: bool = False,
        listener: Listener | None = None,
        observer: StationObserver | None = None,
        max_frame_bytes: int = 16 * 2**20,
        sources: Sequence[str] = (),
    ) -> None:
        self.config = config
        # Each station asks for these, and what pydantic makes takes ten times as long to ask.
        self.behaviour = config.behaviour
        self.compatibility = config.compatibility
        self.firmware = config.firmware
        self.proxy = config.csms.proxy
        self.readers = _readers(config)
        self.keeps_log = keeps_log  # the newest events and frames of each station, for its diagnostics
        self.listener = listener
        self.observer = observer  # counts what all stations of this type do, over their restarts
        self.max_frame_bytes = max_frame_bytes
        self.sources = sources
        self.infos = tuple(connector.info for connector in config.connectors)
        self.specs = tuple(
            ConnectorSpec(connector.info, connector.evse.settings, connector.meter.settings)
            for connector in config.connectors
        )
        self._made: tuple[tuple[Any, ...], LinkSettings] | None = None
        self.factory = FactoryConfiguration(
            config.ocpp, self.infos, keys_of(config.extra_keys), config.missing_keys
        )
        self.quirks = dict(config.quirks.switched_on)
        self.boot_payload = _boot_payload(config)
        self.site: SiteSettings | None = None
        if config.site is not None:
            rotations: Any = self.factory.typed["ConnectorPhaseRotation"]
            self.site = settings_of(config.site, self.infos, rotations)
        own_readers = sum(connector_id is not None for _, connector_id in self.readers)
        self.shared_reader = len(config.connectors) - own_readers > 1
        reconnect = config.csms.reconnect
        self.backoff = Backoff(reconnect.min_s, reconnect.jitter_s, reconnect.max_s)
        tls = config.csms.tls
        self._files = (tls.ca, tls.manufacturer_ca, tls.cert, tls.key)
        self.tls = TlsSettings(
            verify_hostname=tls.verify_hostname, server_name=config.compatibility.server_name
        )
        key = config.csms.authorization_key
        self.security = FactorySecurity(
            Credentials(config.csms.security_profile, None if key is None else key.get_secret_value()),
            config.compatibility.authorization_key_encoding,
            reconnect.profile_fallback_s,
        )

    def with_key(self, key: str) -> StationType:
        """The same type with a password of its own; everything else stays shared."""
        own = copy(self)
        own.security = replace(self.security, credentials=Credentials(self.security.credentials.profile, key))
        return own

    def link_settings(
        self, identity: str, url: str, credentials: Credentials, tls: TlsSettings | None = None
    ) -> LinkSettings:
        """Where and how a station of this type connects. Raises `ConfigError`."""
        asked = (identity, url, credentials, tls)
        if self._made is None or self._made[0] != asked:  # a station that starts asks twice
            self._made = asked, self._make_link_settings(*asked)
        return self._made[1]

    def _make_link_settings(
        self, identity: str, url: str, credentials: Credentials, tls: TlsSettings | None
    ) -> LinkSettings:
        endpoint = over_tls(url) if credentials.profile >= 2 else url
        return LinkSettings(
            url=connection_url(endpoint, identity),
            identity=identity,
            security_profile=credentials.profile,
            password=self._password(credentials.key),
            tls=tls or self.tls,
            proxy=self.proxy,
            source=self.sources[zlib.crc32(identity.encode()) % len(self.sources)] if self.sources else None,
        )

    def settings_in_force(
        self, identity: str, url: str, security: ConnectionSecurity, vault: Vault
    ) -> LinkSettings:
        """With what the store says about security: it wins over the configuration."""
        credentials = security.credentials
        if credentials.profile < 2 and not url.lower().startswith("wss:"):
            return self.link_settings(identity, url, credentials)
        roots = "".join(root.pem for root in vault.roots(CENTRAL_SYSTEM))
        own = security.identification()
        tls = replace(
            self.tls,
            # Roots that were configured and are gone or unreadable do not mean those of the system instead.
            ca_pem=sys.intern(roots) if roots or self.config.csms.tls.ca else None,
            cert_pem=None if own is None else own.chain_pem,
            key_pem=None if own is None else own.key_pem,
        )
        return self.link_settings(identity, url, credentials, tls)

    def _password(self, key: str | None) -> bytes | None:
        if key is None:
            return None
        try:
            return decode_authorization_key(key, self.security.encoding)
        except ConfigError:
            if key == self.security.credentials.key:
                raise
            return key.encode()  # stored under another encoding than is configured now

    def provided(self) -> Provided:
        """What the PEM files of `csms.tls` say now."""
        return Provided(*map(_text, self._files)) if any(self._files) else NOTHING_PROVIDED


def _readers(config: StationConfig) -> tuple[tuple[DriverConfig, int | None], ...]:
    """Card readers, each with the connector it belongs to, or None: it serves all."""
    own = [(each.reader, n) for n, each in enumerate(config.connectors, 1) if each.reader is not None]
    return (*own, *((reader, None) for reader in config.readers[:1]))


def _text(path: Path | None) -> str | None:
    try:
        return "" if path is None else path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None


def numbered(plate: dict[str, str], number: int) -> dict[str, str]:
    """The nameplate of the station so many after the first of its kind: its serial numbers are counted up."""
    if not number or plate.keys().isdisjoint(SERIAL_NUMBERS):
        return plate
    return {name: _counted(text, number) if name in SERIAL_NUMBERS else text for name, text in plate.items()}


def _counted(text: str, number: int) -> str:
    """The last digits in it, raised by `number`; as many digits as before."""

    def raised(found: re.Match[str]) -> str:
        digits = found[1]
        return str((int(digits) + number) % 10 ** len(digits)).zfill(len(digits)) + found[2]

    return _DIGITS.sub(raised, text)


def _boot_payload(config: StationConfig) -> dict[str, str]:
    """BootNotification.req (OCPP 1.6 §6.3)."""
    plate = config.station
    fields = {
        "chargePointVendor": plate.vendor,
        "chargePointModel": plate.model,
        "chargePointSerialNumber": plate.serial_number,
        "chargeBoxSerialNumber": plate.charge_box_serial_number,
        "firmwareVersion": plate.firmware_version,
        "iccid": plate.iccid,
        "imsi": plate.imsi,
        "meterType": plate.meter_type,
        "meterSerialNumber": plate.meter_serial_number,
    }
    return {name: value for name, value in fields.items() if value}
