"""Entity tags and the headers that list them (RFC 9110 sections 8.8.3, 13.1.1 and 13.1.2)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import BadRequest

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_A_TAG = "\0"  # stands for one while a list is looked at; no header has it
_OURS = re.compile(r'(W/)?"(0|[1-9][0-9]{0,17})"')


@dataclass(frozen=True, slots=True)
class Condition:
    """What If-Match or If-None-Match lists: revisions, or anything (`*`)."""

    revisions: frozenset[int] = frozenset()
    anything: bool = False

    def holds(self, revision: int) -> bool:
        """Whether something with this revision is listed."""
        return self.anything or revision in self.revisions


def condition(name: str, values: Sequence[str], *, weak: bool) -> Condition | None:
    """Read a header that may come in several lines; None where it did not come.

    Weak tags count only for the weak comparison. A tag that we never gave matches nothing. Raises BadRequest.
    """
    if not values:
        return None
    text = ", ".join(values).strip(" \t")
    if text == "*":
        return Condition(anything=True)
    # It may have empty elements (RFC 9110 section 5.6.1.2). One pattern for all could be made to backtrack.
    elements = {element.strip(" \t") for element in re.sub(_TAG, _A_TAG, text).split(",")}
    if _A_TAG not in elements or not elements <= {"", _A_TAG}:
        raise BadRequest(f'{name}: write it as it came in ETag, like "5", several with commas, or as *.')
    found = [match for tag in re.findall(_TAG, text) if (match := _OURS.fullmatch(tag))]
    return Condition(frozenset(int(match[2]) for match in found if weak or not match[1]))


def described(name: str, description: str) -> dict[str, Any]:
    """Describe a header for the OpenAPI document, where FastAPI can't: it may come in several lines.

    The pattern is narrower than what is read. There is no example: /docs would send it with every try.
    """
    schema = {"type": "string", "pattern": r'^(\*|(W/)?"[!#-~]*"(, (W/)?"[!#-~]*")*)$'}
    parameter = {"name": name, "in": "header", "description": description, "schema": schema}
    return {"parameters": [parameter]}
