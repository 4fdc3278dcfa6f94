"""Litestar with advanced-alchemy's service, msgspec's structs and its own JWT authentication.

After https://docs.litestar.dev/latest/usage/security/jwt.html and
https://advanced-alchemy.litestar.dev/latest/usage/frameworks/litestar.html.
"""

import os
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from advanced_alchemy.base import DefaultBase
from advanced_alchemy.extensions.litestar import (
    EngineConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyPlugin,
    providers,
    repository,
    service,
)
from advanced_alchemy.mixins import AuditColumns
from advanced_alchemy.types import DateTimeUTC
from litestar import Controller, Litestar, Request, Response, delete, get, patch, post
from litestar.exceptions import ValidationException
from litestar.security.jwt import JWTAuth, Token
from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import String, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

Text = Annotated[str, Meta(min_length=1, max_length=500)]
Asked: TypeAlias = Request[str, Token, Any]


class Task(AuditColumns, DefaultBase):
    """Its own id: the library's UUIDv7 base would read a column more, for inserts of many rows."""

    __tablename__ = "tasks"

    id: Mapped[UUID] = mapped_column(default=uuid7, primary_key=True)
    user_id: Mapped[str] = mapped_column(String(255), index=True)
    text: Mapped[str] = mapped_column(String(500))
    completed: Mapped[bool] = mapped_column(default=False)
    order: Mapped[int] = mapped_column(default=0)
    completed_at: Mapped[datetime | None] = mapped_column(DateTimeUTC(timezone=True), default=None)


class TaskCreate(Struct):
    text: Text


class TaskPatch(Struct):
    text: Text | UnsetType = UNSET
    completed: bool | UnsetType = UNSET


class TaskResponse(Struct):
    id: UUID
    user_id: str
    text: str
    completed: bool
    order: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


class TaskListResponse(Struct):
    tasks: list[TaskResponse]
    count: int


class TaskService(service.SQLAlchemyAsyncRepositoryService[Task]):
    class Repository(repository.SQLAlchemyAsyncRepository[Task]):
        model_type = Task

    repository_type = Repository


class TaskController(Controller):
    path = "/tasks"
    dependencies = providers.create_service_dependencies(TaskService, "tasks")

    @get()
    async def list_tasks(self, request: Asked, tasks: TaskService) -> TaskListResponse:
        found = await tasks.get_many(user_id=request.user, order_by=[("order", False), ("created_at", True)])
        read = [tasks.to_schema(task, schema_type=TaskResponse) for task in found]
        return TaskListResponse(read, len(read))

    @post()
    async def create_task(self, request: Asked, tasks: TaskService, data: TaskCreate) -> TaskResponse:
        made = await tasks.create({"text": data.text, "user_id": request.user})
        return tasks.to_schema(made, schema_type=TaskResponse)

    @get("/{task_id:uuid}")
    async def get_task(self, request: Asked, tasks: TaskService, task_id: UUID) -> TaskResponse:
        found = await tasks.get_one(id=task_id, user_id=request.user)
        return tasks.to_schema(found, schema_type=TaskResponse)

    @patch("/{task_id:uuid}")
    async def patch_task(
        self, request: Asked, tasks: TaskService, task_id: UUID, data: TaskPatch
    ) -> TaskResponse:
        task = await tasks.get_one(id=task_id, user_id=request.user)
        if data.text is not UNSET:
            task.text = data.text
        if data.completed is not UNSET and data.completed != task.completed:
            task.completed = data.completed
            task.completed_at = datetime.now(UTC) if data.completed else None
        changed = await tasks.update(task)
        return tasks.to_schema(changed, schema_type=TaskResponse)

    @delete("/{task_id:uuid}")
    async def delete_task(self, request: Asked, tasks: TaskService, task_id: UUID) -> None:
        task = await tasks.get_one(id=task_id, user_id=request.user)
        await tasks.delete(task.id)


@get("/health")
async def health(db_session: AsyncSession) -> dict[str, str]:
    await db_session.execute(text("SELECT 1"))
    return {"status": "healthy", "database": "connected", "version": "1.0.0"}


async def retrieve_user(token: Token, _connection: object) -> str:
    return token.sub


def invalid(_request: object, error: ValidationException) -> Response[dict[str, Any]]:
    return Response({"detail": error.detail, "extra": error.extra}, status_code=422)


database = SQLAlchemyAsyncConfig(
    connection_string=os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:", 1),
    engine_config=EngineConfig(pool_size=10, max_overflow=0),
    before_send_handler="autocommit",
)
jwt_auth = JWTAuth[str, Token](
    retrieve_user_handler=retrieve_user, token_secret=os.environ["BETTER_AUTH_SECRET"], exclude=["^/health$"]
)
app = Litestar(
    route_handlers=[TaskController, health],
    plugins=[SQLAlchemyPlugin(config=database)],
    on_app_init=[jwt_auth.on_app_init],
    exception_handlers={ValidationException: invalid},
)
