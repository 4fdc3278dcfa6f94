"""A system that is measured: its database, its server process, and how both come and go."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.config import BACKEND
from bench.credentials import SECRET
from bench.subjects.databases import load_plan, recreate, url_of
from bench.subjects.processes import answers, end, free_port, tree

#: Builds a command line from the port.
Command = Callable[[int], list[str]]


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str
    #: The processes that it consists of now.
    pids: Callable[[], list[int]]


@dataclass(frozen=True)
class Subject:
    """A system under its name. `load` makes its schema, with the data, in an empty database."""

    name: str
    title: str
    command: Command
    environment: Mapping[str, str] = field(default_factory=dict)
    load: Callable[[str], None] | None = load_plan
    ready: str = "/health"
    #: Why it can't be measured here, in a sentence, or nothing.
    missing: Callable[[], str] = lambda: ""

    def database(self, server_url: str) -> str:
        """Where its own database is, on the server that `server_url` leads to."""
        return url_of(server_url, f"bench_{self.name}")

    def prepare(self, server_url: str) -> None:
        """Make its database anew, with the schema and the rows of bench/data.py."""
        if self.load is not None:
            recreate(server_url, f"bench_{self.name}")
            self.load(self.database(server_url))

    @contextmanager
    def serving(self, server_url: str) -> Iterator[Running]:
        """Run its server on a free port of this machine while the block lasts.

        Raises RuntimeError with what it wrote if it does not answer.
        """
        port = free_port()
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as errors:
            environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(BACKEND), "DATA_DIR": folder}
            environment |= {"DATABASE_URL": self.database(server_url), "BETTER_AUTH_SECRET": SECRET}
            process = subprocess.Popen(  # noqa: S603 - our own command lines
                self.command(port),
                cwd=BACKEND,
                env=environment | dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
            url = f"http://127.0.0.1:{port}"
            try:
                if not answers(url + self.ready, process):
                    errors.seek(0)
                    raise RuntimeError(f"{self.title} did not start: {errors.read().decode()[-2000:]}")
                yield Running(url, lambda: tree(process.pid))
            finally:
                end(process)
