"""Puts the service together: settings, database, middleware, routes. Decides nothing."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from app import __version__, embedded
from app.admission import Admission
from app.api.docs_page import router as docs_page
from app.api.error_handlers import add_error_handlers
from app.api.metrics_page import router as metrics_page
from app.api.openapi import describe_events
from app.api.routes import ROUTES
from app.api.routing import completed
from app.auth import ClaimRules, Jwks, SessionVerifier, TokenVerifier, Verifier
from app.config import Settings, get_settings
from app.cors import Cors
from app.database import Database
from app.draining import Draining
from app.errors import ConfigurationError
from app.exposition import begin
from app.limiting import RateLimits
from app.metrics import Metrics
from app.middleware import LastResort, RequestContext, refusing
from app.migrations import migrate
from app.observability import configure_logging
from app.observer import Observer
from app.processes import collect_less_often, end_with_supervisor
from app.purging import Rhythm, purged_daily
from app.queries.live import Listeners
from app.queries.sessions import Sessions
from app.server_timing import HEADER, ServerTiming, TimedMetrics, Timings
from app.telemetry import telemetry, traced

_DESCRIPTION = """
Tasks for front ends that sign in with Better Auth. Each user has one list and sees no other.

To try it here, press **Authorize** and paste a token: one of your front end's or, in development,
the one that the start prints, or one from
`backend/.venv/bin/tasks-api token --user alice`.
"""


def create_app(settings: Settings) -> FastAPI:
    """Build the service. It does no I/O before a request or its lifespan, and works without the latter."""
    observer = _observer(settings)
    draining = Draining(settings.shutdown_delay, settings.shutdown_grace)
    traces = telemetry()
    app = FastAPI(
        title="Tasks API",
        version=__version__,
        description=_DESCRIPTION,
        openapi_tags=[{"name": name} for name in ("Tasks", "Trash", "Sync", "Health")],  # as /docs shows them
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs_on else None,
        redirect_slashes=False,
        routes=_routes(settings),
        lifespan=lifespan,
        telemetry=traces,
        middleware=[
            *traced(traces),
            *([Middleware(ServerTiming)] if settings.server_timing else []),
            Middleware(RequestContext, observer, draining, production=settings.production),
            Middleware(Cors, **_pages(settings)),
            Middleware(LastResort, observer, draining),
        ],
    )
    app.state.settings = settings
    app.state.refusing = refusing(app.user_middleware)
    app.state.observer = observer
    app.state.draining = draining
    app.state.database = Database(_database_url(settings), settings, observer)
    app.state.purge_rhythm = Rhythm()
    app.state.session_database = _session_database(settings, app.state.database, observer)
    app.state.listeners = Listeners(app.state.database, settings.live_connections_per_user, observer)
    app.state.jwks = Jwks(settings.jwks_url) if settings.jwks_url else None
    app.state.verifier = _verifier(settings, app.state.jwks, app.state.session_database, observer)
    cors = Cors(app, **_pages(settings))
    app.state.admission = Admission(app.state.database, app.state.verifier, observer, cors, settings)
    app.state.rate_limits = RateLimits.of(settings, observer)
    add_error_handlers(app)
    describe_events(app)
    return app


def _pages(settings: Settings) -> dict[str, Any]:
    """Whose pages may call, and what they may read beside what all may."""
    return {"origins": settings.cors_origin_list, "exposed": [HEADER] if settings.server_timing else []}


def _routes(settings: Settings) -> list[BaseRoute]:
    """Return what there is. The rest has no route and is answered as any path that never was."""
    pages = [docs_page] * settings.docs_on + [metrics_page] * settings.metrics_on
    return [*ROUTES, *completed([route for page in pages for route in page.routes])]


def _database_url(settings: Settings) -> str:
    return settings.database_url or embedded.url(settings.data_dir)


def _observer(settings: Settings) -> Observer:
    """Who is told what the service does: nobody, or one that counts, or tells the caller, or both."""
    if settings.server_timing:
        return TimedMetrics() if settings.metrics_on else Timings()
    return Metrics() if settings.metrics_on else Observer()


def _session_database(settings: Settings, tasks: Database, observer: Observer) -> Database | None:
    """Return where Better Auth keeps its sessions; None where session tokens are not accepted."""
    match settings.better_auth_database_url:
        case "":
            return None
        case "same" | settings.database_url:
            return tasks
    try:
        return Database(settings.better_auth_database_url, settings, observer)
    except ConfigurationError as error:
        raise ConfigurationError(f"BETTER_AUTH_{error}") from None


def _verifier(
    settings: Settings, jwks: Jwks | None, session_database: Database | None, observer: Observer
) -> Verifier:
    """Each kind of credential is accepted when its setting is there."""
    rules = ClaimRules(settings.issuer, settings.audiences)
    sessions = None
    if session_database is not None:
        sessions = SessionVerifier(settings.better_auth_secret, Sessions(session_database).find)
    return Verifier(TokenVerifier(settings.better_auth_secret, jwks, rules), sessions, observer=observer)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Start and stop what lives as long as the process: logging, the embedded database, purge, pool."""
    settings: Settings = app.state.settings
    configure_logging(settings)
    end_with_supervisor(settings.shutdown_delay + settings.shutdown_grace + 1)
    collect_less_often()
    begin()
    with ExitStack() as stack:
        if not settings.database_url:
            url = stack.enter_context(embedded.embedded_postgres(settings.data_dir))
            await asyncio.to_thread(migrate, url)
        if app.state.jwks is not None:
            app.state.jwks.refresh()  # behind: the start waits for no other server
        connecting = asyncio.create_task(app.state.rate_limits.open())  # the same
        stack.callback(connecting.cancel)
        app.state.listeners.begin()
        stack.enter_context(app.state.draining.before_signals(app.state.listeners.end))
        async with purged_daily(
            _database_url(settings), settings, app.state.database, app.state.purge_rhythm
        ):
            yield
        with suppress(TimeoutError):
            async with asyncio.timeout(app.state.draining.seconds_left()):
                await close(app)


async def close(app: FastAPI) -> None:
    """Give back what the app holds in the running event loop; it may be used again, in any."""
    app.state.admission.tell()
    if app.state.jwks is not None:
        await app.state.jwks.close()
    if app.state.session_database is not None:
        await app.state.session_database.close()
    await app.state.database.close()
    await app.state.rate_limits.close()


def __getattr__(name: str) -> FastAPI:
    """Make `app` when it is first asked for (PEP 562).

    So importing this module reads no settings and writes no file; `uvicorn app.main:app` and
    `from app.main import app` work as ever, and a setting that won't do is one line.
    """
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        made = create_app(get_settings())
    except ConfigurationError as error:
        sys.exit(f"tasks-api: {error}")
    globals()[name] = made
    return made
