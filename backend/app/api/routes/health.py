"""How the service is, and what it is. Open to everybody."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from app import __version__
from app.api.deps import DatabaseDep, DrainingDep, SettingsDep
from app.api.error_handlers import reason_of
from app.api.openapi import operation_id
from app.errors import Unavailable
from app.schemas.health import HealthResponse, LiveResponse, ReadyResponse, ServiceResponse

#: The contract wants a version. Where it is not shown, this is it: the contract's own, which callers know.
_MAJOR_VERSION = __version__.partition(".")[0]

router = APIRouter(tags=["Health"], redirect_slashes=False, generate_unique_id_function=operation_id)


@router.get(
    "/health",
    summary="Service and database status",
    response_description="Healthy",
    responses={503: {"model": HealthResponse, "description": "Unhealthy, same body shape"}},
)
async def health_check(
    request: Request, database: DatabaseDep, settings: SettingsDep, response: Response
) -> HealthResponse:
    """Ask the database, for at most HEALTH_TIMEOUT seconds. For people and deployments.

    An answer that the database gave to somebody else meanwhile says as much, so a busy service is healthy.
    Frequent polls belong on /health/live: a query keeps a serverless database awake.
    """
    version = __version__ if settings.version_shown else _MAJOR_VERSION
    failure = await database.failure_within(settings.health_timeout)
    if failure is not None:
        return _unhealthy(failure, version, request, response)
    return HealthResponse(status="healthy", database="connected", version=version)


def _unhealthy(failure: Unavailable, version: str, request: Request, response: Response) -> HealthResponse:
    request.state.reason = reason_of(failure)
    response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    response.headers.update(failure.headers)
    return HealthResponse(status="unhealthy", database="disconnected", version=version)


@router.get("/health/live", summary="Whether the process answers", response_description="Alive")
async def check_live() -> LiveResponse:
    """Never asks the database, so a poll neither wakes it nor keeps it awake."""
    return LiveResponse()


@router.get(
    "/health/ready",
    summary="Whether to send requests here",
    response_description="Ready",
    responses={503: {"model": ReadyResponse, "description": "About to end, same body shape"}},
)
async def check_ready(draining: DrainingDep, response: Response) -> ReadyResponse:
    """For load balancers: 503 from the signal to end on, while requests are still answered.

    Never asks the database: no other instance would fare better without it.
    """
    if draining.began:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        response.headers["Retry-After"] = "1"  # another instance answers, or this one's successor
        return ReadyResponse(status="draining")
    return ReadyResponse(status="ready")


@router.get("/", include_in_schema=False, response_model_exclude_none=True)
async def show_service(settings: SettingsDep) -> ServiceResponse:
    """Tell who came by without a path what is served here."""
    version = __version__ if settings.version_shown else None
    return ServiceResponse(name="Tasks API", version=version, docs="/docs" if settings.docs_on else None)
