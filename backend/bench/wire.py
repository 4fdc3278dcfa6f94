"""A proxy before PostgreSQL that counts round trips, and can make each of them longer."""

import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

_STARTUP_HEADER, _MESSAGE_HEADER, _LENGTH = 4, 5, 4
_CHUNK = 65_536

See = Callable[[bytes], None]
Waiting: TypeAlias = "queue.SimpleQueue[tuple[float, bytes]]"  #: what was read, and when it is due


class RoundTrips:
    """Counts what a client waits an answer for, in what it sends.

    A Sync, a simple Query and a Flush end what is sent together (PostgreSQL's frontend/backend protocol);
    each of them is a round trip. The first message has no type.
    """

    def __init__(self) -> None:
        self._unread = bytearray()
        self._begun = False

    def feed(self, data: bytes) -> int:
        """Take the next bytes, cut anywhere; return how many round trips were completed by them."""
        self._unread += data
        found = 0
        while (size := self._size()) and len(self._unread) >= size:
            found += self._begun and self._unread[0] in b"SQH"
            self._begun = True
            del self._unread[:size]
        return found

    def _size(self) -> int:
        """Return the size of the message that begins here; 0 while that is not known."""
        header = _MESSAGE_HEADER if self._begun else _STARTUP_HEADER
        if len(self._unread) < header:
            return 0
        return int.from_bytes(self._unread[header - _LENGTH : header]) + header - _LENGTH


class Wire:
    """Listens in a folder as PostgreSQL does, and passes everything on, each way `delay` seconds later.

    Threads that block: an event loop's timers are a millisecond wide.
    """

    def __init__(self, folder: Path, upstream: Path, delay: float = 0) -> None:
        self.round_trips = 0
        self._folder, self._upstream, self._delay = folder, upstream, delay
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._listener = self._open.enter_context(socket.socket(socket.AF_UNIX))
        self._listener.bind(str(self._folder / ".s.PGSQL.5432"))
        self._listener.listen()
        _thread(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for a caller
        self._open.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._upstream / ".s.PGSQL.5432"))
                _thread(self._pass_on, client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            back = self._pass(server, client, lambda _data: None)
            self._pass(client, server, self._counting()).join()
            back.join()

    def _counting(self) -> Callable[[bytes], None]:
        trips = RoundTrips()

        def count(data: bytes) -> None:
            self.round_trips += trips.feed(data)

        return count

    def _pass(self, source: socket.socket, sink: socket.socket, see: See) -> threading.Thread:
        """Read and write in threads of their own: what comes while something waits waits no longer for it."""
        waiting: Waiting = queue.SimpleQueue()
        _thread(_read, source, see, waiting, self._delay)
        return _thread(_write, sink, waiting)


def _thread(work: Callable[..., None], *arguments: object) -> threading.Thread:
    started = threading.Thread(target=work, args=arguments, daemon=True)
    started.start()
    return started


def _read(source: socket.socket, see: See, waiting: Waiting, delay: float) -> None:
    data = b"?"
    while data:
        try:
            data = source.recv(_CHUNK)
        except OSError:
            data = b""
        see(data)
        waiting.put((time.monotonic() + delay, data))


def _write(sink: socket.socket, waiting: Waiting) -> None:
    """Send what is due, until nothing comes any more; then the other side learns that, too."""
    with suppress(OSError):
        while (due := waiting.get())[1]:
            time.sleep(max(0, due[0] - time.monotonic()))
            sink.sendall(due[1])
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
