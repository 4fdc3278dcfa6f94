"""The command line: serve, migrate, token."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer
import uvicorn
from uvicorn.supervisors import Multiprocess

from app import __version__
from app.auth.tokens import sign
from app.config import Settings, get_settings, load_settings
from app.embedded import embedded_postgres
from app.errors import ConfigurationError, Unavailable
from app.migrations import migrate as migrate_schema
from app.migrations import refuse_old_schema
from app.observability import configure_logging

_GRACE_SECONDS = 3

cli = typer.Typer(
    name="tasks-api",
    help="The task back end for front ends that sign in with Better Auth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run a command; a setting that won't do is one line, not a traceback."""
    try:
        cli()
    except (ConfigurationError, Unavailable) as error:
        sys.exit(f"tasks-api: {error}")


@cli.callback(invoke_without_command=True)
def show_version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Print the version when asked to."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (PORT).")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes (WORKERS).")] = None,
) -> None:
    """Serve the API.

    Without DATABASE_URL it starts an embedded PostgreSQL. Outside production it brings the schema up to date
    first; in production it refuses one that is behind.

    Examples:

      tasks-api serve

      tasks-api serve --port 9000 --workers 2

      ENVIRONMENT=production DATABASE_URL=... BETTER_AUTH_SECRET=... tasks-api serve --host 0.0.0.0
    """
    given = {"host": host, "port": port, "workers": workers}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    configure_logging(settings)
    with ExitStack() as stack:
        stack.enter_context(_orderly_exit())
        listener = stack.enter_context(_bound_socket(settings))
        url = settings.database_url or stack.enter_context(embedded_postgres(settings.data_dir))
        _check_or_migrate(url, settings)
        if not settings.production:
            typer.echo(_welcome(settings))
        # Worker processes read the environment again.
        os.environ |= {"DATABASE_URL": url, "BETTER_AUTH_SECRET": settings.better_auth_secret}
        get_settings.cache_clear()
        _run(settings, listener)


@cli.command()
def migrate(revision: Annotated[str, typer.Argument(help="Revision to go up to.")] = "head") -> None:
    """Bring the database's schema up to date. Safe to run again, and side by side.

    It goes to Neon's direct host even when DATABASE_URL names the pooler.

    Examples:

      tasks-api migrate

      DATABASE_URL=postgresql://... tasks-api migrate
    """
    settings = load_settings()
    with ExitStack() as stack:
        url = settings.database_url or stack.enter_context(embedded_postgres(settings.data_dir))
        migrate_schema(url, revision)
    typer.echo("The schema is up to date.")


@cli.command()
def token(
    user: Annotated[str, typer.Option(help="The user's id, the token's `sub`.")],
    hours: Annotated[float, typer.Option(min=0, help="How long it is good for.")] = 24,
) -> None:
    """Print a token for a user, signed like a front end's. For development.

    Examples:

      tasks-api token --user alice

      curl -H "Authorization: Bearer $(tasks-api token --user alice)" localhost:8000/tasks
    """
    settings = load_settings()
    if settings.production:
        raise ConfigurationError("ENVIRONMENT: in production tokens come from your front end")
    typer.echo(sign(user, settings.better_auth_secret, seconds=hours * 3600))


@contextmanager
def _orderly_exit() -> Iterator[None]:
    """Turn SIGTERM into an exit that still stops what was started; a second one changes nothing.

    uvicorn ends by raising the signal again that it was stopped with.
    """
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def _bound_socket(settings: Settings) -> Iterator[socket.socket]:
    """Take the port before anything is started for it."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            raise ConfigurationError(
                f"PORT: can't listen on {settings.host}:{settings.port} ({error.strerror}); choose another with PORT="
            ) from None
        listener.set_inheritable(True)
        yield listener


def _check_or_migrate(url: str, settings: Settings) -> None:
    if settings.production:
        asyncio.run(refuse_old_schema(url, settings))
        return
    try:
        migrate_schema(url)
    except Unavailable as error:
        logging.getLogger("app").warning("%s; serving anyway", error)


def _welcome(settings: Settings) -> str:
    base = f"http://{settings.host}:{settings.port}"
    data = settings.database_url and "your DATABASE_URL" or settings.data_dir.resolve()
    local_token = sign("local", settings.better_auth_secret, seconds=7 * 24 * 3600)
    return f"""
  Tasks API {__version__}
  docs    {base}/docs
  health  {base}/health
  data    {data}

  Create a task (this token is good for a week, for the user "local"):

  curl {base}/tasks -H 'Content-Type: application/json' -d '{{"text": "Buy milk"}}' -H 'Authorization: Bearer {local_token}'
"""


def _run(settings: Settings, listener: socket.socket) -> None:
    config = uvicorn.Config(
        "app.main:app",
        workers=settings.workers,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    if settings.workers > 1:
        Multiprocess(config, sockets=[listener]).run()
    else:
        uvicorn.Server(config).run(sockets=[listener])
