"""The header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07)."""

import re
from collections.abc import Sequence
from typing import Any

from app.errors import BadRequest

# The draft's form is a string of RFC 9651 section 3.3.3, in quotes; a bare one is what most clients send.
_MOST = 255
_QUOTED = re.compile(rf'"((?:[!#-\[\]-~]|\\["\\]){{1,{_MOST}}})"')
_BARE = re.compile(rf"[!#-+\--~]{{1,{_MOST}}}")

KEY_PARAMETER: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A text of your own, a UUID at best: the same request sent again is not made twice",
    "schema": {"type": "string", "pattern": f"^({_BARE.pattern}|{_QUOTED.pattern})$"},
}


def idempotency_key(values: Sequence[str]) -> str | None:
    """Read the header; None where it did not come. Raises BadRequest."""
    if not values:
        return None
    text = values[0].strip(" \t")
    if len(values) == 1 and _BARE.fullmatch(text):
        return text
    quoted = _QUOTED.fullmatch(text)
    if len(values) > 1 or not quoted:
        raise BadRequest(
            f"Idempotency-Key: send one, of 1 to {_MOST} visible characters, like "
            '"8e03978e-40d5-43dd-bc93-6894a57f9324".'
        )
    return re.sub(r"\\(.)", r"\1", quoted[1])
