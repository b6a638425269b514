"""A plan from a fleet's file, or from the flags of the one-line form."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chargepoint.config.problems import explained_flags
from chargepoint.config.source import Place
from chargepoint.durations import seconds
from chargepoint.errors import ConfigError
from chargepoint.fleet.plan.connection import FleetCsmsConfig, keys_in
from chargepoint.fleet.plan.elsewhere import FleetContext
from chargepoint.fleet.plan.file import FleetConfig, member_config
from chargepoint.fleet.plan.group import GroupConfig
from chargepoint.fleet.plan.identities import Numbering
from chargepoint.fleet.plan.plan import Group, Plan
from chargepoint.fleet.plan.pools import tag_pool, tags_in, vehicles_from

__all__ = ["plan_from", "plan_of_flags"]

_FLAGS: Mapping[Place, str] = {
    ("csms", "url"): "--csms",
    ("ramp",): "--ramp",
    ("seed",): "--seed",
    ("start",): "--start",
    ("storage",): "--storage",
    ("groups", 0, "count"): "--count",
    ("groups", 0, "identities"): "--identities",
    ("groups", 0, "template"): "--template",
    ("groups", 0, "behaviour"): "--behaviour",
    ("groups", 0, "time_zone"): "--time-zone",
}


def plan_from(config: FleetConfig, *, url: str | None = None, seed: int | None = None) -> Plan:
    """The fleet of a file, with the flags that go before it: `url` for all groups.

    Without a seed anywhere it is drawn. Raises `ConfigError`.
    """
    if seed is None:
        seed = config.seed if config.seed is not None else int.from_bytes(os.urandom(4), "big")
    return Plan(
        groups=tuple(_group(group, config, url) for group in config.groups),
        seed=seed,
        ramp_per_s=config.ramp_per_s,
        events=tuple((seconds(event.at), event.do) for event in config.events),
        starts_at=config.starts_at,
    )


def plan_of_flags(
    *,
    url: str | None = None,
    count: int = 1,
    template: str | None = None,
    behaviour: str | None = None,
    ramp: str | float | None = None,
    seed: int | None = None,
    identities: str | None = None,
    time_zone: str | None = None,
    storage: Path | None = None,
) -> Plan:
    """A fleet of one group called `fleet`; what is None has the default of the file.

    Raises `ConfigError` naming the flags at fault.
    """
    group = {
        "name": "fleet",
        "count": count,
        "template": template,
        "behaviour": behaviour,
        "identities": identities,
        "time_zone": time_zone,
    }
    whole: dict[str, Any] = {"ramp": ramp, "seed": seed, "storage": storage}
    whole = {key: value for key, value in whole.items() if value is not None}
    whole["csms"] = {"url": url}
    whole["groups"] = ({key: value for key, value in group.items() if value is not None},)
    context = FleetContext(look_for_files=True)
    try:
        config = FleetConfig.model_validate(whole, context=context)
    except ValidationError as error:
        raise ConfigError([*explained_flags(FleetConfig, error, _FLAGS), *context.elsewhere]) from None
    return plan_from(config)


def _group(group: GroupConfig, fleet: FleetConfig, url: str | None) -> Group:
    csms = group.csms or fleet.csms
    if url is not None:
        csms = _elsewhere(csms, url)
    station = member_config(group, csms)
    return Group(
        name=group.name,
        count=group.count,
        identities=group.identities,
        config=station.model_copy(update={"storage": fleet.storage}),
        behaviour=group.behaviour,
        vehicles=vehicles_from(group.vehicles)[0],
        id_tags=_id_tags(group.id_tags),
        time_zone=group.time_zone,
        urls=csms.urls,
        url_policy=csms.url_policy,
        passwords=None if csms.authorization_key is None else csms.authorization_key.get_secret_value(),
        keys=None if csms.key_file is None else keys_in(csms.key_file),
        first_number=group.first_number,
        template=group.template,
    )


def _elsewhere(csms: FleetCsmsConfig, url: str) -> FleetCsmsConfig:
    """The same keys and certificates at another URL."""
    try:
        return FleetCsmsConfig.model_validate(dict(csms) | {"url": url})
    except ValidationError as error:
        flags: dict[Place, str] = {("url",): "--csms", ("security_profile",): "--csms"}
        raise ConfigError(explained_flags(FleetCsmsConfig, error, flags)) from None


def _id_tags(written: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if not isinstance(written, str):
        return written or ()
    pool = tag_pool(written)
    return tuple(pool) if isinstance(pool, Numbering) else tags_in(Path(written))
