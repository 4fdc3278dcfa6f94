"""Where what schemathesis takes for good is not: each filter says why."""

from typing import Any
from uuid import UUID

import schemathesis

CONDITIONS = ("If-Match", "If-None-Match")
ANCHORS = ("after", "before")


@schemathesis.hook
def filter_body(_context: object, body: Any) -> bool:
    """To JSON Schema 1.0 is an integer; to us it is a fraction written by mistake, and 422."""
    return not (isinstance(body, dict) and isinstance(body.get("order"), float))


@schemathesis.hook
def map_case(_context: object, case: Any) -> Any:
    """An id that it made up is of no task, and a place next to none is 422: only null can be good."""
    if isinstance(case.body, dict):
        case.body = {k: None if k in ANCHORS and _is_id(v) else v for k, v in case.body.items()}
    return case


def _is_id(value: Any) -> bool:
    try:
        return bool(UUID(value))
    except (ValueError, TypeError, AttributeError):
        return False


@schemathesis.hook
def filter_case(_context: object, case: Any) -> bool:
    """It sends the number 0 for a text with a pattern, and holds it for a text that fits."""
    headers = case.headers or {}
    return not any(str(headers.get(name, '"')).strip().isdecimal() for name in CONDITIONS)
