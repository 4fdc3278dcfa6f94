"""`tasks-api doctor`: what is wrong with the configuration as it stands, and what to do about it.

Each check (in `checks`, `keys`, `limits` and `token`) looks at the subject and gives a finding. `causes` says
why a server did not answer; `token` shows what `peek` can read, and `advice` what to do about it.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from getpass import getpass

import typer

from app.config import Settings
from app.doctor.checks import claims, clock, database, schema, secret, sessions
from app.doctor.findings import Finding, problem
from app.doctor.keys import keys
from app.doctor.limits import limits
from app.doctor.subject import SECONDS, Parts, Subject
from app.doctor.threads import Unattended
from app.doctor.token import token
from app.main import close, create_app
from app.observability import where

_CHECKS: dict[str, Callable[[Subject], Awaitable[Finding]]] = {
    "database": database,
    "schema": schema,
    "keys": keys,
    "claims": claims,
    "secret": secret,
    "sessions": sessions,
    "limits": limits,
    "clock": clock,
    "token": token,
}

#: A moment more than what a check waits for: that says better what is wrong.
_CHECK_SECONDS = SECONDS + 1

#: More than any token that is accepted; who sends more has made a mistake.
_MAX_BYTES = 65_536

_READ = "Settings from the environment and backend/.env; a server that runs may have been given others."

#: What the parts would log, the checks say.
_NOWHERE = logging.NullHandler()


def run(settings: Settings, credential: str | None = None) -> int:
    """Print a line for each check, and return how many problems there are; raises ConfigurationError."""
    logging.getLogger().addHandler(_NOWHERE)
    problems = asyncio.run(_examine(settings, credential))
    if problems:
        typer.echo(f"{problems} problem{'s' if problems > 1 else ''}.")
    else:
        typer.echo("Everything is in order.")
    return problems


def given(token: str | None) -> str | None:
    """Return the token itself, read from standard input where `-` asks for that."""
    if token != "-":  # noqa: S105 - it is none
        return token
    if sys.stdin.isatty():
        return getpass("Token (it is not shown): ")
    return sys.stdin.buffer.read(_MAX_BYTES).decode(errors="replace")


async def _examine(settings: Settings, credential: str | None) -> int:
    """Run all checks at once, on the app's own parts, and print them in their order."""
    asyncio.get_running_loop().set_default_executor(Unattended())
    app = create_app(settings)
    typer.echo(_READ)
    state = app.state
    parts = Parts(
        settings,
        state.database,
        state.jwks,
        state.session_database,
        state.verifier,
        state.rate_limits,
    )
    try:
        subject = Subject(parts, credential)
        running = {name: asyncio.create_task(_found(check(subject))) for name, check in _CHECKS.items()}
        for name, task in running.items():
            typer.echo((await task).lines(name))
        return sum(task.result().is_problem for task in running.values())
    finally:
        await close(app)


async def _found(check: Awaitable[Finding]) -> Finding:
    """Wait for a check, but not for ever; one that fails is a problem and leaves the others alone."""
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await check
    except TimeoutError:
        return problem(
            f"no answer within {_CHECK_SECONDS} s. Try again; what is asked may be slow or frozen."
        )
    except Exception as error:  # noqa: BLE001 - the other checks have something to say all the same
        return problem(f"nobody foresaw this: {type(error).__name__} at {where(error)}. Please report it.")
