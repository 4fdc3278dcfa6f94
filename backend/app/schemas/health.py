"""How the service is."""

from typing import Literal

from pydantic import BaseModel


class HealthResponse(BaseModel):
    """The service and its database."""

    status: Literal["healthy", "unhealthy"]
    database: Literal["connected", "disconnected"]
    version: str


class LiveResponse(BaseModel):
    """The process answers; nothing is said of the database."""

    status: Literal["alive"] = "alive"


class ReadyResponse(BaseModel):
    """Whether the process takes new requests, or is about to end."""

    status: Literal["ready", "draining"]


class ServiceResponse(BaseModel):
    """What is served here; the version and where the documentation is only where callers may know."""

    name: str
    version: str | None = None
    docs: str | None = None
