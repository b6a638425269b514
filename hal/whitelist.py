"""A file of identifiers that may charge, one per line, kept by whoever owns the station."""

from __future__ import annotations

import logging
from pathlib import Path

_LONGEST = 20

_log = logging.getLogger("hal")


class Whitelist:
    """The identifiers in a file; `#` begins a comment, upper and lower case are the same.

    The file is read again when it has changed. A file that is gone or has a mistake by then changes nothing:
    what was read last goes on to apply, and the log says why. Raises `ValueError` if it cannot be read at
    first.
    """

    __slots__ = ("_ids", "_path", "_stamp")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._look()
        self._ids = self._read()

    def __contains__(self, id_tag: str) -> bool:
        try:
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp
                self._ids = self._read()
        except ValueError as error:
            _log.warning("%s; what was in it before still applies", error)
        return id_tag.casefold() in self._ids

    def _look(self) -> tuple[int, int, int]:
        """What differs once the file has changed."""
        try:
            stat = self._path.stat()
        except OSError as error:
            raise ValueError(f"whitelist: {self._path}: {error.strerror}") from error
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read(self) -> frozenset[str]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ValueError(f"whitelist: {self._path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"whitelist: {self._path}: is not a text file") from error
        ids = set()
        for number, line in enumerate(lines, 1):
            id_tag = line.partition("#")[0].strip()
            if len(id_tag) > _LONGEST or len(id_tag.split()) > 1:
                raise ValueError(
                    f"whitelist: {self._path}, line {number}: {id_tag!r} is not one identifier of at most "
                    f"{_LONGEST} characters"
                )
            if id_tag:
                ids.add(id_tag.casefold())
        return frozenset(ids)
