"""Where what schemathesis takes for good is not: each filter says why."""

from typing import Any

import schemathesis

CONDITIONS = ("If-Match", "If-None-Match")


@schemathesis.hook
def filter_body(_context: object, body: Any) -> bool:
    """To JSON Schema 1.0 is an integer; to us it is a fraction written by mistake, and 422."""
    return not (isinstance(body, dict) and isinstance(body.get("order"), float))


@schemathesis.hook
def filter_case(_context: object, case: Any) -> bool:
    """It sends the number 0 for a text with a pattern, and holds it for a text that fits."""
    headers = case.headers or {}
    return not any(str(headers.get(name, '"')).strip().isdecimal() for name in CONDITIONS)
