"""Who calls: the Authorization header and HS256 tokens, each case with its exact answer."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import jwt
import pytest

from app.auth import TokenVerifier, User, Verifier, bearer_token
from app.auth.tokens import SharedSecret, sign
from app.errors import AppError, ConfigurationError, Unauthorized
from tests.conftest import SECRET, ClientFor
from tests.signing import NOW, Clock

NONE = 'Bearer realm="tasks"'
INVALID = 'Bearer realm="tasks", error="invalid_token", error_description="The access token is invalid"'
EXPIRED = 'Bearer realm="tasks", error="invalid_token", error_description="The access token expired"'
MALFORMED = 'Bearer realm="tasks", error="invalid_request"'

#: Times are relative to a clock that stands still.


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; a change of `...` leaves that one out."""
    good = {"sub": "alice", "iat": NOW, "exp": NOW + 60} | changes
    return {name: value for name, value in good.items() if value is not ...}


def token(
    header: dict[str, Any] | None = None, payload: str | None = None, secret: str = SECRET, **changes: Any
) -> str:
    """Sign anything at all, also what no library would."""
    parts = [
        json.dumps({"alg": "HS256"} if header is None else header),
        payload or json.dumps(claims(**changes)),
    ]
    text = ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(clock: Clock) -> Verifier:
    return Verifier(TokenVerifier(SECRET), clock=clock)


GOOD = {
    "plain": token(),
    "typ JWT": token({"alg": "HS256", "typ": "JWT"}),
    "typ in lower case": token({"alg": "HS256", "typ": "jwt"}),
    "no iat": token(iat=...),
    "audience and issuer of the front end's own": token(aud="web", iss="https://app.example"),
    "list of audiences": token(aud=["a", "b"]),
    "more claims": token(email="a@example.com", name="Alice", id="x"),
    "kid, jku and jwk are ignored": token(
        {"alg": "HS256", "kid": "../../etc/passwd", "jku": "https://evil.example"}
    ),
    "expired within the leeway": token(exp=NOW - 29),
    "issued within the leeway": token(iat=NOW + 29, nbf=NOW + 29),
    "fractions of a second": token(exp=NOW + 0.5),
}


@pytest.mark.parametrize("name", GOOD)
async def test_a_good_token_tells_its_user(verifier, name):
    assert await verifier.user(GOOD[name]) == User("alice")


@pytest.mark.parametrize("user_id", ["1", "69ee5e16-ec31-4de7-8080-b087f9c1e082", "ü" * 255, "a b", "😀"])
async def test_a_user_id_is_any_text_that_the_database_can_hold(verifier, user_id):
    assert await verifier.user(token(sub=user_id)) == User(user_id)


good = token()
BAD = {
    "another secret": token(secret="x" * 32),
    "alg none": jwt.encode(claims(), "", algorithm="none"),
    "alg None": token({"alg": "None"}),
    "alg HS384": jwt.encode(claims(), SECRET * 2, algorithm="HS384"),
    "alg missing": token({}),
    "alg a list": token({"alg": ["HS256"]}),
    "crit": token({"alg": "HS256", "crit": ["exp"]}),
    "typ of another kind": token({"alg": "HS256", "typ": "at+jwt"}),
    "typ a number": token({"alg": "HS256", "typ": 1}),
    "header no object": f"W10.{good.split('.', 1)[1]}",
    "no sub, like an e-mail verification link": token(sub=..., email="alice@example.com"),
    "no sub, like a session cookie": token(sub=..., session={}, user={"id": "alice"}),
    "sub a number": token(sub=1),
    "sub null": token(sub=None),
    "sub empty": token(sub=""),
    "sub with NUL": token(sub="a\0b"),
    "sub with a line break": token(sub="a\nb"),
    "sub with a lone surrogate": token(sub="\ud800"),
    "sub too long": token(sub="x" * 256),
    "no exp": token(exp=...),
    "exp a string": token(exp=str(int(NOW + 60))),
    "exp true": token(exp=True),
    "exp null": token(exp=None),
    "exp huge": token(exp=10**400),
    "exp hugely in the past": token(exp=-(10**400)),
    "nbf huge": token(nbf=10**400),
    "exp infinite": token(payload='{"sub": "alice", "exp": Infinity}'),
    "exp not a number": token(payload='{"sub": "alice", "exp": NaN}'),
    "iat a string": token(iat="yesterday"),
    "issued in the future": token(iat=NOW + 31),
    "not valid yet": token(nbf=NOW + 31),
    "payload a list": token(payload="[]"),
    "payload no JSON": token(payload="alice"),
    "payload deep": token(payload="[" * 5000),
    "truncated": good[:-1],
    "extended": good + "A",
    "padded": good + "==",
    "two parts": good.rsplit(".", 1)[0],
    "four parts": good + ".AAAA",
    "one part": "alice",
    "empty signature": good.rsplit(".", 1)[0] + ".",
    "too long, and that is found before anything else": token(name="x" * 8192, exp=NOW - 3600),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_is_refused_without_telling_why(verifier, name):
    with pytest.raises(Unauthorized) as refusal:
        await verifier.user(BAD[name])
    assert refusal.value.headers == {"WWW-Authenticate": INVALID}


@pytest.mark.parametrize("seconds", [30, 31, 3600])
async def test_an_expired_token_says_so(verifier, seconds):
    with pytest.raises(Unauthorized) as refusal:
        await verifier.user(token(exp=NOW - seconds))
    assert refusal.value.headers == {"WWW-Authenticate": EXPIRED}


async def test_a_remembered_token_is_remembered_but_not_past_its_end(verifier, clock):
    short = token(exp=NOW + 10)
    assert await verifier.user(short) is await verifier.user(short)
    clock.now = NOW + 41
    with pytest.raises(Unauthorized) as refusal:
        await verifier.user(short)
    assert refusal.value.headers == {"WWW-Authenticate": EXPIRED}


async def test_a_remembered_token_is_remembered_again_after_a_minute(verifier, clock):
    long = token(exp=NOW + 3600)
    first = await verifier.user(long)
    clock.now = NOW + 59
    assert await verifier.user(long) is first
    clock.now = NOW + 61
    assert await verifier.user(long) is not first


@pytest.mark.no_cover
async def test_the_memory_of_tokens_is_bounded(verifier):
    first = token(sub="first")
    remembered = await verifier.user(first)
    for number in range(4096):
        await verifier.user(token(sub=str(number)))
    assert await verifier.user(first) is not remembered
    assert len(verifier._remembered) == 4096  # noqa: SLF001 - its size is the point


def test_a_key_does_not_show_the_secret():
    assert SECRET not in repr(SharedSecret(SECRET)._key)  # noqa: SLF001


PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"


@pytest.mark.parametrize("secret", ["ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ", PUBLIC_KEY])
def test_a_secret_that_is_a_key_of_another_kind_is_refused(secret):
    with pytest.raises(ConfigurationError, match=r"^BETTER_AUTH_SECRET: "):
        TokenVerifier(secret)


async def test_a_refused_token_is_not_remembered(verifier):
    for _ in range(2):
        with pytest.raises(Unauthorized):
            await verifier.user(BAD["another secret"])
    assert not verifier._remembered  # noqa: SLF001


@pytest.mark.parametrize(
    "header", ["Bearer abc", "bearer abc", "BEARER abc", "Bearer  abc ", "bEaReR\tabc".replace("\t", " ")]
)
def test_the_scheme_is_taken_in_any_case(header):
    assert bearer_token([header]) == "abc"


HEADERS: list[tuple[list[str], int, str]] = [
    ([], 401, NONE),
    ([""], 401, NONE),
    (["Bearer"], 401, NONE),
    (["Bearer   "], 401, NONE),
    (["Basic YTpi"], 401, NONE),
    (["Token abc"], 401, NONE),
    (["abc"], 401, NONE),
    (["Bearer a b"], 400, MALFORMED),
    (["Bearer a,b"], 400, MALFORMED),
    (['Bearer "abc"'], 400, MALFORMED),
    (["Bearer ü"], 400, MALFORMED),
    (["Bearer abc", "Bearer abc"], 400, MALFORMED),
    (["Bearer abc", "Basic YTpi"], 400, MALFORMED),
]


@pytest.mark.parametrize(("headers", "status", "challenge"), HEADERS)
def test_the_header_is_answered_as_rfc_6750_says(headers, status, challenge):
    with pytest.raises(AppError) as refusal:
        bearer_token(headers)
    assert (refusal.value.status, refusal.value.headers["WWW-Authenticate"]) == (status, challenge)


ENDPOINTS = [
    ("GET", "/tasks"),
    ("POST", "/tasks"),
    ("GET", "/tasks/00000000-0000-0000-0000-000000000000"),
    ("PUT", "/tasks/00000000-0000-0000-0000-000000000000"),
    ("PATCH", "/tasks/00000000-0000-0000-0000-000000000000"),
    ("DELETE", "/tasks/00000000-0000-0000-0000-000000000000"),
    ("GET", "/tasks/no-uuid"),
]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_a_stranger_is_turned_away_whatever_the_request_holds(stranger, method, path):
    for content, media_type in [(b"", "application/json"), (b"{", "application/json"), (b"x", "text/plain")]:
        answer = await stranger.request(method, path, content=content, headers={"Content-Type": media_type})
        assert (answer.status_code, answer.json()["error"]) == (401, "UNAUTHORIZED")
        assert answer.headers["WWW-Authenticate"] == NONE


async def test_the_body_of_a_stranger_is_never_read(stranger):
    def body() -> Iterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    async def unread():
        for chunk in body():
            yield chunk

    answer = await stranger.post("/tasks", content=unread())
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("headers", "status", "challenge"),
    [
        ({"Authorization": f"bearer {sign('carol', SECRET, seconds=86_400)}"}, 200, None),
        ({"Authorization": f"Bearer {sign('carol', SECRET, seconds=-60)}"}, 401, EXPIRED),
        ({"Authorization": "Bearer abc.def.ghi"}, 401, INVALID),
        ({"Authorization": "Bearer a b"}, 400, MALFORMED),
        ({}, 401, NONE),
    ],
)
async def test_the_answer_carries_the_challenge(stranger, headers, status, challenge):
    answer = await stranger.get("/tasks", headers=headers)
    assert (answer.status_code, answer.headers.get("WWW-Authenticate")) == (status, challenge)


async def test_two_authorization_headers_are_a_bad_request(app):
    bearer = f"Bearer {sign('carol', SECRET, seconds=60)}"
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        answer = await client.get("/tasks", headers=[("Authorization", bearer), ("Authorization", bearer)])
    assert (answer.status_code, answer.json()["error"]) == (400, "BAD_REQUEST")


async def test_a_token_in_the_query_is_no_token(stranger):
    answer = await stranger.get(f"/tasks?access_token={sign('carol', SECRET, seconds=60)}")
    assert answer.status_code == 401


async def test_the_longest_user_id_has_tasks_too(client_for: ClientFor):
    async with client_for("ü" * 219 + str(uuid.uuid4())) as client:
        assert (await client.post("/tasks", json={"text": "x"})).status_code == 201


def test_a_signed_token_is_like_a_front_ends():
    made = jwt.decode(sign("alice", SECRET, seconds=60), SECRET, algorithms=["HS256"])
    assert made["sub"] == "alice"
    assert 0 <= time.time() - made["iat"] < 5
    assert made["exp"] - made["iat"] == 60
