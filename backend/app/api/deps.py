"""What a route may ask for."""

from collections.abc import Collection
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from app.api.entity_tags import Condition, condition
from app.config import Settings
from app.database import Database
from app.errors import PreconditionRequired
from app.queries.reading import UserParts
from app.queries.tasks import UserTasks

#: Only for the OpenAPI document; GuardedRoute has checked the token before this runs.
bearer = HTTPBearer(
    scheme_name="BearerAuth",
    bearerFormat="JWT",
    description="A token of your Better Auth front end; locally: `tasks-api token --user alice`",
    auto_error=False,
)


async def get_app_settings(request: Request) -> Settings:
    """Return the settings that this app was made with."""
    settings: Settings = request.app.state.settings
    return settings


async def get_database(request: Request) -> Database:
    """Return the app's way to PostgreSQL."""
    database: Database = request.app.state.database
    return database


SettingsDep = Annotated[Settings, Depends(get_app_settings)]
DatabaseDep = Annotated[Database, Depends(get_database)]


async def get_user_tasks(request: Request, database: DatabaseDep) -> UserTasks:
    """Return the caller's tasks, the only ones a route ever sees."""
    return UserTasks(database, request.state.user.id)


async def get_user_parts(request: Request, database: DatabaseDep) -> UserParts:
    """Return the caller's tasks to read a part of."""
    return UserParts(database, request.state.user.id)


async def get_if_match(request: Request, settings: SettingsDep) -> Collection[int] | None:
    """Return the revisions that a change is for; None where any will do."""
    found = condition("If-Match", request.headers.getlist("if-match"), weak=False)
    if found is None and settings.require_if_match:
        raise PreconditionRequired
    return None if found is None or found.anything else found.revisions


async def get_if_none_match(request: Request) -> Condition:
    """Return what the caller has already."""
    return condition("If-None-Match", request.headers.getlist("if-none-match"), weak=True) or Condition()


IfMatchDep = Annotated[Collection[int] | None, Depends(get_if_match)]
IfNoneMatchDep = Annotated[Condition, Depends(get_if_none_match)]
UserPartsDep = Annotated[UserParts, Depends(get_user_parts)]
UserTasksDep = Annotated[UserTasks, Depends(get_user_tasks)]
