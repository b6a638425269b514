"""URLs of files: RFC 3986, RFC 1738 §3.2, and what must never be shown of them."""

from __future__ import annotations

import pytest

from chargepoint.domain.outside import TransferFailed
from chargepoint.transfer.address import Address, parse


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h/a/b.bin", Address("http", "h", 80, "/a/b.bin")),
        ("HTTPS://H:8443/b", Address("https", "h", 8443, "/b")),
        ("ftp://u@h/b", Address("ftp", "h", 21, "/b", user="u")),
        ("ftp://u:@h/b", Address("ftp", "h", 21, "/b", user="u")),
        ("ftps://h/b", Address("ftps", "h", 21, "/b")),
        ("ftps://h:990/b", Address("ftps", "h", 990, "/b", implicit_tls=True)),
        ("ftp://h:990/b", Address("ftp", "h", 990, "/b")),
        ("http://u%40x:p%3A%2F%C3%A4@h/b", Address("http", "h", 80, "/b", user="u@x", password="p:/ä")),
        ("http://[::1]:8/b", Address("http", "::1", 8, "/b")),
        (
            "http://h/ä b%20c?q=a%2Bb+c&s=/~#fragment",
            Address("http", "h", 80, "/%C3%A4%20b%20c", "q=a%2Bb+c&s=/~"),
        ),
        (" http://h/b\n", Address("http", "h", 80, "/b")),
    ],
)
def test_taken_apart(url: str, expected: Address) -> None:
    assert parse(url) == expected


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///etc/secret", "'file'"),
        ("h/secret", "no scheme"),
        ("", "no scheme"),
        ("http:///secret", "host"),
        ("http://h:0/secret", "host"),
        ("http://h:99999/secret", "cannot be read"),
        ("http://[::1/secret", "cannot be read"),
        ("http://\u00fc.example/secret", "xn--"),
        ("ftp://h/secret%0d%0aDELE", "control characters"),
        ("ftp://u%0asecret@h/b", "control characters"),
        ("http://h/secret\x7f", "control characters"),
    ],
)
def test_urls_that_cannot_be_used(url: str, why: str) -> None:
    with pytest.raises(TransferFailed) as caught:
        parse(url)
    assert caught.value.kind == "unsupported"
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)


def test_nothing_secret_shows() -> None:
    address = parse("http://user:word@h:81/b?sig=hidden")
    for text in (repr(address), address.where):
        for secret in ("user", "word", "hidden"):
            assert secret not in text
    assert address.url == "http://h:81/b?sig=hidden"


@pytest.mark.parametrize(
    ("url", "path", "name"),
    [
        ("ftp://h/a/b.bin", b"a/b.bin", "b.bin"),
        ("ftp://h/%2Fetc/b.bin;type=i", b"/etc/b.bin", "b.bin;type=i"),
        ("ftp://h/%E4/%20", b"\xe4/ ", " "),
        ("ftp://h", b"", ""),
    ],
)
def test_paths(url: str, path: bytes, name: str) -> None:
    assert parse(url).ftp_path == path
    assert parse(url).file_name == name


@pytest.mark.parametrize(
    ("url", "without", "with_"),
    [("http://h/a/b", "http://h/a", "http://h/a/"), ("http://h/b?q", "http://h/?q", "http://h/?q")],
)
def test_directories(url: str, without: str, with_: str) -> None:
    assert parse(url).directory(slash=False).url == without
    assert parse(url).directory(slash=True).url == with_


@pytest.mark.parametrize(
    ("url", "location", "expected", "user"),
    [
        ("http://u:p@h/a/b", "c", "http://h/a/c", "u"),
        ("http://u:p@h/a", "//h/b", "http://h/b", "u"),
        ("http://u:p@h/a", "https://h/b", "https://h/b", "u"),
        ("http://u:p@h/a", "http://h:81/b", "http://h:81/b", None),
        ("http://u:p@h/a", "http://other/b", "http://other/b", None),
        ("http://u:p@h/a", "http://v:q@other/b", "http://other/b", "v"),
    ],
)
def test_redirects(url: str, location: str, expected: str, user: str | None) -> None:
    there = parse(url).redirected(location)
    assert (there.url, there.user) == (expected, user)


@pytest.mark.parametrize("location", ["http://h/b", "ftp://h/b", "file:///etc/passwd"])
def test_redirects_that_are_not_followed(location: str) -> None:
    with pytest.raises(TransferFailed) as caught:
        parse("https://h/a").redirected(location)
    assert caught.value.kind == "unsupported"
