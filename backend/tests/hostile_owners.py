"""Another user's tasks, by every way to name one: the same answer as for a task that never was."""

from tests.hostile import CANARY, Case, sent

#: What is done with one task, wherever its id stands.
DONE = {
    "GET /tasks/{id}": None,
    "HEAD /tasks/{id}": None,
    "PUT /tasks/{id}": sent({"text": CANARY, "completed": True}),
    "PATCH /tasks/{id}": sent({"text": CANARY}),
    "DELETE /tasks/{id}": None,
    "POST /tasks/{id}/restore": None,
    "POST /tasks/{id}/move": sent({"after": None}),
    "DELETE /tasks/trash/{id}": None,
}
#: Not theirs, never there, and in the trash, which is not there for all but the trash itself.
WHOSE = ("<foreign>", "<absent>")
OPERATIONS = {
    "patch": {"op": "patch", "text": CANARY},
    "delete": {"op": "delete"},
    "restore": {"op": "restore"},
}
NONE = "You have no task with this id."

CASES = [
    *(
        Case(name=f"{line} of {whose}", line=line.format(id=whose), body=body, code="NOT_FOUND")
        for line, body in DONE.items()
        for whose in WHOSE
    ),
    *(
        Case(name=f"{line} of <trashed>", line=line.format(id="<trashed>"), body=body, code="NOT_FOUND")
        for line, body in DONE.items()
        if "trash/" not in line and "restore" not in line
    ),
    *(
        Case(
            name=f"a batch: {name} {whose}",
            line="POST /tasks/batch",
            code="NOT_FOUND",
            body=sent({"operations": [{"op": "create", "text": CANARY}, {**operation, "id": whose}]}),
        )
        for name, operation in OPERATIONS.items()
        for whose in WHOSE
    ),
    *(
        Case(
            name=f"move {side} {whose}",
            line="POST /tasks/<task>/move",
            body=sent({side: whose}),
            code="VALIDATION_ERROR",
            details=[f"{side} - you have no task with this id"],
        )
        for side in ("after", "before")
        for whose in WHOSE
    ),
    *(
        Case(name=f"{spelled} as the id of another's", line=f"GET /tasks/{spelled}", code="NOT_FOUND")
        for spelled in ("<foreign>?user_id=bob", "%7B<foreign>%7D", "urn:uuid:<foreign>")
    ),
    *(
        Case(
            name=f"with {field.partition(':')[0]}",
            line="GET /tasks/<foreign>",
            fields=[field],
            code="NOT_FOUND",
        )
        for field in (
            "X-User-Id: bob",
            "X-Forwarded-User: bob",
            "Cookie: better-auth.session_token=bob",
            "X-HTTP-Method-Override: DELETE",
            "X-Original-URL: /tasks",
            "X-Rewrite-URL: /metrics",
            "X-Forwarded-For: 127.0.0.1",
            "Forwarded: for=127.0.0.1;by=bob",
        )
    ),
    # Invalid, and another's: refused alike (a caller learns nothing by mistakes).
    *(
        Case(
            name=f"an invalid change of {whose}",
            line=f"PATCH /tasks/{whose}",
            body=b'{"text": ""}',
            code="VALIDATION_ERROR",
            details=["text - must have at least 1 character(s)"],
        )
        for whose in WHOSE
    ),
    *(
        Case(
            name=f"a stale change of {whose}",
            line=f"PATCH /tasks/{whose}",
            fields=['If-Match: "999"'],
            body=b'{"text": "x"}',
            code=code,
        )
        for whose, code in (
            ("<task>", "PRECONDITION_FAILED"),
            ("<foreign>", "NOT_FOUND"),
            ("<absent>", "NOT_FOUND"),
        )
    ),
    # An id is its owner's: that another has it too is no conflict, and tells nothing.
    Case(
        name="another's id for a new task",
        line="POST /tasks",
        body=sent({"text": "x", "id": "<taken>"}),
        status=201,
    ),
]
