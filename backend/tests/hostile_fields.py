"""Header fields that the service reads: ids of requests, conditions, keys, preferences."""

from tests.hostile import CANARY, Case, sent

JSON = sent({"text": "x"})
OWN = {"X-Request-ID": "<own>"}  # one that the service made

#: Ids that are not taken over: they might be an attack on a log.
REQUEST_IDS = (
    "", "a b", CANARY + "\t" + CANARY, "x" * 129, "<b>zq7canary</b>", "zq7canary\xff", "zq7canary,b",
    '"zq7canary"', "${jndi:ldap://zq7canary}",
    "zq7canary%0d%0a", "zq7canary;", "a/b", "zq7canary\\n", "../zq7canary", "{zq7canary}", "\xa0",
)  # fmt: skip
#: Conditions that are none; every header that has one refuses them alike.
CONDITIONS = (
    "", CANARY, "5", "W/", '"', '"5', '5"', '"5""6"', "*, *", '*, "5"', "'5'", '"5" "6"', 'w/"5"', 'W /"5"',
    ",", '"a b"', "W/5", "\xff",
    '"' * 3001, "," * 3000, '"5",' * 500 + "x",
)  # fmt: skip
#: Tags that nobody was given: well-formed, and no match.
TAGS = (
    '"zq7canary"',
    '"999999999999999999"',
    f'"{"9" * 400}"',
    '"-1"',
    '"01"',
    '""',
    'W/"1"',
    '"\xff"',
    '"0x1"',
    ', "x" ,, "y",',
)
KEYS = (
    "", '""', "a b", CANARY + " " + CANARY, '"zq7canary', "x" * 256, f'"{"x" * 256}"', "\xff", "a,b", '"a"b',
    "a\tb", '"\\x"', '"\t"',
)  # fmt: skip
PREFERENCES = (
    "", CANARY, "count", "count=", "count=none", "=exact", ";;;,,,", '"' * 3001, "count=exact;" * 300,
    "\xff", "a=b," * 900, "\\" * 3000, 'count="exac',
)  # fmt: skip
EVENT_IDS = ("5x", "-1", CANARY)

CASES = [
    *(
        Case(
            name=f"{where}, X-Request-ID {value[:20]!r}",
            fields=[f"X-Request-ID: {value}"],
            line=line,
            code=code,
            answer=OWN,
        )
        for value in REQUEST_IDS
        for where, line, code in (("fine", "GET /tasks", ""), ("nowhere", "GET /nowhere", "NOT_FOUND"))
    ),
    Case(name="two ids", fields=["X-Request-ID: a", "X-Request-ID: b"], answer=OWN),
    Case(name="an id that is fine", fields=["X-Request-ID: web-1.2_3"], answer={"X-Request-ID": "web-1.2_3"}),
    Case(
        name="the longest id",
        fields=[f"X-Request-ID: {'x' * 128}"],
        line="GET /nowhere",
        code="NOT_FOUND",
        answer={"X-Request-ID": "x" * 128},
    ),
    *(
        Case(
            name=f"If-Match {value[:20]!r}",
            line="PATCH /tasks/<task>",
            fields=[f"If-Match: {value}"],
            body=JSON,
            code="BAD_REQUEST",
        )
        for value in CONDITIONS
    ),
    *(
        Case(
            name=f"If-None-Match {value[:20]!r}",
            line=line,
            fields=[f"If-None-Match: {value}"],
            code="BAD_REQUEST",
        )
        for value in CONDITIONS
        for line in ("GET /tasks", "HEAD /tasks/<task>")
    ),
    *(
        Case(
            name=f"If-Match {value[:20]!r}",
            line="DELETE /tasks/<task>",
            fields=[f"If-Match: {value}"],
            code="PRECONDITION_FAILED",
        )
        for value in TAGS
    ),
    *(
        Case(name=f"If-None-Match {value[:20]!r}", fields=[f"If-None-Match: {value}"])
        for value in TAGS
        if value != 'W/"1"'
    ),
    Case(
        name="If-Match twice, one of no form",
        line="DELETE /tasks/<task>",
        fields=['If-Match: "5"', "If-Match: x"],
        code="BAD_REQUEST",
    ),
    Case(name="a star in If-None-Match", fields=["If-None-Match: *"], status=304),
    Case(name="a star, HEAD", line="HEAD /tasks", fields=["If-None-Match: *"], status=304),
    *(
        Case(
            name=f"Idempotency-Key {value[:20]!r}",
            line=line,
            fields=[f"Idempotency-Key: {value}"],
            body=body,
            code="BAD_REQUEST",
        )
        for value in KEYS
        for line, body in (
            ("POST /tasks", JSON),
            ("POST /tasks/batch", sent({"operations": [{"op": "create", "text": "x"}]})),
        )
    ),
    Case(
        name="two keys",
        line="POST /tasks",
        fields=["Idempotency-Key: a", "Idempotency-Key: a"],
        body=JSON,
        code="BAD_REQUEST",
    ),
    Case(
        name="a key, then a text that is not valid",
        line="POST /tasks",
        fields=["Idempotency-Key: kept"],
        body=b'{"text": ""}',
        code="VALIDATION_ERROR",
    ),
    Case(
        name="the same key: it was not used up",
        line="POST /tasks",
        fields=["Idempotency-Key: kept"],
        body=JSON,
        status=201,
        answer={"Idempotent-Replayed": None},
    ),
    Case(
        name="the same again",
        line="POST /tasks",
        fields=["Idempotency-Key: kept"],
        body=JSON,
        status=201,
        answer={"Idempotent-Replayed": "true"},
    ),
    Case(
        name="the same, in quotes",
        line="POST /tasks",
        fields=['Idempotency-Key: "kept"'],
        body=JSON,
        status=201,
        answer={"Idempotent-Replayed": "true"},
    ),
    Case(
        name="the same key for something else",
        line="POST /tasks",
        fields=["Idempotency-Key: kept"],
        body=sent({"text": CANARY}),
        code="VALIDATION_ERROR",
    ),
    Case(
        name="the same key on another path",
        line="POST /tasks/batch",
        fields=["Idempotency-Key: kept"],
        body=sent({"operations": [{"op": "create", "text": CANARY}]}),
        code="VALIDATION_ERROR",
    ),
    *(
        Case(name=f"Prefer {value[:20]!r}", fields=[f"Prefer: {value}"], answer={"Preference-Applied": None})
        for value in PREFERENCES
        if "exact;" not in value and "exac" not in value
    ),
    *(
        Case(name=f"Prefer {value[:20]!r}", line="HEAD /tasks", fields=[f"Prefer: {value}"])
        for value in PREFERENCES
    ),
    *(
        Case(name=f"{name} twice", fields=[f"{name}: a", f"{name}: {CANARY}"])
        for name in (
            "Accept",
            "Cookie",
            "User-Agent",
            "Referer",
            "Range",
            "From",
            "Via",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "Origin",
            "Accept-Language",
        )
    ),
    Case(name="two hundred fields", fields=[f"X-{number}: {CANARY}" for number in range(80)]),
    Case(name="an expectation that nobody knows", fields=["Expect: zq7canary"]),
    Case(
        name="a method in a header",
        fields=["X-HTTP-Method-Override: DELETE", "X-Method-Override: PUT", "X-HTTP-Method: PATCH"],
    ),
]
