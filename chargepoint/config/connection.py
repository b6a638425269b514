"""The central system in a configuration: where it is, how it is trusted and how often it is tried."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from chargepoint.config.section import Context, Expected, Section, mistake, mistakes

__all__ = [
    "ABOUT_PROXIES",
    "CsmsConfig",
    "Proxy",
    "ReconnectConfig",
    "TlsConfig",
    "check_endpoint",
    "with_certificate",
]

_NEVER = frozenset(" #")  # a WebSocket URL has no fragment (RFC 6455 §3)


class TlsConfig(Section):
    """Certificates for wss:// connections, as PEM files."""

    ca: Path | None = Field(
        default=None,
        description="The root certificates that are trusted; null: those of the operating system.",
    )
    cert: Path | None = Field(default=None, description="The station's own certificate chain, leaf first.")
    key: Path | None = Field(
        default=None, description="The private key of that certificate; null: it is in the same file."
    )
    verify_hostname: bool = Field(
        default=True, description="The certificate of the central system must bear the name in the URL."
    )
    manufacturer_ca: Path | None = Field(
        default=None, description="The root certificates that firmware signers are checked against."
    )

    @field_validator("ca", "cert", "key", "manufacturer_ca")
    @classmethod
    def _is_there(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        looking = isinstance(info.context, Context) and info.context.look_for_files
        if looking and path is not None and not path.is_file():
            raise mistake(
                f'is no file (is "{path}"); check the path, which begins at the folder of this file'
            )
        return path

    @field_validator("key")
    @classmethod
    def _belongs_to_a_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if key is not None and info.data.get("cert", key) is None:
            raise mistake("is a key without a certificate; set csms.tls.cert too")
        return key


class ReconnectConfig(Section):
    """How long to wait before connecting again; the wait doubles with each failure."""

    min_s: float = Field(default=3, ge=0.01, le=3600, description="The first wait, without its random part.")
    jitter_s: float = Field(default=10, ge=0, le=3600, description="The random part added to each wait.")
    max_s: float = Field(default=120, ge=0.01, le=86400, description="The longest wait.")
    profile_fallback_s: float = Field(
        default=60,
        ge=0,
        le=86400,
        description="How long new security settings are tried, at least, before the last good ones are used "
        "again.",
    )

    @field_validator("max_s")
    @classmethod
    def _above_the_first(cls, max_s: float, info: ValidationInfo) -> float:
        if max_s < info.data.get("min_s", 0):
            raise mistake(f"is less than min_s ({info.data['min_s']:g}); write at least as much")
        return max_s


def check_endpoint(url: str) -> None:
    """Raise a `mistake` unless a central system can be at `url`."""
    _check_url(url, ("ws", "wss"), "ws://host/path or wss://host/path")
    if "@" in urlsplit(url).netloc:
        raise mistake("must not contain a password, which would show in logs; use csms.authorization_key")


def _check_url(url: str, schemes: tuple[str, ...], remedy: str) -> None:
    """Raise unless `url` is one; the message does not repeat it, because it may hold a password."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or not _NEVER.isdisjoint(url):
        raise mistake(f"is not a URL that can be used; write {remedy}")


def _proxy(proxy: str | None) -> str | None:
    if proxy not in (None, "auto"):
        _check_url(proxy, ("http",), "auto, null or http://host:port")
    return proxy


Proxy = Annotated[str | None, AfterValidator(_proxy), Expected("auto, null or http://host:port")]
"""A key of a file: by which proxy connections go."""

ABOUT_PROXIES = "auto: as the environment variables say, never for this machine itself; null: none."


def with_certificate(tls: TlsConfig, info: ValidationInfo) -> TlsConfig:
    """Raise `mistakes` unless it has the certificate that the security profile beside it needs."""
    if info.data.get("security_profile") == 3 and tls.cert is None:
        raise mistakes({"cert": "is needed by security_profile 3; write the path of a PEM file"})
    return tls


class CsmsConfig(Section):
    """The central system and how to reach it."""

    url: Annotated[str | None, Expected("ws://host/path, wss://host/path or null")] = Field(
        default=None,
        description="Where the central system is, without the identity; null: an embedded one is started.",
        examples=["wss://csms.example/ocpp"],
    )
    security_profile: int = Field(
        default=0,
        ge=0,
        le=3,
        validate_default=True,
        description="0: none, 1: password, 2: password over TLS, 3: client certificate. Once raised by the "
        "central system it stays raised.",
    )
    authorization_key: SecretStr | None = Field(
        default=None,
        min_length=1,
        validate_default=True,
        description="The password of security profiles 1 and 2. 32 to 40 hexadecimal digits are decoded, "
        "any other text is the password itself (see authorization_key_encoding).",
    )
    tls: TlsConfig = Field(default=TlsConfig(), validate_default=True, description="Certificates for wss://.")
    reconnect: ReconnectConfig = Field(
        default=ReconnectConfig(), description="Waiting before connecting again."
    )
    proxy: Proxy = Field(default="auto", repr=False, description=ABOUT_PROXIES)

    @field_validator("url")
    @classmethod
    def _is_an_endpoint(cls, url: str | None) -> str | None:
        if url is not None:
            check_endpoint(url)
        return url

    @field_validator("security_profile")
    @classmethod
    def _has_tls(cls, profile: int, info: ValidationInfo) -> int:
        url = info.data.get("url", "wss://")
        if profile >= 2 and url is None:
            raise mistake("needs a central system that speaks TLS; set csms.url, or write 0 or 1")
        if profile >= 2 and not url.lower().startswith("wss://"):
            raise mistake("needs a csms.url that begins with wss://; change the one or the other")
        return profile

    @field_validator("authorization_key")
    @classmethod
    def _is_there(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key is None and info.data.get("security_profile") in (1, 2):
            raise mistake(
                "is needed by this security_profile; write the password that the central system knows"
            )
        return key

    _certificate = field_validator("tls")(with_certificate)
