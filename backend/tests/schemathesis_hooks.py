"""Where what schemathesis takes for good is not: each filter says why."""

import re
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


@schemathesis.hook
def map_case(_context: object, case: Any) -> Any:
    """No schema can say which cursors were given: a made-up one that looks like one is left out, not sent."""
    if re.fullmatch(r"[A-Za-z0-9_-]+", str((case.query or {}).get("cursor", ""))):
        del case.query["cursor"]
    return case
