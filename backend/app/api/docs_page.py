"""/docs without the internet: Swagger UI's files come from a package, not from somebody's server."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response

from app.errors import NotFound

_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def show_docs() -> HTMLResponse:
    """Show Swagger UI. Its links are relative, so that it works below a proxy's path too."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Tasks API",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="docs/favicon-32x32.png",
        swagger_ui_parameters={"persistAuthorization": True, "tryItOutEnabled": True},
    )
    page.headers["Content-Security-Policy"] = _policy(bytes(page.body).decode())
    return page


@router.get("/docs/{name}")
def get_docs_file(name: str) -> Response:
    """Send one of the page's files; whole, because Starlette refuses odd ranges in a shape of its own."""
    if name not in _FILES:
        raise NotFound
    return Response(_content(name), media_type=_FILES[name])


@cache
def _content(name: str) -> bytes:
    """Read a file once: those who are slow to take it share it."""
    return Path(str(files("fastapi_swagger")), "resources", name).read_bytes()


def _policy(html: str) -> str:
    """Allow the page's own files, its one inline script by its hash, and nothing else."""
    script = html.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'self'; script-src 'self' 'sha256-{digest}'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
