"""The central system of a fleet: one URL or several, and what each station proves who it is with."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from chargepoint.config.connection import (
    ABOUT_PROXIES,
    CsmsConfig,
    Proxy,
    ReconnectConfig,
    TlsConfig,
    check_endpoint,
    with_certificate,
)
from chargepoint.config.section import Expected, Section, mistake
from chargepoint.errors import ConfigError
from chargepoint.fleet.plan.elsewhere import in_other_file, lines_of, looking

__all__ = ["FleetCsmsConfig", "keys_in"]


class FleetCsmsConfig(Section):
    """Where the central system is and how the stations reach it."""

    url: Annotated[
        str | tuple[str, ...] | None, Expected("ws://host/path, wss://host/path, a list of such, or null")
    ] = Field(
        default=None,
        description="Where the central system is, without the identity; null: an embedded one is started.",
        examples=["wss://csms.example/ocpp", ["wss://a.example/ocpp", "wss://b.example/ocpp"]],
    )
    url_policy: Literal["round_robin", "by_station", "in_order"] = Field(
        default="round_robin",
        description="Which of several URLs a station takes. round_robin: in turn; by_station: by a draw of "
        "its identity; in_order: the first, and the next one whenever a connection fails.",
    )
    security_profile: int = Field(
        default=0,
        ge=0,
        le=3,
        validate_default=True,
        description="0: none, 1: password, 2: password over TLS, 3: client certificate.",
    )
    authorization_key: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="The password of security profiles 1 and 2: one for all, or with {identity} or {n} "
        "(also {n:05d}) for what is the station's own.",
        examples=["secret-of-{identity}"],
    )
    key_file: Path | None = Field(
        default=None,
        validate_default=True,
        description="A CSV file with a line `identity,key` for each station, instead of authorization_key.",
    )
    tls: TlsConfig = Field(
        default=TlsConfig(),
        validate_default=True,
        description="Certificates for wss://, as in a station's configuration; the stations share them.",
    )
    reconnect: ReconnectConfig | None = Field(
        default=None, description="Waiting before connecting again; null: as the template says."
    )
    proxy: Proxy = Field(default="auto", repr=False, description=ABOUT_PROXIES)

    @property
    def urls(self) -> tuple[str, ...]:
        """All there are; empty for the embedded central system."""
        return _urls(self.url)

    @field_validator("url")
    @classmethod
    def _are_endpoints(cls, url: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if url == ():
            raise mistake("must not be empty; write a URL, or null for the embedded central system")
        for one in _urls(url):
            check_endpoint(one)
        return url

    @field_validator("security_profile")
    @classmethod
    def _has_tls(cls, profile: int, info: ValidationInfo) -> int:
        if profile < 2 or "url" not in info.data:
            return profile
        urls = _urls(info.data["url"])
        if not urls:
            raise mistake("needs a central system that speaks TLS; set url, or write 0 or 1")
        if not all(url.lower().startswith("wss://") for url in urls):
            raise mistake("needs a url that begins with wss://; change the one or the other")
        return profile

    @field_validator("key_file")
    @classmethod
    def _is_the_one_way(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        key = info.data.get("authorization_key")
        if path is not None and key is not None:
            raise mistake("is given beside authorization_key; keep one of them")
        known = "authorization_key" in info.data
        if path is None and key is None and known and info.data.get("security_profile") in (1, 2):
            raise mistake("or authorization_key is needed by this security_profile; write one of the two")
        if path is not None and looking(info.context):
            try:
                keys_in(path)
            except ConfigError as error:
                raise in_other_file(error, info.context) from None
        return path

    _certificate = field_validator("tls")(with_certificate)

    def for_station(self, like: CsmsConfig, authorization_key: str | None) -> dict[str, Any]:
        """The keys of a station's `csms`, with those that its template decides."""
        return {
            "url": self.urls[0] if self.urls else None,
            "security_profile": self.security_profile,
            "authorization_key": None if authorization_key is None else SecretStr(authorization_key),
            "tls": self.tls,
            "reconnect": self.reconnect or like.reconnect,
            "proxy": self.proxy,
        }


def keys_in(path: Path) -> dict[str, str]:
    """The key of each identity in a CSV file; its first line may be a heading.

    Raises `ConfigError` with every line that is wrong. No message repeats a key.
    """
    found: dict[str, str] = {}
    problems = []
    for line, row in enumerate(csv.reader(lines_of(path)), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (line == 1 and cells[0].lower() == "identity"):
            continue
        if len(cells) != 2 or not all(cells):
            problems.append(f"{path}:{line}: is not `identity,key`; write both, with one comma between")
        elif cells[0] in found:
            problems.append(f"{path}:{line}: {cells[0]} has a key already; keep one")
        else:
            found[cells[0]] = cells[1]
    if problems:
        raise ConfigError(problems)
    return found


def _urls(url: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if url is None else (url,) if isinstance(url, str) else url
