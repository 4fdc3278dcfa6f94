"""Reading a part of the list over HTTP: what was asked, and the answer with the way to the next page."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import quote, unquote_to_bytes, urlencode

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import QueryParams

from app.api.answers import IF_NONE_MATCH, Responses, answer
from app.api.cursors import cursor, place
from app.api.error_handlers import documented
from app.api.preferences import prefers
from app.errors import ValidationFailed
from app.queries.reading import Found, Part
from app.schemas.reading import ListQuery
from app.schemas.task import task_list_json

_APPLIED = "count=exact"
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "`count=exact` adds `total`, how many tasks the filters let through (RFC 7240)",
    "schema": {"type": "string"},
}
_TEXT = {"type": "string"}

_QUERY = [
    {"name": name, "in": "query", "description": rule.pop("description"), "schema": rule}
    for name, rule in ListQuery.model_json_schema()["properties"].items()
]

#: For the OpenAPI document; what is read of it, is read below.
PARAMETERS = {"parameters": [*_QUERY, _PREFER, *IF_NONE_MATCH["parameters"]]}
PAGE: Responses = documented(ValidationFailed) | {
    200: {
        "headers": {
            "Link": {"description": 'With `rel="next"`, where the next page is (RFC 8288)', "schema": _TEXT},
            "Preference-Applied": {"description": "`count=exact`, if that was preferred", "schema": _TEXT},
        }
    }
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A part that was asked for, and how: the path, and our parameters as they were sent."""

    part: Part
    path: str
    parameters: dict[str, str]


async def get_asked(request: Request) -> Asked | None:
    """Return the part of the list that is asked for; None if it is all of it, with nothing said.

    Raises RequestValidationError and ValidationFailed.
    """
    given = request.query_params
    counted = prefers("count", "exact", request.headers.getlist("prefer"))
    query = ListQuery()
    if given:
        refuse_unclear(request, ListQuery.model_fields)
        query = _read(given)
    if not query.model_fields_set and not counted:
        return None
    part = Part(**query.model_dump(exclude={"cursor"}), counted=counted)
    if "cursor" in given:
        part = replace(part, after=place(given["cursor"], part))
    sent = {name: given[name] for name in ListQuery.model_fields if name in given}
    return Asked(part, quote(request.scope["path"]), sent)


def refuse_unclear(request: Request, names: Iterable[str]) -> None:
    """Raise ValidationFailed where others could read the query differently: given twice, or no UTF-8."""
    try:
        unquote_to_bytes(request.scope["query_string"]).decode()
    except UnicodeDecodeError:
        raise ValidationFailed(details=["query - must be UTF-8, percent-encoded"]) from None
    repeated = [name for name in names if len(request.query_params.getlist(name)) > 1]
    if repeated:
        raise ValidationFailed(details=[f"{name} - must be given only once" for name in repeated])


def _read(given: QueryParams) -> ListQuery:
    """Read the parameters. FastAPI would do it too, but makes every plain list cost a third more (0018)."""
    try:
        return ListQuery.model_validate(dict(given))
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise RequestValidationError([{**item, "loc": ("query", *item["loc"])} for item in found]) from None


AskedDep = Annotated[Asked | None, Depends(get_asked)]


def part_answer(asked: Asked, revision: int, found: Found | None) -> Response:
    """Answer with what was found and, if there is more, with the way to it."""
    etag = f'W/"{revision}"'
    if found is None:
        return answer(None, etag)
    next_cursor = cursor(asked.part, found.end) if found.end else None
    more: dict[str, object] = {}
    if asked.part.limit is not None:
        more["next_cursor"] = next_cursor
    if asked.part.counted:
        more["total"] = found.total
    response = answer(task_list_json(found.rows, **more), etag)
    if next_cursor:
        parameters = urlencode(asked.parameters | {"cursor": next_cursor}, quote_via=quote)
        response.headers["Link"] = f'<{asked.path}?{parameters}>; rel="next"'
    if asked.part.counted:
        response.headers["Preference-Applied"] = _APPLIED
    return response
