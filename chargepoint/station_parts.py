"""Opens the parts that a station's configuration names: hardware, transfers, installer."""

from __future__ import annotations

from collections.abc import Callable
from ssl import SSLContext

from chargepoint.certificates import KEY_STORE
from chargepoint.config import DriverConfig
from chargepoint.domain.outside import FirmwareOutcome, LogSource, Outside
from chargepoint.domain.ports import Store
from chargepoint.domain.transaction import KIND as TRANSACTION
from chargepoint.installer import CommandInstaller, SimulatedInstaller
from chargepoint.site import Host, Site
from chargepoint.station_type import StationType
from chargepoint.store import SUFFIX, SqliteStore, file_name
from chargepoint.transfer import RealTransfers, SimulatedTransfers
from hal import registry
from hal.api import Clock, Evse, Fault, TagReader
from hal.connector_spec import ConnectorSpec
from hal.site import SiteSpec


def open_evses(type: StationType, store: Store, clock: Clock) -> tuple[Evse, ...]:
    """The connectors in order, their registers where `store` saw them last."""
    documents = tuple(store.items(TRANSACTION))
    if not documents:
        return tuple([registry.open_evse(spec, clock) for spec in type.specs])
    registers: dict[int, tuple[float, float, float | None]] = {}
    for _, document in documents:
        wh = max(document[name] or 0.0 for name in ("meter_start_wh", "meter_stop_wh", "last_wh"))
        if wh >= registers.get(document["connector"], (0.0,))[0]:
            # What a meter counted while nobody charged is nobody's: no need to doubt it.
            at = document["last_at"] if document["stopped_at"] is None else None
            registers[document["connector"]] = wh, document.get("last_offset_wh", 0.0), at
    return tuple(
        registry.open_evse(
            ConnectorSpec(spec.info, spec.evse, spec.meter, *registers.get(n, (0.0, 0.0, None))), clock
        )
        for n, spec in enumerate(type.specs, 1)
    )


def open_readers(
    type: StationType,
    clock: Clock,
    tag_presented: Callable[[str, int | None], None],
    changed: Callable[[int | None, Fault | None], None],
) -> tuple[TagReader, ...]:
    """Card readers by configuration; each tells which connector it belongs to, or None: it serves all."""

    def opened(config: DriverConfig, connector_id: int | None) -> TagReader:
        reader = registry.open_reader(config.settings, clock)
        reader.on_tag = lambda id_tag: tag_presented(id_tag, connector_id)
        reader.on_fault = lambda fault: changed(connector_id, fault)
        return reader

    return tuple([opened(config, connector_id) for config, connector_id in type.readers])


def open_site(type: StationType, evses: tuple[Evse, ...], clock: Clock, host: Host) -> Site | None:
    """The building's meter and limit, if the station knows of any."""
    settings = type.site
    if settings is None:
        return None
    config = type.config.site
    assert config is not None
    spec = SiteSpec(config.meter.settings, settings.phases, settings.poll_s, evses, settings.lines)
    return Site(settings, registry.open_site_meter(spec, clock), clock, host)


def outside_of(
    type: StationType,
    identity: str,
    store: Store,
    clock: Clock,
    log: LogSource,
    trust: Callable[[], SSLContext],
) -> Outside:
    """What the station has besides hardware and link; `trust` is whom a transfer trusts."""
    return Outside(
        _transfers(type, identity, store, clock, trust),
        _installer(type, clock),
        KEY_STORE,
        log,
        FirmwareOutcome(),
    )


def _transfers(
    type: StationType, identity: str, store: Store, clock: Clock, trust: Callable[[], SSLContext]
) -> RealTransfers | SimulatedTransfers:
    if type.behaviour.transfers == "simulated":
        return SimulatedTransfers(clock)
    folder = None
    if isinstance(store, SqliteStore):
        folder = store.path.parent / "downloads" / file_name(identity).removesuffix(SUFFIX)
    return RealTransfers(clock, folder, trust, type.proxy)


def _installer(type: StationType, clock: Clock) -> CommandInstaller | SimulatedInstaller:
    firmware = type.firmware
    if firmware.installer == "simulated":
        return SimulatedInstaller(clock, blocks_charging=firmware.blocks_charging)
    return CommandInstaller(clock, firmware.command, firmware.timeout_s, firmware.blocks_charging)
