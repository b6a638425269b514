"""Files by FTP and FTPS: RETR with resumption, STOR; `ftplib` in a thread of its own."""

from __future__ import annotations

import contextlib
import ftplib
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from chargepoint.domain.outside import TransferFailed
from chargepoint.real_work import in_thread
from chargepoint.transfer.address import Address
from chargepoint.transfer.failures import cut, from_network
from chargepoint.transfer.partial import PartialFile
from chargepoint.transfer.way import Way

__all__ = ["download", "upload"]

_CHUNK = 256 * 1024
_FAREWELL_S = 5.0

# Not asyncio's own threads: those look up the names of central systems, and must not wait for a slow server.
_THREADS = ThreadPoolExecutor(32, "ftp")


async def download(address: Address, part: PartialFile, way: Way) -> None:
    """Fetch the file into `part`, from where that ends if the server's file is the same (RFC 3659 §5)."""
    await _converse(address, way, lambda session: session.fetch(part))


async def upload(address: Address, content: bytes, way: Way) -> None:
    """Store the file, making its directories where the server wants that."""
    await _converse(address, way, lambda session: session.store(content))


async def _converse(address: Address, way: Way, act: Callable[[_Session], None]) -> None:
    session = _Session(address, way)

    def conversation() -> None:
        try:
            session.begin()
            act(session)
            session.farewell()
        except TransferFailed:
            raise
        except ftplib.Error as error:
            raise _refusal(error, address, session.missing) from error
        except (EOFError, OSError, UnicodeError) as error:
            raise from_network(error, address.where) from error
        finally:
            session.end()

    await in_thread(_THREADS, conversation, session.give_up)


class _Session(ftplib.FTP):
    """One login. All of it blocks but `give_up`, which other threads call.

    Paths go out as the bytes of the URL, and answers in any encoding can be read: latin-1 maps all of both.
    """

    def __init__(self, address: Address, way: Way) -> None:
        super().__init__(encoding="latin-1")
        self._address = address
        self._way = way
        self._path = address.ftp_path.decode("latin-1")
        self._protected = False
        self._sockets: list[socket.socket] = []
        self._aborted = False
        self.missing = "permission"  # what a 550 means

    def begin(self) -> None:
        """Connect and log in, with TLS where the scheme asks for it (RFC 4217)."""
        address = self._address
        self.host = address.host
        self.sock = self._reach(address.host, address.port)
        if address.implicit_tls:
            self.sock = self._secured(self.sock)
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        if address.scheme == "ftps":
            if not address.implicit_tls:
                self.voidcmd("AUTH TLS")
                self.file.close()
                self.sock = self._secured(self.sock)
                self.file = self.sock.makefile("r", encoding=self.encoding)
            self.voidcmd("PBSZ 0")
            self.voidcmd("PROT P")
            self._protected = True
        if address.user is None:
            self.login()
        else:
            self.login(*(text.encode().decode("latin-1") for text in (address.user, address.password)))
        self.voidcmd("TYPE I")

    def fetch(self, part: PartialFile) -> None:
        """RETR, after REST where a beginning of the same file is there."""
        self.missing = "not_found"
        size = self._told(f"SIZE {self._path}")
        changed = self._told(f"MDTM {self._path}")
        total = int(size) if size is not None and size.isdecimal() else None
        mark = None if total is None or changed is None else f"{changed} {total}"
        if not part.size or mark is None or part.mark != mark:
            part.begin(mark, total)
        try:
            connection = self.transfercmd(f"RETR {self._path}", part.size or None)
        except ftplib.error_perm as error:
            if not part.size or str(error)[:3] not in ("500", "501", "502", "503", "504"):
                raise
            part.begin(mark, total)  # a server without REST
            connection = self.transfercmd(f"RETR {self._path}")
        with connection:
            while chunk := connection.recv(_CHUNK):
                part.write(chunk)
        self._last_word(part.size == total)
        if total is not None and part.size != total:
            if part.size > total:
                part.begin(None, None)
            raise cut(self._address.where)

    def store(self, content: bytes) -> None:
        """STOR; if refused as for a directory that is not there, once more with it."""
        try:
            connection = self.transfercmd(f"STOR {self._path}")
        except ftplib.error_perm as error:
            if "/" not in self._path or str(error)[:3] not in ("550", "553"):
                raise
            self._make_directories()
            connection = self.transfercmd(f"STOR {self._path}")
        with connection:
            connection.sendall(content)
            if isinstance(connection, ssl.SSLSocket):
                connection.settimeout(_FAREWELL_S)
                with contextlib.suppress(OSError):  # many servers close without a word
                    connection.unwrap()
        self.voidresp()

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """Open the data connection, passively, encrypted if the conversation is."""
        connection = self._reach(*self.makepasv())
        try:
            if rest is not None:
                self.sendcmd(f"REST {rest}")
            answer = self.sendcmd(cmd)
            if not answer.startswith("1"):
                raise ftplib.error_reply(answer)
            if self._protected:
                connection = self._secured(connection)
        except BaseException:
            connection.close()
            raise
        return connection, None

    def farewell(self) -> None:
        """End it politely; what the server says to that does not matter any more."""
        assert self.sock is not None, "only after begin"
        self.sock.settimeout(_FAREWELL_S)
        with contextlib.suppress(OSError, EOFError, ftplib.Error):
            self.quit()

    def end(self) -> None:
        """Let go of everything."""
        self.close()
        for each in self._sockets:
            each.close()

    def give_up(self) -> None:
        """Make whatever the other thread waits for end now."""
        self._aborted = True
        for each in list(self._sockets):
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown, which would make the other thread read without TLS.
                socket.socket.shutdown(each, socket.SHUT_RDWR)

    def _reach(self, host: str, port: int) -> socket.socket:
        """A connection; unlike `socket.create_connection` it can be given up at any moment."""
        failure: OSError = OSError("no address")
        for family, kind, number, _, there in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            connection = self._known(socket.socket(family, kind, number))
            try:
                connection.settimeout(self._way.bounds.connect_s)
                connection.connect(there)
                connection.settimeout(self._way.bounds.idle_s)
                return connection
            except OSError as error:
                connection.close()
                failure = error
        raise failure

    def _secured(self, plain: socket.socket) -> ssl.SSLSocket:
        """The same connection with TLS on it, resuming the conversation's session, as vsftpd asks."""
        context = self._way.context
        assert context is not None, "ftps has a context"
        session = self.sock.session if isinstance(self.sock, ssl.SSLSocket) else None
        secured = context.wrap_socket(
            plain, server_hostname=self._address.host, do_handshake_on_connect=False, session=session
        )
        self._known(secured)
        secured.do_handshake()
        return secured

    def _known(self, connection: socket.socket) -> socket.socket:
        self._sockets.append(connection)
        if self._aborted:
            raise ConnectionAbortedError
        return connection

    def _told(self, command: str) -> str | None:
        """The number a server answers with; None where it does not know the command or the file."""
        try:
            answer = self.sendcmd(command)[3:].strip()
        except ftplib.error_perm:
            return None
        return answer if answer.replace(".", "", 1).isdecimal() else None

    def _last_word(self, complete: bool) -> None:
        """The server's last word about a download; it does not matter where everything has come."""
        try:
            self.voidresp()
        except (EOFError, OSError, ftplib.Error):
            if not complete:
                raise

    def _make_directories(self) -> None:
        steps = self._path.split("/")[:-1]
        for n in range(1, len(steps) + 1):
            if path := "/".join(steps[:n]):
                with contextlib.suppress(ftplib.error_perm):  # it may be there already
                    self.mkd(path)


def _refusal(error: ftplib.Error, address: Address, missing: str) -> TransferFailed:
    """What an answer means; only its number is shown, as its text may repeat what we sent."""
    code = str(error)[:3]
    where = f"{address.where} answers FTP {code}"
    if code in ("430", "530", "532", "332"):
        return TransferFailed("permission", f"{where}: check user name and password in the file's URL")
    if code in ("550", "553"):
        return TransferFailed(
            "permission" if code == "553" else missing,
            f"{where}: check the path in the file's URL and what this user may do there",
        )
    if code in ("425", "426"):
        return cut(address.where)
    if code in ("500", "501", "502", "503", "504", "522", "534", "536"):
        remedy = "check that it offers TLS" if address.scheme == "ftps" else "it may want ftps://"
        return TransferFailed("unsupported", f"{where}, a command it does not take: {remedy}")
    if not code.isdigit():
        return TransferFailed("broken", f"{address.where} does not speak FTP: check the port")
    return TransferFailed("server", f"{where}: try again later, or see its log")
