"""What the framework leaves out of a route: HEAD beside GET, and a path that ends where it says."""

import copy
import re
from collections.abc import Iterable

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute


def completed(routes: Iterable[BaseRoute]) -> list[BaseRoute]:
    """Return the routes with what they lack.

    The routes for HEAD stand last, so that no other request has to look past them. A stream of events has
    none: to know what a GET would answer, 429 say, a stream would have to be opened and thrown away.
    """
    made = [route for route in routes if isinstance(route, APIRoute)]
    for route in made:
        route.path_regex = _to_the_end(route.path_regex)
    return [
        *made,
        *(_head(route) for route in made if "GET" in (route.methods or ()) and not route.is_sse_stream),
    ]


def _to_the_end(path: re.Pattern[str]) -> re.Pattern[str]:
    r"""Let `/metrics%0A` be nowhere: `$` matches before a line break too, and a proxy may go by the path."""
    return re.compile(path.pattern.removesuffix("$").removesuffix(r"\Z") + r"\Z")


def _head(route: APIRoute) -> APIRoute:
    """Make the same route for HEAD (RFC 9110 section 9.3.2).

    It is answered as GET is; the server sends the headers and leaves the body away. The OpenAPI document
    does not list it: it would repeat every GET under an id of its own.
    """
    head = copy.copy(route)
    head.methods, head.include_in_schema = {"HEAD"}, False
    return head
