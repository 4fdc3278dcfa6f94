"""How `serve` runs: the port, the database and its schema, the welcome, the server, the end."""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from types import FrameType
from typing import cast

import uvicorn

from app import __version__
from app.auth.tokens import sign
from app.config import Settings, get_settings
from app.draining import STOPS
from app.embedded import embedded_postgres
from app.errors import ConfigurationError, Unavailable
from app.exposition import shared_folder
from app.migrations import migrate, refuse_old_schema
from app.observability import configure_logging, lose_lines_rather_than_wait
from app.supervising import Deadline, Supervisor, end_workers

#: What uvicorn takes of the grace before and after it waits for requests.
_TICK_SECONDS = 0.2

#: A worker that is still starting on a busy machine is not a dead one.
_START_SECONDS = 30

_WEEK = 7 * 24 * 3600


def run(settings: Settings) -> None:
    """Serve until a signal comes; raises ConfigurationError when it can't start."""
    from app.main import create_app  # noqa: PLC0415 - what is refused before needs no web framework

    lose_lines_rather_than_wait()
    configure_logging(settings)
    create_app(settings)  # what it refuses is refused before anything starts, and once for all workers
    with ExitStack() as stack:
        listener = stack.enter_context(_listening_socket(settings))
        url = settings.database_url or stack.enter_context(embedded_postgres(settings.data_dir))
        _check_or_migrate(url, settings)
        if settings.metrics_on and settings.workers > 1:
            stack.enter_context(shared_folder())
        # Worker processes read the environment again.
        os.environ |= {"DATABASE_URL": url, "BETTER_AUTH_SECRET": settings.better_auth_secret}
        os.environ |= {"HOST": settings.host, "PORT": str(settings.port), "WORKERS": str(settings.workers)}
        get_settings.cache_clear()
        if not settings.production:
            print(welcome(settings), flush=True)  # noqa: T201 - it is for the person at the terminal
        _serve(settings, listener)


def exit_on_signals() -> None:
    """Turn SIGTERM and SIGINT into an exit that stops what was started; impatient repetitions change nothing.

    uvicorn ends by raising the signal again that it was stopped with.
    """

    def leave(_number: int, _frame: FrameType | None) -> None:
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)
        sys.exit(0)

    for number in STOPS:
        signal.signal(number, leave)


@contextmanager
def _listening_socket(settings: Settings) -> Iterator[socket.socket]:
    """Take the port before anything is started for it; who calls early waits for the first answer."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
            listener.listen()
        except (TypeError, UnicodeError):
            raise ConfigurationError("HOST: this is not the name of a host") from None
        except OSError as error:
            at_fault = "PORT" if error.errno in {errno.EADDRINUSE, errno.EACCES} else "HOST"
            raise ConfigurationError(
                f"{at_fault}: can't listen on {settings.host}:{settings.port} ({error.strerror}); "
                f"choose another with {at_fault}="
            ) from None
        yield listener


def _check_or_migrate(url: str, settings: Settings) -> None:
    """Serve without a database too: requests are answered 503 until it is there."""
    try:
        if settings.production:
            asyncio.run(refuse_old_schema(url, settings))
        else:
            migrate(url)
    except Unavailable as error:
        logging.getLogger("app").warning("%s; serving anyway", error.message)


def welcome(settings: Settings) -> str:
    """Return what a person needs who has just started the service."""
    base = f"http://{_callable_host(settings.host)}:{settings.port}"
    data = "your DATABASE_URL" if settings.database_url else settings.data_dir.resolve()
    docs = f"  docs    {base}/docs\n" if settings.docs_on else ""
    local_token = sign("local", settings.better_auth_secret, seconds=_WEEK)
    return f"""
  Tasks API {__version__}
{docs}  health  {base}/health
  data    {data}

  Create a task (this token is good for a week, for the user "local"):

  curl '{base}/tasks' -H 'Content-Type: application/json' -d '{{"text": "Buy milk"}}' \\
    -H 'Authorization: Bearer {local_token}'
"""


def _callable_host(host: str) -> str:
    """Return an address that reaches this machine where `host` means all of them; IPv6 in brackets."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where it was asked for
    return f"[{host}]" if ":" in host else host


def _serve(settings: Settings, listener: socket.socket) -> None:
    config = _config(settings)(
        "app.main:app",
        workers=settings.workers,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # they are for TRUSTED_PROXIES: this would believe every local caller
        ws="none",  # uvicorn's line about a WebSocket has the query in it
        timeout_graceful_shutdown=cast(
            "int", settings.shutdown_grace - _TICK_SECONDS
        ),  # fractions do as well
        timeout_worker_healthcheck=_START_SECONDS,
    )
    if settings.workers > 1:
        longest = settings.shutdown_delay + settings.shutdown_grace + 1
        supervisor = Supervisor(config, [listener], longest)
        exit_on_signals()  # the supervisor's own way waits up to 5 s for a worker that is just starting
        try:
            supervisor.run()
        finally:
            listener.close()  # the workers have theirs: when those are closed, nobody is to wait at this one
            end_workers(settings.shutdown_delay, settings.shutdown_grace)
    else:
        _Server(config, Deadline(settings.shutdown_delay, settings.shutdown_grace)).run(sockets=[listener])


def _config(settings: Settings) -> Callable[..., uvicorn.Config]:
    if sys.platform == "win32":  # neither uvloop nor httptools, nor sockets that several processes wait on
        return uvicorn.Config
    from app import balancing, protocol, shedding  # noqa: PLC0415 - they need both

    return balancing.Config if settings.workers > 1 else partial(protocol.Config, http=shedding.Protocol)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, deadline: Deadline) -> None:
        super().__init__(config)
        self._deadline = deadline

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._deadline.begin()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stay orderly however often Ctrl-C is pressed: the grace is short enough to wait for."""
        super().handle_exit(signal.SIGTERM if self.should_exit else sig, frame)
