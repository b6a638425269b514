"""A file being downloaded, which a later attempt can go on with, also after a power cut."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

from chargepoint.domain.outside import TransferFailed

__all__ = ["PartialFile", "discard"]

_SYNC_BYTES = 4 * 2**20


class PartialFile:
    """NAME.part and, beside it, what is needed to know that the server's file is still the same one.

    `source` is where it comes from; a beginning from elsewhere is thrown away. `mark` is what changes with
    the server's file (None: nothing does, so a new attempt starts over); `size` is how much there is,
    `total` how much there will be, if known. Not more than `limit_bytes` are taken, and at least
    `keep_free_bytes` of the disk are left to others. Everything here blocks, one call at a time, and raises
    `TransferFailed` of kind disk.
    """

    __slots__ = (
        "_descriptor",
        "_keep_free_bytes",
        "_limit_bytes",
        "_note",
        "_path",
        "_source",
        "_synced",
        "mark",
        "size",
        "total",
    )

    def __init__(self, folder: Path, name: str, source: str, limit_bytes: int, keep_free_bytes: int) -> None:
        self._path, self._note, _ = _paths(folder, name)
        self._source = source
        self._limit_bytes = limit_bytes
        self._keep_free_bytes = keep_free_bytes
        self._descriptor = -1
        self._synced = 0
        self.mark: str | None = None
        self.size = 0
        self.total: int | None = None

    def open(self) -> None:
        """Find what an earlier attempt left, or begin."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, 0o600)
            note = self._read_note()
            # What lies behind the noted size was never synced: after a power cut it may be zeros.
            kept = note.get("size", 0) if note.get("source") == self._source and note.get("mark") else 0
            if 0 < kept <= os.fstat(self._descriptor).st_size:
                self.mark, self.total = note["mark"], note.get("total")
                self._cut_to(kept)
            else:
                self.begin(None, None)
        except OSError as error:
            raise self._disk(error) from error

    def begin(self, mark: str | None, total: int | None) -> None:
        """Throw away what there is and expect a whole file."""
        self.mark, self.total = mark, total
        try:
            self._cut_to(0)
            self._note.unlink(missing_ok=True)
        except OSError as error:
            raise self._disk(error) from error
        self._check_room(total or 0)

    def write(self, chunk: bytes) -> None:
        """Append the next bytes."""
        self._check_room(len(chunk))
        try:
            rest = memoryview(chunk)
            while rest:
                written = os.write(self._descriptor, rest)
                self.size += written
                rest = rest[written:]
            if self.size - self._synced >= _SYNC_BYTES:
                self._sync()
        except OSError as error:
            raise self._disk(error) from error

    def finish(self) -> str:
        """Give the whole file its name; returns its path."""
        final = self._path.with_suffix("")
        try:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            self._path.replace(final)
            self._note.unlink(missing_ok=True)
        except OSError as error:
            raise self._disk(error) from error
        return str(final)

    def close(self) -> None:
        """Keep what there is for a later attempt; never raises."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                self._sync(descriptor)
            os.close(descriptor)

    def _cut_to(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        os.lseek(self._descriptor, size, os.SEEK_SET)
        self.size = self._synced = size

    def _check_room(self, more: int) -> None:
        if self.size + more > self._limit_bytes:
            with contextlib.suppress(OSError):
                self._cut_to(0)
            raise TransferFailed(
                "disk",
                f"the file has more than {_readable(self._limit_bytes)}, the most that is taken: offer a "
                "smaller one",
            )
        free = shutil.disk_usage(self._path.parent).free
        if free < more + self._keep_free_bytes:
            raise TransferFailed(
                "disk",
                f"the file does not fit on the disk ({_readable(free)} free, of which "
                f"{_readable(self._keep_free_bytes)} are kept): free some space",
            )

    def _sync(self, descriptor: int | None = None) -> None:
        """Make what there is last, then note how much that is: never the other way round."""
        if self.mark is None or not self.size:
            return
        os.fdatasync(self._descriptor if descriptor is None else descriptor)
        note = {"source": self._source, "mark": self.mark, "total": self.total, "size": self.size}
        fresh = self._note.with_suffix(".new")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(note, file)
        fresh.replace(self._note)
        self._synced = self.size

    def _read_note(self) -> dict[str, Any]:
        try:
            note = json.loads(self._note.read_bytes())
        except (OSError, ValueError):
            return {}
        sound = isinstance(note, dict) and isinstance(note.get("size"), int)
        return note if sound else {}

    def _disk(self, error: OSError) -> TransferFailed:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space" if full else "check that this user may write there"
        return TransferFailed(
            "disk", f"{self._path.parent}: the file cannot be kept ({error.strerror or error}); {remedy}"
        )


def discard(folder: Path, name: str) -> None:
    """Remove a download, whole or begun; nothing there is fine."""
    for path in (folder / name, *_paths(folder, name)):
        with contextlib.suppress(OSError):
            path.unlink()


def _paths(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """The file, the note beside it and the note that will replace that one."""
    assert name.strip("."), "the caller gives a name"
    assert "/" not in name, "the caller gives a safe name"
    return folder / f"{name}.part", folder / f"{name}.part.json", folder / f"{name}.part.new"


def _readable(size: int) -> str:
    for unit, bytes_ in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= bytes_:
            return f"{size / bytes_:.3g} {unit}"
    return f"{size} bytes"
