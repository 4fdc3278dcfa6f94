"""Methods on every path, with the whole Allow, and what pages of other origins may do."""

from tests.hostile import CANARY, Case

#: Every path, with what it takes.
ALLOW = {
    "/": "GET, HEAD",
    "/health": "GET, HEAD",
    "/health/live": "GET, HEAD",
    "/docs": "GET, HEAD",
    "/docs/swagger-ui.css": "GET, HEAD",
    "/openapi.json": "GET, HEAD",
    "/metrics": "GET, HEAD",
    "/tasks": "GET, HEAD, POST",
    "/tasks/<task>": "DELETE, GET, HEAD, PATCH, PUT",
    "/tasks/no-id": "DELETE, GET, HEAD, PATCH, PUT",
    "/tasks/<task>/move": "POST",
    "/tasks/<task>/restore": "POST",
    "/tasks/trash": "DELETE, GET, HEAD",
    "/tasks/trash/<trashed>": "DELETE",
    "/tasks/batch": "POST",
    "/tasks/changes": "GET, HEAD",
    "/tasks/events": "GET",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "LINK")
#: With a canary, because TRACE would send it back (RFC 9110 section 9.3.8).
FIELDS = (f"X-Canary: {CANARY}",)

ORIGIN, FOREIGN = "http://localhost:3000", "https://zq7canary.example"
ASKED = "Access-Control-Request-Method: "
ALLOWED, WITH = "Access-Control-Allow-Origin", "Access-Control-Request-Headers: "
#: Origins that are not listed, however much they look like one that is.
ORIGINS = (
    FOREIGN, "null", "http://localhost:3001", "https://localhost:3000",
    "http://localhost:3000.zq7canary.example", "http://LOCALHOST:3000",
    "http://localhost:3000/", "http://localhost", " http://zq7canary http://localhost:3000", "*", "",
    "http://localhost:3000, http://zq7canary", "\xff",
    "http://localhost:3000@zq7canary.example", "file://", "http://127.0.0.1:3000.zq7canary",
)  # fmt: skip
REFUSED = {
    "a method": [f"Origin: {ORIGIN}", ASKED + "TRACE"],
    "a method of no form": [f"Origin: {ORIGIN}", ASKED + CANARY],
    "a method in lower case": [f"Origin: {ORIGIN}", ASKED + "patch"],
    "a header": [f"Origin: {ORIGIN}", ASKED + "GET", WITH + CANARY],
    "an origin": [f"Origin: {FOREIGN}", ASKED + "GET"],
    "the origin null": ["Origin: null", ASKED + "GET"],
}

CASES = [
    *(
        Case(
            name=f"{method} {path}",
            line=f"{method} {path}",
            fields=FIELDS,
            code="METHOD_NOT_ALLOWED",
            answer={"Allow": allow},
            signed_in=False,
        )
        for path, allow in ALLOW.items()
        for method in METHODS
        if method not in allow.split(", ")
    ),
    *(
        Case(name=f"HEAD {path}", line=f"HEAD {path}")
        for path, allow in ALLOW.items()
        if "HEAD" in allow and "no-id" not in path
    ),
    *(
        Case(name=f"{method} of everything", line=f"{method} *", code="NOT_FOUND")
        for method in ("OPTIONS", "GET", "TRACE")
    ),
    *(
        Case(
            name=f"Origin {origin[:40]!r}, {line}",
            line=line,
            fields=[f"Origin: {origin}"],
            code=code,
            answer={ALLOWED: None},
        )
        for origin in ORIGINS
        for line, code in (("GET /tasks", ""), ("GET /nowhere", "NOT_FOUND"))
    ),
    *(
        Case(
            name=f"a refusal for a page: {code or 200}",
            line=line,
            fields=[f"Origin: {ORIGIN}"],
            signed_in=signed_in,
            code=code,
            answer={ALLOWED: ORIGIN},
        )
        for line, signed_in, code in (
            ("GET /tasks", True, ""),
            ("GET /tasks", False, "UNAUTHORIZED"),
            ("GET /nowhere", True, "NOT_FOUND"),
            ("PUT /tasks", True, "METHOD_NOT_ALLOWED"),
            ("GET /tasks/x", True, "VALIDATION_ERROR"),
            ("HEAD /tasks", True, ""),
        )
    ),
    *(
        Case(
            name=f"a preflight for {name}",
            line="OPTIONS /tasks",
            fields=fields,
            signed_in=False,
            code="BAD_REQUEST",
        )
        for name, fields in REFUSED.items()
    ),
    *(
        Case(
            name=f"a preflight for {method}",
            line="OPTIONS /tasks",
            fields=[f"Origin: {ORIGIN}", ASKED + method, WITH + "authorization"],
            signed_in=False,
            answer={ALLOWED: ORIGIN},
        )
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    ),
]
