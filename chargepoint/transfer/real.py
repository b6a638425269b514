"""Transfers over a real network, by HTTP, HTTPS, FTP and FTPS."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import ssl
import tempfile
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from chargepoint.domain.outside import Transfer, TransferFailed
from chargepoint.real_work import RealWork, off_loop
from chargepoint.transfer.address import Address, parse
from chargepoint.transfer.partial import PartialFile, discard
from chargepoint.transfer.way import USUAL, Bounds, Way
from hal.api import Clock

__all__ = ["RealTransfers"]

T = TypeVar("T")


class RealTransfers:
    """Carries files and holds the station's `clock` meanwhile.

    Downloads are kept in `folder`; None: in a temporary one, removed by `close`. `trust` gives the TLS
    context at each use; `proxy` is "auto" (environment variables, never for loopback), None or an http:// URL
    and serves HTTP and HTTPS.
    """

    __slots__ = ("_bounds", "_clock", "_closed", "_folder", "_proxy", "_temporary", "_trust", "_works")

    def __init__(
        self,
        clock: Clock,
        folder: Path | None,
        trust: Callable[[], ssl.SSLContext],
        proxy: str | None,
        bounds: Bounds = USUAL,
    ) -> None:
        self._clock = clock
        self._folder = folder
        self._trust = trust
        self._proxy = proxy
        self._bounds = bounds
        self._closed = False
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        # Under way, with the names of downloads.
        self._works: dict[RealWork[Any, TransferFailed], str | None] | None = None

    def download(
        self, url: str, name: str, done: Callable[[str], None], failed: Callable[[TransferFailed], None]
    ) -> Transfer:
        return self._begin(partial(self._download, url, name, self._last(name)), done, failed, name)

    def upload(
        self, url: str, content: bytes, done: Callable[[], None], failed: Callable[[TransferFailed], None]
    ) -> Transfer:
        return self._begin(partial(self._upload, url, content), lambda _: done(), failed, None)

    def discard(self, name: str) -> None:
        folder = self._folder or (Path(self._temporary.name) if self._temporary else None)
        if folder is None:
            return
        last = self._last(name)
        if last is None:
            discard(folder, name)
        else:
            last.add_done_callback(lambda _: discard(folder, name))

    def close(self) -> None:
        """Give up everything under way, without a callback; idempotent."""
        self._closed = True
        for work in list(self._works or ()):
            work.cancel()
        self._tidy()

    def _begin(
        self,
        work: Callable[[], Coroutine[Any, Any, T]],
        done: Callable[[T], None],
        failed: Callable[[TransferFailed], None],
        name: str | None,
    ) -> Transfer:
        begun = RealWork(self._clock, _explained(work), done, failed, TransferFailed)
        if self._works is None:
            self._works = {}
        self._works[begun] = name
        begun.task.add_done_callback(lambda _: self._ended(begun))
        return begun

    def _ended(self, work: RealWork[Any, TransferFailed]) -> None:
        if self._works is not None:
            self._works.pop(work)
            self._works = self._works or None
        if self._closed:
            self._tidy()

    def _tidy(self) -> None:
        if self._works is None and self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _last(self, name: str) -> asyncio.Task[Any] | None:
        """The newest download of that name which has not ended, cancelled ones among them."""
        tasks = [work.task for work, other in (self._works or {}).items() if other == name]
        return tasks[-1] if tasks else None

    async def _download(self, url: str, name: str, before: asyncio.Task[Any] | None) -> str:
        if before is not None:  # cancelled, and still closing its file
            await asyncio.wait({before})
        address = parse(url)
        way = self._way(address)
        source = hashlib.sha256(address.url.encode()).hexdigest()
        bounds = self._bounds
        part = PartialFile(self._place(), name, source, bounds.limit_bytes, bounds.keep_free_bytes)
        try:
            await off_loop(part.open)
            await (await _speaking(address)).download(address, part, way)
            return await off_loop(part.finish)
        finally:
            await off_loop(part.close)

    async def _upload(self, url: str, content: bytes) -> None:
        address = parse(url)
        if not address.file_name:
            raise TransferFailed("unsupported", f"the URL at {address.where} names no file: give one")
        await (await _speaking(address)).upload(address, content, self._way(address))

    def _way(self, address: Address) -> Way:
        try:
            # An http:// address may be redirected to an https:// one.
            context = None if address.scheme == "ftp" else self._trust()
        except (ssl.SSLError, ValueError) as error:
            raise TransferFailed(
                "refused", f"a trusted root certificate cannot be used ({error}): install it again"
            ) from error
        return Way(context, self._proxy, self._bounds)

    def _place(self) -> Path:
        if self._folder is not None:
            return self._folder
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="chargepoint-", ignore_cleanup_errors=True)
        return Path(self._temporary.name)


async def _explained(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What `work` returns, everything that can go wrong as `TransferFailed`."""
    try:
        return await work()
    except TransferFailed:
        raise
    except OSError as error:  # of the temporary directory
        raise TransferFailed("disk", f"no file can be kept here ({error}); free some space") from error
    except Exception as error:
        context = {"message": "a transfer failed in a way nobody thought of", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
        raise TransferFailed("broken", "the transfer failed for a reason of our own: see the log") from error


async def _speaking(address: Address) -> ModuleType:
    """The module that speaks the protocol, imported at first use and off the loop: aiohttp is large."""
    name = "http" if address.scheme.startswith("http") else "ftp"
    return await off_loop(importlib.import_module, f"chargepoint.transfer.{name}")
