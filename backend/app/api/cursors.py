"""Cursors: a place in a list as a caller carries it from page to page, without looking inside."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

import orjson

from app.errors import ValidationFailed
from app.queries.reading import Part, Place

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ORDERS = range(-(2**31), 2**31)  # PostgreSQL's integer
_MOST_OF_A_TEXT = 500


def cursor(part: Part, place: Place) -> str:
    """Write a place in the list that was asked for.

    It is not signed: a made-up one chooses among its caller's own tasks, as the other parameters do.
    """
    key = (place.key - _EPOCH) // _MICROSECOND if isinstance(place.key, datetime) else place.key
    filters = orjson.dumps([part.completed, part.q, part.updated_since])
    mark = blake2b(filters, digest_size=6).hexdigest()
    return urlsafe_b64encode(orjson.dumps([part.sort, key, place.id.hex, mark])).decode().rstrip("=")


def place(text: str, part: Part) -> Place:
    """Read a cursor; raises ValidationFailed if it isn't exactly what `cursor` writes for this list."""
    try:
        _sort, key, task_id, _mark = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        found = Place(_key(key, part.sort.removeprefix("-")), UUID(hex=task_id))
    except (ValueError, TypeError, AttributeError, OverflowError):
        found = None
    if found is None or cursor(part, found) != text:
        raise ValidationFailed(
            details=["cursor - was not given for this sort and these filters; start again without it"]
        )
    return found


def _key(key: Any, field: str) -> int | str | datetime | None:  # noqa: ANN401 - it is any JSON
    """Return what tasks are sorted by; raises ValueError and others if tasks can't have it."""
    match field, key:
        case "order", int() if key in _ORDERS and not isinstance(key, bool):
            return key
        case "text", str() if "\0" not in key and len(key) <= _MOST_OF_A_TEXT:
            return key
        case "completed_at", None:
            return None
        case "created_at" | "updated_at" | "completed_at", int():
            return _EPOCH + timedelta(microseconds=key)
    raise ValueError
