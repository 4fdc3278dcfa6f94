"""What a route may ask for."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from app.config import Settings
from app.database import Database
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


UserTasksDep = Annotated[UserTasks, Depends(get_user_tasks)]
