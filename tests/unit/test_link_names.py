"""Whether a certificate is for a host: security whitepaper A00, RFC 6125 §6.4."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.errors import LinkError
from chargepoint.link import TlsSettings
from chargepoint.tls import check_server_name


def _certificate(common_name: str, *names: tuple[str, str]) -> dict[str, Any]:
    """As the ssl module describes one."""
    return {"subject": ((("commonName", common_name),),), "subjectAltName": names}


def _fits(certificate: dict[str, Any], host: str, **settings: Any) -> bool:
    try:
        check_server_name(certificate, host, TlsSettings(**settings))
    except LinkError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "host", "fits"),
    [
        pytest.param("csms.example", "csms.example", True, id="same"),
        pytest.param("CSMS.Example", "csms.example", True, id="case"),
        pytest.param("csms.example", "csms.example.", True, id="rooted"),
        pytest.param("csms.example", "xcsms.example", False, id="longer"),
        pytest.param("*.csms.example", "a.csms.example", True, id="wildcard"),
        pytest.param("*.csms.example", "a.b.csms.example", False, id="wildcard-is-one-label"),
        pytest.param("*.csms.example", "csms.example", False, id="wildcard-is-not-nothing"),
        pytest.param("*.example", "csms.example", False, id="wildcard-of-a-top-level-domain"),
        pytest.param("c*.csms.example", "cs.csms.example", False, id="partial-wildcard"),
        pytest.param("*.0.0.1", "127.0.0.1", False, id="wildcard-of-an-address"),
        pytest.param("192.0.2.1", "192.0.2.1", True, id="address"),
        pytest.param("2001:DB8:0::1", "2001:db8::1", True, id="address-written-otherwise"),
        pytest.param("", "csms.example", False, id="empty"),
    ],
)
def test_names(name: str, host: str, fits: bool) -> None:
    assert _fits(_certificate(name), host) is fits
    kind = "IP Address" if host[0].isdigit() else "DNS"
    assert _fits(_certificate("other", (kind, name)), host) is fits


@pytest.mark.parametrize(
    ("common_name", "names", "settings", "fits"),
    [
        pytest.param("h.example", (("DNS", "x.example"),), {}, True, id="common-name-beside-others"),
        pytest.param("h.example", (("DNS", "x.example"),), {"server_name": "san"}, False, id="san-only"),
        pytest.param("x", (("DNS", "h.example"),), {"server_name": "san"}, True, id="san-found"),
        pytest.param("x", (("URI", "h.example"),), {}, False, id="other-kinds-of-names"),
        pytest.param("x", (), {"verify_hostname": False}, True, id="not-checked"),
    ],
)
def test_where_names_are_looked_for(
    common_name: str, names: tuple[tuple[str, str], ...], settings: dict[str, Any], fits: bool
) -> None:
    assert _fits(_certificate(common_name, *names), "h.example", **settings) is fits


def test_the_error_names_what_was_found() -> None:
    with pytest.raises(LinkError, match=r"for x, y\.example, not for h\.example") as caught:
        check_server_name(_certificate("y.example", ("DNS", "x")), "h.example", TlsSettings())
    assert caught.value.kind == "tls_certificate"
