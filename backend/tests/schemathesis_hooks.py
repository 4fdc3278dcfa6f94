"""Where what schemathesis takes for good is not: each filter says why."""

import json
import re
from typing import Any
from uuid import uuid4

import hypothesis
import schemathesis
from schemathesis.openapi.checks import UseAfterFree

from app.api.idempotency import KEY_PARAMETER


# It leans towards what is accepted, and half of the time goes into that; half of all is accepted anyway.
def _leaning_nowhere(observation: float, *, label: str = "") -> float:
    return observation


hypothesis.target = _leaning_nowhere

KEY = "Idempotency-Key"
QUOTED_OR_BARE = re.compile(KEY_PARAMETER["schema"]["pattern"])
TEXTS = (KEY, "If-Match", "If-None-Match")
INTEGERS = ("order", "if_match")


@schemathesis.hook
def filter_body(_context: object, body: Any) -> bool:
    """To JSON Schema 1.0 is an integer; to us it is a fraction written by mistake, and 422."""
    return not any(isinstance(task.get(name), float) for task in _tasks(body) for name in INTEGERS)


def _tasks(body: Any) -> list[dict[str, Any]]:
    operations = body.get("operations") if isinstance(body, dict) else None
    found = [body, *(operations if isinstance(operations, list) else [])]
    return [task for task in found if isinstance(task, dict)]


@schemathesis.hook
def filter_case(_context: object, case: Any) -> bool:
    """For a text in a header it sends a number, say, and then takes the digits for no text."""
    headers = case.headers or {}
    return not any(_is_other_json(str(headers.get(name, '""')).strip()) for name in TEXTS)


def _is_other_json(text: str) -> bool:
    try:
        return not isinstance(json.loads(text), str)
    except ValueError:
        return False


@schemathesis.hook
def map_case(_context: object, case: Any) -> Any:
    """No schema can say which cursors and revisions there are, nor which keys were used.

    A made-up one is left out, not sent; a key is made one that was not used before.
    """
    if re.fullmatch(r"[A-Za-z0-9_-]+", str((case.query or {}).get("cursor", ""))):
        del case.query["cursor"]
    if re.fullmatch(r"[1-9][0-9]*", str((case.query or {}).get("since", ""))):
        del case.query["since"]
    if KEY in (case.headers or {}):
        case.headers[KEY] = _anew(str(case.headers[KEY]))
    return case


def _anew(key: str) -> str:
    """Make a key that is read another one; one that can't be read stays so."""
    other = f'{key[:-1]}{uuid4()}"' if key.endswith('"') else f"{key}{uuid4()}"
    return other if QUOTED_OR_BARE.fullmatch(key) and QUOTED_OR_BARE.fullmatch(other) else key


#: The ids of tasks that came back out of the trash, which its check of deleted resources does not know of.
_restored: set[str] = set()


@schemathesis.hook
def after_call(_context: object, case: Any, response: Any) -> None:
    """Follow deletes and restores: what was deleted once more is not back."""
    if not 200 <= response.status_code < 300:
        return
    task = str((case.path_parameters or {}).get("task_id"))
    if case.path.endswith("/batch"):
        _restored.difference_update(str(operation.get("id")) for operation in _tasks(case.body))
    elif case.method == "DELETE":
        _restored.discard(task)
    elif case.path.endswith("/restore"):
        _restored.add(task)


@schemathesis.hook
def filter_failure(_context: object, failure: Any, case: Any, _response: object) -> bool:
    """A task that was restored after its delete can be used again."""
    return not (isinstance(failure, UseAfterFree) and str(case.path_parameters["task_id"]) in _restored)
