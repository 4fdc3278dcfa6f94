"""The plan as its libraries' documentation teaches it: FastAPI, an async SQLModel session, PyJWT.

After https://sqlmodel.tiangolo.com/tutorial/fastapi/ and https://fastapi.tiangolo.com/tutorial/security/.
"""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import DateTime, desc
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlmodel import Field, SQLModel, col, select, text
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

SECRET = os.environ["BETTER_AUTH_SECRET"]
URL = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:", 1)

engine = create_async_engine(URL, pool_size=10, max_overflow=0)
new_session = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
app = FastAPI()


def _now() -> datetime:
    return datetime.now(UTC)


class Task(SQLModel, table=True):
    __tablename__ = "tasks"

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    user_id: str = Field(index=True, max_length=255)
    text: str = Field(max_length=500)
    completed: bool = False
    order: int = 0
    created_at: datetime = Field(default_factory=_now, sa_type=DateTime(timezone=True))
    updated_at: datetime = Field(default_factory=_now, sa_type=DateTime(timezone=True))
    completed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


class TaskCreate(SQLModel):
    text: str = Field(min_length=1, max_length=500)


class TaskPatch(SQLModel):
    text: str | None = Field(default=None, min_length=1, max_length=500)
    completed: bool | None = None


class TaskResponse(SQLModel):
    id: UUID
    user_id: str
    text: str
    completed: bool
    order: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


class TaskListResponse(SQLModel):
    tasks: list[TaskResponse]
    count: int


class HealthResponse(SQLModel):
    status: str
    database: str
    version: str


async def get_session() -> AsyncIterator[AsyncSession]:
    async with new_session() as session:
        yield session


async def get_current_user(
    credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())],
) -> str:
    try:
        claims = jwt.decode(
            credentials.credentials, SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]}
        )
    except jwt.InvalidTokenError:
        raise HTTPException(401, "Could not validate credentials", {"WWW-Authenticate": "Bearer"}) from None
    return str(claims["sub"])


CurrentUser = Annotated[str, Depends(get_current_user)]
Session = Annotated[AsyncSession, Depends(get_session)]


async def own_task(task_id: UUID, user_id: str, session: AsyncSession) -> Task:
    found = await session.exec(select(Task).where(Task.id == task_id, Task.user_id == user_id))
    task = found.first()
    if task is None:
        raise HTTPException(404, "Task not found")
    return task


@app.get("/tasks", response_model=TaskListResponse)
async def list_tasks(user_id: CurrentUser, session: Session) -> object:
    newest_first = desc(col(Task.created_at))
    found = await session.exec(
        select(Task).where(Task.user_id == user_id).order_by(col(Task.order), newest_first)
    )
    tasks = found.all()
    return {"tasks": tasks, "count": len(tasks)}


@app.post("/tasks", response_model=TaskResponse, status_code=201)
async def create_task(body: TaskCreate, user_id: CurrentUser, session: Session) -> object:
    task = Task.model_validate(body, update={"user_id": user_id})
    session.add(task)
    await session.commit()
    await session.refresh(task)
    return task


@app.get("/tasks/{task_id}", response_model=TaskResponse)
async def get_task(task_id: UUID, user_id: CurrentUser, session: Session) -> object:
    return await own_task(task_id, user_id, session)


@app.patch("/tasks/{task_id}", response_model=TaskResponse)
async def patch_task(task_id: UUID, body: TaskPatch, user_id: CurrentUser, session: Session) -> object:
    task = await own_task(task_id, user_id, session)
    changes = body.model_dump(exclude_unset=True)
    now = _now()
    if changes.get("completed") not in {None, task.completed}:
        changes["completed_at"] = now if changes["completed"] else None
    task.sqlmodel_update(changes, update={"updated_at": now})
    session.add(task)
    await session.commit()
    await session.refresh(task)
    return task


@app.delete("/tasks/{task_id}", status_code=204)
async def delete_task(task_id: UUID, user_id: CurrentUser, session: Session) -> None:
    task = await own_task(task_id, user_id, session)
    await session.delete(task)
    await session.commit()


@app.get("/health", response_model=HealthResponse)
async def health(session: Session) -> object:
    await session.exec(text("SELECT 1"))  # type: ignore[call-overload]
    return {"status": "healthy", "database": "connected", "version": "1.0.0"}
