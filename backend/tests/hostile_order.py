"""Batches and moves, and what is checked before what when two things are wrong."""

from tests.hostile import CANARY, UUID, VALID, Case, chunked, head, sent
from tests.hostile_bodies import HOST, JSON, MOST, PACKED

CREATE = {"op": "create", "text": "x"}
OPERATIONS = {
    "none": ([], "operations - must have 1 item(s) or more"),
    "101": ([CREATE] * 101, "operations - must have at most 100 items"),
    "an object": ({"op": "create"}, "operations - must be a list"),
    "a text": (CANARY, "operations - must be a list"),
    "a null in it": ([None], "operations[0] - must be a JSON object"),
    "no op": ([{"text": CANARY}], "operations[0] - must have an op: create, patch, delete or restore"),
    "an op that is none": (
        [{"op": CANARY}],
        "operations[0] - must have an op: create, patch, delete or restore",
    ),
    "an op that is a list": (
        [{"op": [CANARY]}],
        "operations[0] - must have an op: create, patch, delete or restore",
    ),
    "an op in capitals": (
        [{"op": "CREATE", "text": "x"}],
        "operations[0] - must have an op: create, patch, delete or restore",
    ),
    "a patch of nothing": (
        [{"op": "patch", "id": "<task>"}],
        "operations[0] - must change text, completed or order",
    ),
    "a patch of no task": ([CREATE, {"op": "patch", "text": "x"}], "operations[1].id - is required"),
    "an id that is none": ([{"op": "delete", "id": CANARY}], f"operations[0].id - {UUID}"),
    "a revision that is none": (
        [{"op": "delete", "id": "<task>", "if_match": 10**18}],
        "operations[0].if_match - must be less than 1000000000000000000",
    ),
    "a revision as a text": (
        [{"op": "delete", "id": "<task>", "if_match": "1"}],
        "operations[0].if_match - must be a whole number",
    ),
    "a revision of a new task": (
        [CREATE | {"if_match": 1}],
        "operations[0] - must not have if_match: a new task has no revision yet",
    ),
}

MOVES = (
    b"{}", b"[]", b'{"After": null}', b'{"after": null, "before": null}', b'{"after": "zq7canary"}',
    b'{"before": 1}',
    b'{"after": []}', b'{"after": "<task>", "before": "<task>"}', b'{"after": ""}', b'{"before": {}}',
)  # fmt: skip

CASES = [
    *(
        Case(
            name=f"a batch of {name}",
            line="POST /tasks/batch",
            body=sent({"operations": operations}),
            code=VALID,
            details=[wrong],
        )
        for name, (operations, wrong) in OPERATIONS.items()
    ),
    Case(
        name="a batch of a hundred mistakes",
        line="POST /tasks/batch",
        body=sent({"operations": [{"op": CANARY}] * 100}),
        code=VALID,
    ),
    Case(
        name="a batch that fails at its end",
        line="POST /tasks/batch",
        body=sent({"operations": [CREATE] * 99 + [{"op": "delete", "id": "<absent>"}]}),
        code="NOT_FOUND",
    ),
    *(
        Case(name=f"a move to {body!r:.60}", line="POST /tasks/<task>/move", body=body, code=VALID)
        for body in MOVES
    ),
    # What is checked before what: two things are wrong, the first is told.
    Case(name="order: path, method", line="PUT /nowhere", signed_in=False, code="NOT_FOUND"),
    Case(
        name="order: method, size",
        raw=head("PUT /tasks", HOST, "Content-Length: 99999999"),
        code="METHOD_NOT_ALLOWED",
        answer={"Allow": "GET, HEAD, POST"},
        unsent=True,
    ),
    Case(
        name="order: path, size",
        raw=head("POST /nowhere", HOST, "Content-Length: 99999999"),
        code="NOT_FOUND",
        unsent=True,
    ),
    Case(
        name="order: size, token",
        raw=head("POST /tasks", HOST, JSON, "Content-Length: 99999999"),
        code="PAYLOAD_TOO_LARGE",
        unsent=True,
    ),
    Case(
        name="order: token, size of chunks",
        raw=head("POST /tasks", HOST, JSON, "Transfer-Encoding: chunked") + chunked(b" " * MOST, b" "),
        code="UNAUTHORIZED",
    ),
    Case(
        name="order: token, media type",
        line="POST /tasks",
        body=b"{",
        media="text/plain",
        signed_in=False,
        code="UNAUTHORIZED",
    ),
    Case(
        name="order: size, media type",
        line="POST /tasks",
        body=b" " * (MOST + 1),
        media="text/plain",
        code="PAYLOAD_TOO_LARGE",
    ),
    Case(
        name="order: media type, JSON",
        line="POST /tasks",
        body=b"{",
        media="text/plain",
        code="UNSUPPORTED_MEDIA_TYPE",
    ),
    Case(
        name="order: coding, media type",
        line="POST /tasks",
        body=b"{",
        media="text/plain",
        fields=["Content-Encoding: gzip"],
        code="UNSUPPORTED_MEDIA_TYPE",
        answer=PACKED,
    ),
    Case(
        name="order: JSON, condition",
        line="PATCH /tasks/<task>",
        body=b"{",
        fields=["If-Match: x"],
        code=VALID,
    ),
    Case(name="order: schema, owner", line="PATCH /tasks/<foreign>", body=b'{"text": 1}', code=VALID),
    Case(name="order: token, id", line="GET /tasks/zq7canary", signed_in=False, code="UNAUTHORIZED"),
    Case(name="order: token, query", line="GET /tasks?limit=x", signed_in=False, code="UNAUTHORIZED"),
]
