"""A route of Starlette that asks no database: what a framework for Python can do at most."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def health(_request: Request) -> JSONResponse:
    return JSONResponse({"status": "healthy", "database": "connected", "version": "1.0.0"})


app = Starlette(routes=[Route("/health", health)])
