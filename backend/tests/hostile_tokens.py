"""The Authorization header on the wire; tests/test_attacks.py has the tokens themselves."""

from tests.hostile import CANARY, Case, head, sent

NONE = 'Bearer realm="tasks"'
INVALID = f'{NONE}, error="invalid_token", error_description="The access token is invalid"'
MALFORMED = f'{NONE}, error="invalid_request"'

#: Values of the header, with the challenge and the code that answer it.
VALUES = {
    "": (NONE, "UNAUTHORIZED"),
    "Bearer": (NONE, "UNAUTHORIZED"),
    "Bearer ": (NONE, "UNAUTHORIZED"),
    CANARY: (NONE, "UNAUTHORIZED"),
    "<token>": (NONE, "UNAUTHORIZED"),
    f"Basic {CANARY}": (NONE, "UNAUTHORIZED"),
    "Bearer,<token>": (NONE, "UNAUTHORIZED"),
    "Bearer\t<token>": (NONE, "UNAUTHORIZED"),
    "Bearer:<token>": (NONE, "UNAUTHORIZED"),
    "Token <token>": (NONE, "UNAUTHORIZED"),
    "Bearer <token> <token>": (MALFORMED, "BAD_REQUEST"),
    "Bearer <token>,<token>": (MALFORMED, "BAD_REQUEST"),
    'Bearer "<token>"': (MALFORMED, "BAD_REQUEST"),
    "Bearer <<token>>": (MALFORMED, "BAD_REQUEST"),
    "Bearer \xff\xfe": (MALFORMED, "BAD_REQUEST"),
    "Bearer t\xf6ken": (MALFORMED, "BAD_REQUEST"),
    "Bearer {'$ne': null}": (MALFORMED, "BAD_REQUEST"),
    "Bearer <token>\t": (None, ""),
    "bearer <token>": (None, ""),
    "BEARER   <token>": (None, ""),
    f"Bearer {CANARY}": (INVALID, "UNAUTHORIZED"),
    "Bearer null": (INVALID, "UNAUTHORIZED"),
    "Bearer undefined": (INVALID, "UNAUTHORIZED"),
    "Bearer ...": (INVALID, "UNAUTHORIZED"),
    "Bearer ..": (INVALID, "UNAUTHORIZED"),
    "Bearer <token>x": (INVALID, "UNAUTHORIZED"),
    "Bearer <token>.": (INVALID, "UNAUTHORIZED"),
    "Bearer <token>%00": (INVALID, "UNAUTHORIZED"),
    "Bearer %3Ctoken%3E": (INVALID, "UNAUTHORIZED"),
    "Bearer %zz%ff": (INVALID, "UNAUTHORIZED"),
    "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.": (INVALID, "UNAUTHORIZED"),
    f"Bearer {'a' * 7000}": (INVALID, "UNAUTHORIZED"),
    f"Bearer {'.' * 7000}": (INVALID, "UNAUTHORIZED"),
    f"Bearer {'%' * 3000}": (INVALID, "UNAUTHORIZED"),
    f"Bearer {'=' * 3000}": (MALFORMED, "BAD_REQUEST"),
}
#: Every endpoint of a user, with a body that is fine.
ENDPOINTS = {
    "GET /tasks": None,
    "HEAD /tasks": None,
    "POST /tasks": sent({"text": CANARY}),
    "GET /tasks/<task>": None,
    "HEAD /tasks/<task>": None,
    "PUT /tasks/<task>": sent({"text": CANARY, "completed": True}),
    "PATCH /tasks/<task>": sent({"text": CANARY}),
    "DELETE /tasks/<task>": None,
    "POST /tasks/<task>/move": sent({"after": None}),
    "POST /tasks/<trashed>/restore": None,
    "GET /tasks/trash": None,
    "DELETE /tasks/trash": None,
    "DELETE /tasks/trash/<trashed>": None,
    "POST /tasks/batch": sent({"operations": [{"op": "delete", "id": "<task>"}]}),
    "GET /tasks/changes": None,
    "GET /tasks/events": None,
}
#: Where some look for a token too; here nobody does.
ELSEWHERE = {
    "a query": ("GET /tasks?access_token=<token>", ()),
    "a cookie": ("GET /tasks", ("Cookie: better-auth.session_token=<token>; Authorization=Bearer <token>",)),
    "another header": (
        "GET /tasks",
        ("X-Authorization: Bearer <token>", "Proxy-Authorization: Bearer <token>"),
    ),
    "a header with a line below": ("GET /tasks", ("Authorization_: Bearer <token>",)),
}

CASES = [
    *(
        Case(
            name=f"Authorization: {value[:40]}",
            fields=[f"Authorization: {value}"],
            signed_in=False,
            code=code,
            answer={"WWW-Authenticate": challenge},
        )
        for value, (challenge, code) in VALUES.items()
    ),
    *(
        Case(
            name=f"{line} of a stranger",
            line=line,
            body=body,
            signed_in=False,
            code="UNAUTHORIZED",
            answer={"WWW-Authenticate": NONE},
        )
        for line, body in ENDPOINTS.items()
    ),
    *(
        Case(
            name=f"a token in {name}",
            line=line,
            fields=fields,
            signed_in=False,
            code="UNAUTHORIZED",
            answer={"WWW-Authenticate": NONE},
        )
        for name, (line, fields) in ELSEWHERE.items()
    ),
    *(
        Case(
            name=f"two headers, {other or 'the other empty'}",
            fields=[f"Authorization: {other}"],
            code="BAD_REQUEST",
            answer={"WWW-Authenticate": MALFORMED},
        )
        for other in ("Bearer <token>", "Bearer zq7", "Basic YTpi", "")
    ),
    Case(
        name="a body of no form, of a stranger",
        line="POST /tasks",
        body=b"{",
        signed_in=False,
        code="UNAUTHORIZED",
        answer={"WWW-Authenticate": NONE},
    ),
    Case(
        name="a name in other case",
        raw=head("GET /tasks", "hOST: api.test", "aUTHORIZATION: bEARER <token>"),
    ),
]
