"""The proxy before PostgreSQL passes bytes on unchanged, later, and counts round trips right."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.wire import RoundTrips, Wire

STARTUP = (8).to_bytes(4) + b"\0\3\0\0"


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


#: Text that looks like what is counted is not counted.
SENT = b"".join(
    [
        STARTUP,
        message(b"Q", b"SELECT 1\0"),
        message(b"P", b"SSQQHH"),
        message(b"B"),
        message(b"E"),
        message(b"S"),
    ]
)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_round_trips_are_counted_however_the_bytes_are_cut(size: int):
    trips = RoundTrips()
    assert sum(trips.feed(SENT[at : at + size]) for at in range(0, len(SENT), size)) == 2


def test_a_round_trip_is_counted_when_its_last_byte_has_come():
    trips = RoundTrips()
    assert [trips.feed(SENT[:-1]), trips.feed(SENT[-1:])] == [1, 1]


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Path]:
    """A server that sends back what it gets, until nothing more comes."""
    (folder := tmp_path / "u").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / ".s.PGSQL.5432"))
        listener.listen()

        def serve() -> None:
            caller, _ = listener.accept()
            with caller:
                while data := caller.recv(1000):
                    caller.sendall(data)

        serving = threading.Thread(target=serve)
        serving.start()
        yield folder
        serving.join()


@pytest.mark.parametrize("delay", [0, 0.01])
def test_bytes_pass_unchanged_in_both_directions_and_so_does_the_end(
    tmp_path: Path, echo: Path, delay: float
):
    sent = SENT + message(b"d", os.urandom(300_000)) + message(b"S")
    with Wire(tmp_path, echo, delay) as proxy, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / ".s.PGSQL.5432"))

        def send() -> None:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)

        sending = threading.Thread(target=send)
        sending.start()
        found = b"".join(iter(lambda: client.recv(70_000), b""))
        sending.join()
    assert found == sent
    assert proxy.round_trips == 3


def test_each_way_waits_until_it_is_due(tmp_path: Path, echo: Path, monkeypatch: pytest.MonkeyPatch):
    """By a clock that stands still, and a sleep that only says for how long it was asked."""
    slept: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(time, "sleep", slept.append)
    with Wire(tmp_path, echo, 2.5) as proxy, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / ".s.PGSQL.5432"))
        client.sendall(SENT)
        assert client.recv(1000) == SENT
    assert slept == [2.5, 2.5]
    assert proxy.round_trips == 2
