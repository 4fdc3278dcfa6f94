"""Requests with a canary in every place that a caller can fill, and how one is found again."""

import base64
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import jwt

from app.auth.tokens import sign
from tests.conftest import SECRET
from tests.test_sessions import signed

#: Stands in all that is planted; no code, document or header of ours has it.
MARK = "kanarienvogel"
#: Where an id is wanted.
SOME_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
#: The inner part of a session token, as long as Better Auth makes it.
SESSION = (MARK * 3)[:32]
EXPLOSIVE = "explodes"  # what the database of the test refuses to store


def _disguises(word: str) -> Iterator[str]:
    """How it may look elsewhere: as it is, in hexadecimal, in base64 wherever it begins there."""
    yield word
    yield word.encode().hex()
    for before in range(3):
        whole = base64.b64encode(b"x" * before + word.encode()).decode().rstrip("=")
        yield whole[-(-before * 4 // 3) + (before > 0) : -2]


_FORMS = [form.lower().encode() for form in _disguises(MARK)]


def canaries(*texts: bytes | str) -> list[bytes]:
    """What of all that was planted is found in them."""
    data = [(text if isinstance(text, bytes) else text.encode()).lower() for text in texts]
    return [form for form in _FORMS for text in data if form in text]


@dataclass(frozen=True)
class Planted:
    """A request with a canary in it."""

    where: str
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""

    def raw(self) -> bytes:
        """The request as it goes over a line."""
        headers = {"Host": "api.test"} | self.headers
        if self.content:
            headers["Content-Length"] = str(len(self.content))
        lines = [
            f"{self.method} {self.path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + self.content


OPERATIONS = [
    *(("GET", "/tasks"), ("POST", "/tasks"), ("GET", "/tasks/{id}"), ("PUT", "/tasks/{id}")),
    *(("PATCH", "/tasks/{id}"), ("DELETE", "/tasks/{id}"), ("POST", "/tasks/{id}/move")),
    *(("POST", "/tasks/{id}/restore"), ("GET", "/tasks/trash"), ("DELETE", "/tasks/trash/{id}")),
    *(("DELETE", "/tasks/trash"), ("POST", "/tasks/batch"), ("GET", "/tasks/changes")),
    *(("GET", "/health"), ("GET", "/health/live"), ("GET", "/"), ("GET", "/docs"), ("GET", "/metrics")),
    ("GET", "/never"),
]
_WITH_BODY = [(method, path) for method, path in OPERATIONS if method in {"POST", "PUT", "PATCH"}]
_HEADERS = [
    *("Cookie", "User-Agent", "Referer", "Accept", "Accept-Language", "If-Match", "If-None-Match"),
    *("Idempotency-Key", "Prefer", "Last-Event-ID", "X-Forwarded-For", "Forwarded", "X-Real-IP"),
    *("X-Api-Key", "Origin", "Range", "Via", "Content-Encoding", "traceparent", "baggage"),
]
_QUERIES = ["q", "cursor", "sort", "limit", "since", "updated_since", "completed", "token", "access_token"]
JSON = {"Content-Type": "application/json"}


def bodies() -> dict[str, object]:
    """Good and bad ones, for any operation that takes one."""
    task = {"text": f"{MARK} text", "completed": True}
    create = {"op": "create", "text": f"{MARK} in a batch"}
    return {
        "text": task,
        "long text": task | {"text": MARK * 50},
        "text of another type": task | {"text": [MARK]},
        "completed": task | {"completed": MARK},
        "order": task | {"order": MARK},
        "id": task | {"id": MARK},
        "name of a field": task | {MARK: MARK},
        "place": {"after": MARK},
        "batch": {"operations": [create, create | {"id": MARK}]},
        "batch that is good": {"operations": [create]},
        "batch of an unknown kind": {"operations": [{"op": MARK, MARK: 1}]},
        "a string": MARK,
        "a list": [MARK],
        "deep": {"text": {"text": {MARK: MARK}}},
    }


def tokens() -> dict[str, str]:
    """What a caller may send as a credential and is refused for."""
    claims = {"sub": f"{MARK}-user", "exp": 4_000_000_000, "email": f"{MARK}@example.com"}
    good = sign(f"{MARK}-user", SECRET, seconds=3600)
    return {
        "no token": f"Bearer {MARK}",
        "two words": f"Bearer {MARK} {MARK}",
        "another scheme": f"Basic {MARK}",
        "forged": f"Bearer {jwt.encode(claims, f'{MARK} and so on, thirty-two bytes', algorithm='HS256')}",
        "expired": f"Bearer {sign(f'{MARK}-user', SECRET, seconds=-3600)}",
        "cut": f"Bearer {good[:-5]}",
        "a word more": f"Bearer {good}.{MARK}",
        "unsigned": f"Bearer {jwt.encode(claims, '', algorithm='none')}",
        "kid": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256', headers={'kid': MARK, 'jku': MARK})}x",
        "session that is none": f"Bearer {signed(SESSION.swapcase())}",
        "session that is forged": f"Bearer {signed(SESSION, 'another secret, of 32 bytes or so')}",
    }


def planted(task: str, authorization: str) -> Iterator[Planted]:
    """Every place by itself; `authorization` is a good one, `task` the id of a task that there is."""
    own = {"Authorization": authorization}
    for method, template in OPERATIONS:
        path = template.format(id=task)
        yield Planted("query", method, f"{path}?{MARK}={MARK}&q={MARK}", own)
        yield Planted("path", method, f"{path}/{MARK}", own)
        for where, credential in tokens().items():
            yield Planted(f"token: {where}", method, path, {"Authorization": credential})
    for method, template in _WITH_BODY:
        path = template.format(id=task)
        for where, body in bodies().items():
            yield Planted(f"body: {where}", method, path, own | JSON, json.dumps(body).encode())
        yield Planted("body: no JSON", method, path, own | JSON, f'{{"text": {MARK}'.encode())
        yield Planted("body: no UTF-8", method, path, own | JSON, b'{"text": "\xff' + MARK.encode() + b'"}')
        yield Planted("body: too large", method, path, own | JSON, MARK.encode() * 60_000)
        yield Planted("body: of a stranger", method, path, JSON, MARK.encode())
        yield Planted("media type", method, path, own | {"Content-Type": f"text/{MARK}"}, MARK.encode())
    for name in _HEADERS:
        for method, path in [("GET", "/tasks"), ("POST", "/tasks"), ("PATCH", f"/tasks/{task}")]:
            content = b"" if method == "GET" else json.dumps({"text": MARK}).encode()
            yield Planted(f"header {name}", method, path, own | JSON | {name: f'"{MARK}"'}, content)
        yield Planted(f"header {name} of a stranger", "GET", "/tasks", {name: MARK})
    for name in _QUERIES:
        for path in ("/tasks", "/tasks/changes", "/tasks/trash"):
            yield Planted(f"query {name}", "GET", f"{path}?{name}={MARK}", own)
    yield Planted("request id", "GET", "/tasks", own | {"X-Request-ID": f"{MARK} {MARK}"})
    yield Planted("preflight", "OPTIONS", "/tasks", _preflight("http://localhost:3000"))
    yield Planted("preflight of a foreign page", "OPTIONS", "/tasks", _preflight(f"https://{MARK}.example"))
    for path in (
        f"/{MARK}",
        f"/tasks/{MARK}",
        f"/tasks/{SOME_ID}/{MARK}",
        f"/docs/{MARK}",
        f"/tasks/trash/{MARK}",
    ):
        yield Planted("path", "GET", path, own)
        yield Planted("path", "DELETE", path, own)


def cheap(task: str, authorization: str) -> Iterator[Planted]:
    """Those of the planted requests that are refused without a question to the database."""
    for one in planted(task, authorization):
        of_tasks = one.path.startswith("/tasks") or "never" in one.path
        asks = "session that is none" in one.where or one.content
        if of_tasks and one.where.startswith(("token", "path", "preflight")) and not asks:
            yield one


def _preflight(origin: str) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": MARK.upper(),
        "Access-Control-Request-Headers": f"x-{MARK}",
    }


def user() -> str:
    """Somebody with a canary for a name."""
    return f"{MARK}-{secrets.token_hex(8)}"
