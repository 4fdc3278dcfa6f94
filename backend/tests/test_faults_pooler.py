"""The same promises through a real PgBouncer: it ends, freezes, and stands before a server that is gone."""

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fault_world import Postgres, World, pause, world
from tests.faulty_wire import Upstream, to_port
from tests.servers import free_port
from tests.test_pgbouncer import CONFIGURATION, running_pgbouncer

pytestmark = pytest.mark.faults

#: A query that waits longer for the server is refused by PgBouncer itself (08P01). After a server that was
#: not there it looks again as soon as this, and not, as by default, in 15 seconds.
_MORE = "query_wait_timeout = 1\nserver_login_retry = 1\n"


class Pooler:
    """A PgBouncer, to be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self._running = ExitStack()
        self._configuration = folder / "pgbouncer.ini"
        self.port = free_port()
        self.process = 0

    def before(self, postgres: Postgres) -> Upstream:
        sockets = Path(postgres.socket).parent
        text = CONFIGURATION.format(server=sockets, port=self.port, size=4).replace(
            "user=postgres", "user=api"
        )
        self._configuration.write_text(text + _MORE)
        self.start()
        return to_port(self.port)

    def start(self) -> None:
        self.process = self._running.enter_context(running_pgbouncer(self._configuration, self.port))

    def stop(self) -> None:
        self._running.close()

    def revive(self) -> None:
        """Start it again if it has ended, as whatever supervises it does."""
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", self.port)) == 0:
                return
        self.stop()
        self.start()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # neither server runs as root
        yield folder


@pytest.fixture(scope="module")
def pooler(folder: Path) -> Iterator[Pooler]:
    pooler = Pooler(folder)
    yield pooler
    pooler.stop()


@pytest.fixture(scope="module")
def shared(pooler: Pooler, folder: Path) -> Iterator[World]:
    with world(folder, pooler.before, "?pgbouncer=true") as shared:
        yield shared


def test_a_pooler_that_is_restarted(pooler, shared):
    with shared.trouble():
        pooler.stop()
        pause(2)
        pooler.start()


def test_a_pooler_that_is_killed(pooler, shared):
    with shared.trouble():
        os.kill(pooler.process, signal.SIGKILL)
        pooler.stop()
        pooler.start()


def test_a_pooler_that_is_frozen(pooler, shared):
    with shared.trouble():
        os.kill(pooler.process, signal.SIGSTOP)
        pause(4)
        os.kill(pooler.process, signal.SIGCONT)


def test_a_server_that_is_gone_behind_the_pooler(shared):
    with shared.trouble() as seen:
        shared.postgres.stop()
        pause(3)
        assert {one.status for one in seen()} >= {503}
        shared.postgres.start()


def test_a_server_that_is_frozen_behind_the_pooler(pooler, shared):
    """PgBouncer 1.18 may end itself when the server goes on (its issue 801); then it is started again."""
    with shared.trouble():
        with shared.postgres.frozen():
            pause(5)
        pause(0.5)
        pooler.revive()


def test_nothing_stays_open(shared):
    assert shared.sessions() <= 4
    with socket.create_connection(("127.0.0.1", shared.service.port), timeout=5):
        pass
