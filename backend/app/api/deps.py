"""What a route may ask for."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Annotated, TypeVar

from fastapi import Depends, Request, Response
from fastapi.security import HTTPBearer

from app.api.entity_tags import Condition, condition
from app.api.idempotency import idempotency_key
from app.auth import SignIn, bearer_token
from app.config import Settings
from app.database import Database
from app.errors import PreconditionRequired
from app.queries.batch import UserBatches
from app.queries.changes import UserChanges
from app.queries.live import Listeners
from app.queries.order import UserOrder
from app.queries.owned import Owned
from app.queries.reading import UserParts
from app.queries.revisions import UserRevisions
from app.queries.tasks import UserTasks
from app.queries.trash import UserTrash

_Owned = TypeVar("_Owned", bound=Owned)

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


def owned(kind: type[_Owned]) -> Callable[..., Awaitable[_Owned]]:
    """Make the dependency that gives the caller's own, the only ones a route ever sees."""

    async def get_owned(request: Request) -> _Owned:
        app, asked = request.app.state, request.state
        return kind(app.database, asked.user.id, app.listeners.tell, _until=asked.until)

    return get_owned


async def get_user_batches(request: Request) -> UserBatches:
    """Return the caller's batches."""
    app, asked = request.app.state, request.state
    demands = app.settings.require_if_match
    return UserBatches(app.database, asked.user.id, app.listeners.tell, demands, _until=asked.until)


async def get_user_revisions(
    request: Request, response: Response, database: DatabaseDep, listeners: ListenersDep
) -> AsyncIterator[UserRevisions]:
    """Follow the caller's revisions until the answer is sent. What can fail fails before it begins."""
    user = request.state.user
    credential = bearer_token(request.headers.getlist("authorization"))
    sign_in = SignIn(request.app.state.verifier, credential, user)
    response.headers["Cache-Control"] = "no-store, no-transform"  # compressing proxies hold events back
    with listeners.listen(user.id, sign_in) as listener:
        until = request.state.until
        revisions = UserRevisions(database, user.id, listeners.tell, listener=listener, _until=until)
        heard = _REVISION.fullmatch(request.headers.get("last-event-id", ""))
        await revisions.start(int(heard[0]) if heard else None)
        yield revisions


async def get_if_match(request: Request) -> Collection[int] | None:
    """Return the revisions that a change is for; None where any will do."""
    found = condition("If-Match", request.headers.getlist("if-match"), weak=False)
    if found is None and request.app.state.settings.require_if_match:
        raise PreconditionRequired
    return None if found is None or found.anything else found.revisions


async def get_if_none_match(request: Request) -> Condition:
    """Return what the caller has already."""
    return condition("If-None-Match", request.headers.getlist("if-none-match"), weak=True) or Condition()


async def get_idempotency_key(request: Request) -> str | None:
    """Return the key that makes a request one that is made only once; None where it has none."""
    return idempotency_key(request.headers.getlist("idempotency-key"))


IdempotencyKeyDep = Annotated[str | None, Depends(get_idempotency_key)]
IfMatchDep = Annotated[Collection[int] | None, Depends(get_if_match)]
IfNoneMatchDep = Annotated[Condition, Depends(get_if_none_match)]
UserBatchesDep = Annotated[UserBatches, Depends(get_user_batches)]
UserChangesDep = Annotated[UserChanges, Depends(owned(UserChanges))]
UserOrderDep = Annotated[UserOrder, Depends(owned(UserOrder))]
UserPartsDep = Annotated[UserParts, Depends(owned(UserParts))]
UserRevisionsDep = Annotated[UserRevisions, Depends(get_user_revisions)]
UserTasksDep = Annotated[UserTasks, Depends(owned(UserTasks))]
UserTrashDep = Annotated[UserTrash, Depends(owned(UserTrash))]
