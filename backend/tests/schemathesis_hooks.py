"""The one place where the service is stricter than JSON Schema can say."""

from typing import Any

import schemathesis


@schemathesis.hook
def filter_body(_context: object, body: Any) -> bool:
    """To JSON Schema 1.0 is an integer; to us it is a fraction written by mistake, and 422."""
    return not (isinstance(body, dict) and isinstance(body.get("order"), float))
