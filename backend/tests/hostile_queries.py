"""Queries and paths: dates, pages, cursors, names given twice, and ids that are none."""

from tests.hostile import CANARY, UUID, VALID, Case

TIME = "updated_since - must be a time with its offset, like 2026-01-05T17:45:00Z (RFC 3339); write + as %2B"
CURSOR = "cursor - was not given for this sort and these filters; start again without it"
NUMBER = "limit - must be a whole number from 1 to 1000"
SORT = (
    "sort - must be 'order', '-order', 'created_at', '-created_at', 'updated_at', '-updated_at', "
    "'completed_at', '-completed_at', 'text' or '-text'"
)
SINCE = "since - must be a revision: a whole number, 0 or more"
TRUTH = "completed - must be true or false"

#: By what is wrong: the queries of GET /tasks.
LISTS = {
    TIME: (
        "",
        CANARY,
        "2026-01-05",
        "2026-01-05T17:45:00",
        "2026-01-05T17:45:00+01:00",
        "2026-13-05T17:45:00Z",
        "2026-02-30T17:45:00Z",
        "2025-02-29T00:00:00Z",
        "2026-01-05T24:00:00Z",
        "2026-01-05T17:60:00Z",
        "2026-01-05T23:59:60Z",
        "2026-01-05T17:45:00%2B24:00",
        "2026-01-05T17:45:00%2B0100",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "-2026-01-05T17:45:00Z",
        "1767634800",
        "now",
        "2026-01-05T17:45:00Z%0A",
        "2026-01-05T17:45:00.Z",
        "2026-01-05%2017:45:00Z",
        "2026-W02-1T00:00:00Z",
        "2026-01-05T17:45:00Z%00",
        "%D9%A2026-01-05T17:45:00Z",
    ),
    NUMBER: (
        "",
        "0",
        "-1",
        "%2B1",
        "1001",
        "1e2",
        "1.0",
        "0x10",
        "01",
        "1_0",
        "%D9%A1",
        CANARY,
        "9" * 400,
        "1%00",
        "%201",
        "1%0A",
    ),
    TRUTH: ("", "1", "0", "True", "yes", "null", CANARY, "true%00", "true%0A", "%20true"),
    SORT: (
        "",
        CANARY,
        "ORDER",
        "id",
        "user_id",
        "--order",
        "order,text",
        "order%20desc",
        "text%00",
        "%22order%22",
        "order;drop",
    ),
    CURSOR: (
        "",
        CANARY,
        "%00",
        "=",
        "AAAA",
        "W10",
        "bnVsbA",
        "A" * 4000,
        "..%2F..",
        "WyJvcmRlciIsMCwiIiwiIl0",
    ),
}

#: Times that there are, if only just.
TIMES = (
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59",
    "9999-12-31T23:59:59.999999999Z",
    "2024-02-29t23:59:59z", "2026-01-05T17:45:00." + "1" * 300 + "Z", "2026-01-05T17:45:00-00:00",
)  # fmt: skip
SINCES = (
    "",
    "-1",
    "%2B1",
    "1.0",
    "01",
    "1e3",
    CANARY,
    "1" + "0" * 18,
    "9" * 400,
    "%D9%A1",
    "0%00",
    "0%0A",
    "null",
)

#: Ids in a path that are none; each is refused alike whatever is done with it.
IDS = (
    CANARY, "0", "-1", "null", "undefined", "01890a5d-ac96-774b-bcce-b302099a805",
    "01890a5d-ac96-774b-bcce-b302099a80577",
    "%00", "<task>%00", "<task>%0A", "%20<task>", "%ff", "*", "%2A", "'%20OR%20'1'='1", "..", "%2e%2e",
    "[object%20Object]",
    "{task_id}", "<task>.json", "<task>,<task>", "%F0%9F%98%80", "x" * 4000, "<task>%3B--", "NaN",
)  # fmt: skip
ON_ONE = {
    "GET": None,
    "PUT": b'{"text": "x", "completed": true}',
    "DELETE": None,
}
#: Paths that lead nowhere, whoever asks.
NOWHERE = (
    "//tasks", "/tasks/", "/tasks//", "/Tasks", "/TASKS", "/tasks%0A", "/tasks%00", "/tasks%20",
    "/tasks;x=1", "/tasks.json", "/./tasks",
    "/tasks/../metrics", "/tasks%2F", "/%2e%2e/metrics", "/metrics%0A", "/health%0A", "/docs%0A",
    "/docs/..%2f..%2fetc%2fpasswd",
    "/.git/config", "/.env", "/admin", "/graphql", "/actuator/health", "/redoc", "/api/tasks",
    "/tasks/<task>/<task>", "/tasks/<task>/move/x", "/tasks/trash/<task>/restore", "/%c0%ae%c0%ae/",
    "/" + "a/" * 1000, f"/{CANARY}", "/\\tasks",
)  # fmt: skip

CASES = [
    *(
        Case(
            name=f"{wrong.partition(' ')[0]}={query[:40]}",
            line=f"GET /tasks?{wrong.partition(' ')[0]}={query}",
            code=VALID,
            details=[wrong],
        )
        for wrong, queries in LISTS.items()
        for query in queries
    ),
    *(Case(name=f"updated_since={text[:40]}", line=f"GET /tasks?updated_since={text}") for text in TIMES),
    *(
        Case(name=f"since={text[:20]}", line=f"GET /tasks/changes?since={text}", code=VALID, details=[SINCE])
        for text in SINCES
    ),
    Case(
        name="since that is to come", line="GET /tasks/changes?since=999999999999999999", code="BAD_REQUEST"
    ),
    *(
        Case(
            name=f"{name} twice",
            line=f"GET /tasks{path}?{name}={value}&{name}={value}",
            code=VALID,
            details=[f"{name} - must be given only once"],
        )
        for path, name, value in (
            ("", "q", CANARY),
            ("", "limit", "1"),
            ("", "sort", "text"),
            ("", "completed", "true"),
            ("", "cursor", "x"),
            ("", "updated_since", "2026-01-05T17:45:00Z"),
            ("/changes", "since", "0"),
            ("/changes", "limit", "1"),
        )
    ),
    Case(
        name="limit twice, one spelled otherwise",
        line="GET /tasks?limit=1&l%69mit=2",
        code=VALID,
        details=["limit - must be given only once"],
    ),
    Case(
        name="not UTF-8 for changes",
        line="GET /tasks/changes?x=%ff",
        code=VALID,
        details=["query - must be UTF-8, percent-encoded"],
    ),
    *(
        Case(name=f"a query {query[:20]!r}", line=f"GET /tasks?{query}")
        for query in (
            "",
            "&&&&",
            "=",
            "?",
            "x",
            "limit[]=1",
            "Limit=x",
            "LIMIT=0",
            "a=b=c",
            "user_id=" + CANARY,
            "a=1&" * 1000,
            "limit%00=1",
        )
    ),
    *(
        Case(
            name=f"{method} an id {one[:30]}",
            line=f"{method} /tasks/{one}",
            body=body,
            code=VALID,
            details=[f"task_id - {UUID}"],
        )
        for method, body in ON_ONE.items()
        for one in IDS
    ),
    Case(
        name="an id in the trash",
        line=f"DELETE /tasks/trash/{CANARY}",
        code=VALID,
        details=[f"trashed_id - {UUID}"],
    ),
    *(
        Case(
            name=f"nowhere: {path[:30]}", line=f"{method} {path}", code="NOT_FOUND", signed_in=method == "GET"
        )
        for path in NOWHERE
        for method in ("GET", "POST")
    ),
    *(
        Case(name=f"no file {name}", line=f"GET /docs/{name}", code="NOT_FOUND")
        for name in ("index.html", "swagger-ui.css%00", CANARY, "__init__.py")
    ),
]
