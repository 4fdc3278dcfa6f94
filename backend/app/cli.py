"""The command line: serve, migrate, purge, token, doctor.

Each command imports what it needs when it runs: `token` and `--help` answer at once.
"""
# ruff: noqa: PLC0415 - see above

import asyncio
import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from app import __version__
from app.config import Settings, load_settings
from app.embedded import embedded_postgres
from app.errors import AppError, ConfigurationError

_HOUR = 3600
_TEN_YEARS_IN_HOURS = 10 * 365 * 24

cli = typer.Typer(
    name="tasks-api",
    help="The task back end for front ends that sign in with Better Auth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run a command; what it can't do is one line, not a traceback."""
    try:
        cli()
    except ConfigurationError as error:
        sys.exit(f"tasks-api: {error}")
    except AppError as error:
        sys.exit(f"tasks-api: {error.message}")


def _examples(*lines: str) -> str:
    """Write the end of a command's help; its first character keeps the lines apart."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


@cli.callback(invoke_without_command=True)
def show_version(
    *, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """Print the version when asked to."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@cli.command(
    epilog=_examples(
        "tasks-api serve",
        "tasks-api serve --port 9000 --workers 2",
        "ENVIRONMENT=production DATABASE_URL=... BETTER_AUTH_SECRET=... tasks-api serve --host 0.0.0.0",
    )
)
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (PORT).")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes (WORKERS).")] = None,
) -> None:
    """Serve the API.

    Without DATABASE_URL it starts an embedded PostgreSQL. Outside production it brings the schema up to date
    first; in production it refuses one that is behind.
    """
    from app import serving

    serving.exit_on_signals()
    given = {"host": host, "port": port, "workers": workers}
    serving.run(load_settings(**{name: value for name, value in given.items() if value is not None}))


@cli.command(epilog=_examples("tasks-api migrate", "DATABASE_URL=postgresql://... tasks-api migrate"))
def migrate(revision: Annotated[str, typer.Argument(help="Revision to go up to.")] = "head") -> None:
    """Bring the database's schema up to date. Safe to run again, and side by side.

    It goes to Neon's direct host even when DATABASE_URL names the pooler.
    """
    from app.migrations import migrate as migrate_schema
    from app.serving import exit_on_signals

    exit_on_signals()
    with ExitStack() as stack:
        settings = load_settings()
        url = settings.database_url or stack.enter_context(embedded_postgres(settings.data_dir))
        migrate_schema(url, revision)
        typer.echo("The schema is up to date.")


@cli.command(epilog=_examples("tasks-api purge", "TRASH_RETENTION_DAYS=7 tasks-api purge"))
def purge() -> None:
    """Remove for good what was deleted longer than TRASH_RETENTION_DAYS ago, and idempotency keys of 30 days.

    `serve` does it once a day. Safe to run again, and side by side.
    """
    from app.migrations import migrate as migrate_schema
    from app.migrations import refuse_old_schema
    from app.serving import exit_on_signals

    exit_on_signals()
    with ExitStack() as stack:
        settings = load_settings()
        url = settings.database_url or stack.enter_context(embedded_postgres(settings.data_dir))
        if settings.database_url:
            asyncio.run(refuse_old_schema(url, settings))
        else:
            migrate_schema(url)
        asyncio.run(_purge(url, settings))


async def _purge(url: str, settings: Settings) -> None:
    """Purge, with a progress bar where somebody watches: typer's own would print an empty line elsewhere."""
    from app.purging import prepared

    async with prepared(url, settings) as purge:
        due = await purge.count()
        watched = due > 0 and sys.stdout.isatty()
        with typer.progressbar(length=due, label="Purging", hidden=not watched) as bar:
            purged = await purge.run(bar.update)
            bar.update(due - bar.pos)  # what others removed meanwhile
    typer.echo(f"Removed {purged}.")


@cli.command(
    epilog=_examples(
        "tasks-api token --user alice",
        'curl -H "Authorization: Bearer $(tasks-api token --user alice)" localhost:8000/tasks',
    )
)
def token(
    user: Annotated[str, typer.Option(help="The user's id, the token's `sub`.")],
    hours: Annotated[int, typer.Option(min=1, max=_TEN_YEARS_IN_HOURS, help="How long it is good for.")] = 24,
) -> None:
    """Print a token for a user, signed like a front end's. For development."""
    from app.auth.claims import is_user_id
    from app.auth.tokens import sign

    settings = load_settings()
    if settings.production:
        raise ConfigurationError("ENVIRONMENT: in production tokens come from your front end")
    if not is_user_id(user):
        raise ConfigurationError("--user: a user's id has 1 to 255 characters, and no control characters")
    typer.echo(sign(user, settings.better_auth_secret, seconds=hours * _HOUR))


@cli.command(
    epilog=_examples(
        "tasks-api doctor", "tasks-api doctor --token eyJ...", "tasks-api doctor --token - < token.txt"
    )
)
def doctor(
    token: Annotated[
        str | None,
        typer.Option(help="A token to explain; `-` reads it from standard input, which no history keeps."),
    ] = None,
) -> None:
    """Check the configuration as it stands: what is wrong, and what to do about it.

    It asks the database, the front end's keys and its sessions as `serve` would, and shows no secret. Without
    DATABASE_URL it starts the embedded PostgreSQL. Ends with 0 when nothing is wrong and 1 otherwise.
    """
    from app.doctor import given, run

    credential = given(token)
    settings = load_settings()
    with ExitStack() as stack:
        if not settings.database_url:
            stack.enter_context(embedded_postgres(settings.data_dir))
        problems = run(settings, credential)
    raise typer.Exit(1 if problems else 0)
