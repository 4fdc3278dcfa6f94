"""What a route may ask for."""

import re
from collections.abc import AsyncIterator, Collection
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.security import HTTPBearer

from app.api.entity_tags import Condition, condition
from app.auth import SignIn, bearer_token
from app.config import Settings
from app.database import Database
from app.errors import PreconditionRequired
from app.queries.live import Listeners
from app.queries.revisions import UserRevisions
from app.queries.tasks import UserTasks

_REVISION = re.compile(r"0|[1-9][0-9]{0,17}")

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


async def get_listeners(request: Request) -> Listeners:
    """Return the open event streams of this process; whoever writes tells them."""
    listeners: Listeners = request.app.state.listeners
    return listeners


SettingsDep = Annotated[Settings, Depends(get_app_settings)]
DatabaseDep = Annotated[Database, Depends(get_database)]
ListenersDep = Annotated[Listeners, Depends(get_listeners)]


async def get_user_tasks(request: Request, database: DatabaseDep, listeners: ListenersDep) -> UserTasks:
    """Return the caller's tasks, the only ones a route ever sees."""
    return UserTasks(database, request.state.user.id, listeners.tell)


async def get_user_revisions(
    request: Request,
    response: Response,
    database: DatabaseDep,
    listeners: ListenersDep,
) -> AsyncIterator[UserRevisions]:
    """Follow the caller's revisions until the answer is sent. What can fail fails before it begins."""
    user = request.state.user
    credential = bearer_token(request.headers.getlist("authorization"))
    sign_in = SignIn(request.app.state.verifier, credential, user)
    response.headers["Cache-Control"] = "no-store, no-transform"  # compressing proxies hold events back
    with listeners.listen(user.id, sign_in) as listener:
        revisions = UserRevisions(database, user.id, listeners.tell, listener=listener)
        heard = _REVISION.fullmatch(request.headers.get("last-event-id", ""))
        await revisions.start(int(heard[0]) if heard else None)
        yield revisions


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
UserRevisionsDep = Annotated[UserRevisions, Depends(get_user_revisions)]
UserTasksDep = Annotated[UserTasks, Depends(get_user_tasks)]
