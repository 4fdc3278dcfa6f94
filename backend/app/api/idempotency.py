"""The header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07)."""

import re
from collections.abc import Sequence

from app.errors import BadRequest

# The draft's form is a string of RFC 9651 section 3.3.3, in quotes; a bare one is what most clients send.
_QUOTED = re.compile(r'"((?:[!#-\[\]-~]|\\["\\]){1,510})"')
_BARE = re.compile(r"[!#-+\--~]{1,255}")
_MOST = 255

KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A text of your own, a UUID at best: the same request sent again is not made twice",
    "schema": {"type": "string", "pattern": r"^[A-Za-z0-9._~-]{1,255}$"},
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}


def idempotency_key(values: Sequence[str]) -> str | None:
    """Read the header; None where it did not come. Raises BadRequest."""
    if not values:
        return None
    text = values[0].strip(" \t")
    if len(values) == 1 and _BARE.fullmatch(text):
        return text
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else ""
    if len(values) > 1 or not 1 <= len(key) <= _MOST:
        raise BadRequest(
            f"Idempotency-Key: send one, of 1 to {_MOST} visible characters, like "
            '"8e03978e-40d5-43dd-bc93-6894a57f9324".'
        )
    return key
