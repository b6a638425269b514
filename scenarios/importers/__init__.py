"""Readers of what charge points and central systems write down: traces, frame logs, CSV exports."""

from __future__ import annotations

import gzip
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable
from datetime import tzinfo
from io import BytesIO
from pathlib import Path

from chargepoint.errors import ConfigError
from scenarios.importers import jsonl, plain, table
from scenarios.importers.assembling import assembled
from scenarios.importers.found import Source
from scenarios.recorded import Recorded

__all__ = ["FORMATS", "read"]

MOST_BYTES = 512 * 2**20

FORMATS: dict[str, Callable[[Source], None]] = {
    "trace": jsonl.collect,
    "csv": table.collect,
    "log": plain.collect,
}
"""Name -> reader; `auto` takes the first that recognizes the file."""


def read(
    path: Path, *, format: str = "auto", station: str | None = None, zone: tzinfo | None = None
) -> Recorded:
    """The records of one station in a file.

    `station` chooses one where the file has several; `zone` is that of time stamps that name none, else UTC.
    Raises `ConfigError` naming file and line: not readable, nothing in it, several stations, no time.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(
                [f"{path}: is larger than {MOST_BYTES >> 20} MiB; cut out the part in question"]
            )
        text = _text(_unpacked(path, path.read_bytes()))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from error
    source = Source(str(path), text, zone)
    name = format
    if format == "auto":
        name = next(
            (
                name
                for name, recognizes in (("trace", jsonl.recognizes), ("csv", table.recognizes))
                if recognizes(source)
            ),
            "log",
        )
    source.stamps.restart()
    FORMATS[name](source)
    return assembled(source, name, station)


def _unpacked(path: Path, content: bytes) -> bytes:
    """What is within a gzip file, such as rotated logs are; anything else as it is."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        with gzip.open(BytesIO(content)) as packed:
            unpacked = packed.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(
            [f"{path}: is a damaged gzip file ({error}); unpack what zcat can save of it"]
        ) from None
    if len(unpacked) > MOST_BYTES:
        raise ConfigError(
            [f"{path}: unpacks to more than {MOST_BYTES >> 20} MiB; cut out the part in question"]
        )
    return unpacked


def _text(content: bytes) -> str:
    """UTF-8, or what Windows writes into a redirected file: UTF-16 with its mark."""
    encoding = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    return content.decode(encoding, errors="replace")
