"""Attacks with tokens: each with its exact answer, and none of them reaches the database.

The service of these tests has a database that can't be reached. Whoever gets past the gate is answered
503 by it, so a 401 or a 400 says that nothing was asked of it.
"""

import hashlib
import hmac
import json
import random
import string
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from app.auth import ClaimRules, Jwks, TokenVerifier, User, Verifier
from app.config import Settings
from app.errors import Unauthorized
from app.main import close, create_app
from tests.conftest import SECRET
from tests.key_server import KeyServer, answering, key_server
from tests.servers import UNLIMITED
from tests.signing import ISSUER, NOW, Clock, KeyPair, claims, encoded, key_set
from tests.test_auth import EXPIRED, INVALID, MALFORMED, NONE
from tests.test_auth import token as hs256
from tests.test_sessions import NOWHERE, RAW, signed

KEY = KeyPair("first")
CURVE = KeyPair("curve", "ES256")
RSA = KeyPair("rsa", "RS256")
STRANGER = KeyPair("first")  # the kid of ours, and a key of their own
PUBLISHED = [KEY.jwk(), CURVE.jwk(), RSA.jwk(), RSA.jwk(kid="without alg", alg=...)]

#: Tokens that get past the gate: what the attacks differ from in one thing each.
ACCEPTED = {
    "EdDSA": KEY.sign(),
    "ES256": CURVE.sign(),
    "RS256": RSA.sign(),
    "PS256, with a key that names no alg": KeyPair("without alg", "PS256", private=RSA.private).sign(),
    "HS256": hs256(exp=NOW + 60),
    "typ JWT": KEY.sign({"typ": "JWT"}),
    "aud a list with ours in it": KEY.sign(aud=["https://other.example.com", ISSUER]),
    "no iat": KEY.sign(iat=...),
    "expired by 29 s": KEY.sign(exp=NOW - 29),
    "issued 29 s ahead": KEY.sign(iat=NOW + 29, nbf=NOW + 29),
    "sub of 255 characters": KEY.sign(sub="x" * 255),
    "jku, jwk and x5u beside a good signature are not looked at": KEY.sign(
        {"jku": "https://evil.example.com", "x5u": "https://evil.example.com", "jwk": STRANGER.jwk()}
    ),
}


def forged(header: Any, payload: Any = None, signature: bytes | str = b"") -> str:
    """Put together what no library would."""
    return ".".join(encoded(part) for part in (header, payload or claims(), signature))


def hmac_with(key: bytes, header: dict[str, Any], hash_name: str = "sha256") -> str:
    """The classic confusion: HMAC with what everybody knows of a key pair."""
    text = f"{encoded(header)}.{encoded(claims())}"
    return f"{text}.{encoded(hmac.new(key, text.encode(), hash_name).digest())}"


def public_bytes(pair: KeyPair, encoding: serialization.Encoding) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    found: bytes = pair.private.public_key().public_bytes(encoding, form)
    return found


PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
good = ACCEPTED["EdDSA"]
head, body, mark = good.split(".")
HS = {"alg": "HS256", "kid": "first"}

BAD_ALGORITHMS = {
    **{
        f"alg {name!r}": forged({"alg": name, "kid": "first"})
        for name in ("none", "None", "NONE", "nOnE", "")
    },
    "alg none with our signature": f"{encoded({'alg': 'none', 'kid': 'first'})}.{body}.{mark}",
    "alg none with a space": forged({"alg": "none ", "kid": "first"}),
    "alg missing": forged({"kid": "first"}),
    "alg null": forged({"alg": None, "kid": "first"}),
    "alg a number": forged({"alg": 0, "kid": "first"}),
    "alg a list": forged({"alg": ["EdDSA"], "kid": "first"}),
    "alg an object": forged({"alg": {"EdDSA": 1}, "kid": "first"}),
    "alg in lower case": forged({"alg": "eddsa", "kid": "first"}, None, b"x" * 64),
    "HS256 with the public JWK": hmac_with(json.dumps(KEY.jwk()).encode(), HS),
    "HS256 with the public JWK, compact": hmac_with(
        json.dumps(KEY.jwk(), separators=(",", ":")).encode(), HS
    ),
    "HS256 with the key set": hmac_with(key_set(*PUBLISHED), HS),
    "HS256 with the x of the JWK": hmac_with(KEY.jwk()["x"].encode(), HS),
    "HS256 with the raw public key": hmac_with(KEY.private.public_key().public_bytes_raw(), HS),
    "HS256 with the PEM": hmac_with(public_bytes(KEY, PEM), HS),
    "HS256 with the DER": hmac_with(public_bytes(KEY, DER), HS),
    "HS256 with the PEM of the RSA key": hmac_with(public_bytes(RSA, PEM), HS | {"kid": "rsa"}),
    "HS256 with nothing": hmac_with(b"", HS),
    "HS384 with the secret": hmac_with(SECRET.encode(), {"alg": "HS384"}, "sha384"),
    "HS512 with the secret": hmac_with(SECRET.encode(), {"alg": "HS512"}, "sha512"),
    "EdDSA with the secret's HMAC": hmac_with(SECRET.encode(), {"alg": "EdDSA", "kid": "first"}),
    "RS256 named over a key for EdDSA": KeyPair("first", "RS256").sign(),
    "EdDSA named over a key for ES256": KeyPair("curve").sign(),
    "PS256 with a key that names RS256": KeyPair("rsa", "PS256", private=RSA.private).sign(),
    "RS512 with a key that names RS256": KeyPair("rsa", "RS512", private=RSA.private).sign(),
    "ES256K": forged({"alg": "ES256K", "kid": "curve"}, None, b"x" * 64),
    "RSA-OAEP": forged({"alg": "RSA-OAEP", "kid": "rsa", "enc": "A256GCM"}),
}
NAMED = "kid" + "x" * 300
BAD_HEADERS = {
    **{
        f"kid {kid!r:.40}": STRANGER.sign({"kid": kid})
        for kid in (
            "../../../../dev/null",
            "/dev/null",
            "file:///etc/passwd",
            "' OR '1'='1",
            "first' --",
            "first\0",
            "first\n",
            "first ",
            "FIRST",
            "firs\u200bt",
            "https://evil.example.com/jwks",
            "*",
            "$where",
            NAMED,
        )
    },
    "kid empty": KEY.sign({"kid": ""}),
    "kid missing": f"{encoded({'alg': 'EdDSA'})}.{body}.{mark}",
    "kid null": forged({"alg": "EdDSA", "kid": None}),
    "kid a number": forged({"alg": "EdDSA", "kid": 1}),
    "kid a list": forged({"alg": "EdDSA", "kid": ["first"]}),
    "HS256 with an empty file": hmac_with(b"", {"alg": "HS256", "kid": "/dev/null"}),
    "jwk: a key of their own": STRANGER.sign({"jwk": STRANGER.jwk()}),
    "jku: a server of their own": STRANGER.sign({"jku": "http://127.0.0.1:1/jwks"}),
    "x5u: a server of their own": STRANGER.sign({"x5u": "http://127.0.0.1:1/cert"}),
    "x5c: a certificate of their own": STRANGER.sign({"x5c": ["AAAA"]}),
    "crit": f"{encoded({'alg': 'EdDSA', 'kid': 'first', 'crit': ['exp'], 'exp': 1})}.{body}.{mark}",
    "crit, signed": KEY.sign({"crit": ["exp"], "exp": 1}),
    "crit empty, signed": KEY.sign({"crit": []}),
    "crit a text, signed": KEY.sign({"crit": "exp"}),
    "b64 false": forged({"alg": "EdDSA", "kid": "first", "b64": False, "crit": ["b64"]}),
    **{
        f"typ {typ!r}, signed": KEY.sign({"typ": typ})
        for typ in ("at+jwt", "logout+jwt", "better-auth.session-cache+jwt", "JOSE", 1)
    },
    "typ deep": forged(b'{"alg": "EdDSA", "kid": "first", "typ": ' + b"[" * 1000 + b"]" * 1000 + b"}"),
    "typ null": forged({"alg": "EdDSA", "kid": "first", "typ": None}, None, b"x" * 64),
    "no object": forged(b"[]"),
    "no JSON": forged(b"alg: EdDSA"),
    "not UTF-8": forged(b'{"alg": "EdDSA\xff"}'),
    "alg twice, the last none": forged(b'{"alg": "EdDSA", "kid": "first", "alg": "none"}'),
    "huge": forged({"alg": "EdDSA", "kid": "first", "x": "x" * 8192}),
    "deep": forged(b'{"alg": "EdDSA", "kid": "first", "x": ' + b"[" * 3000),
}
BAD_CLAIMS = {
    **{
        f"iss {iss!r}": KEY.sign(iss=iss)
        for iss in (
            f"{ISSUER}/",
            f"{ISSUER}/api/auth",
            ISSUER.replace("https", "http"),
            f"{ISSUER}:443",
            ISSUER.upper(),
            f"{ISSUER}.evil.example",
            "https://evil.example",
            "app.example.com",
            "",
            None,
        )
    },
    "iss missing": KEY.sign(iss=...),
    "iss a list with ours": KEY.sign(payload=json.dumps(claims() | {"iss": [ISSUER]}).encode()),
    **{
        f"aud {aud!r}": KEY.sign(aud=aud)
        for aud in (
            "https://other.example.com",
            f"{ISSUER}/",
            "better-auth:session-cache",
            "*",
            "",
            [],
            None,
            1,
            True,
            ["https://other.example.com"],
            [ISSUER, 1],
            [[ISSUER]],
            {ISSUER: 1},
        )
    },
    "aud missing": KEY.sign(aud=...),
    **{
        f"sub {sub!r}": KEY.sign(sub=sub)
        for sub in ("", "a\0b", "a\nb", "\x7f", 1, None, True, ["alice"], {"id": 1})
    },
    "sub missing": KEY.sign(sub=...),
    "sub a lone surrogate": KEY.sign(payload=json.dumps(claims(sub="\ud800")).encode()),
    "sub of 256 characters": KEY.sign(sub="x" * 256),
    "exp missing": KEY.sign(exp=...),
    **{
        f"exp {exp!r:.30}": KEY.sign(exp=exp)
        for exp in (
            str(NOW + 60),
            None,
            True,
            [NOW + 60],
            10**400,
            1e300,
            float("inf"),
            float("nan"),
            "9" * 5000,
        )
    },
    **{f"iat {iat!r}": KEY.sign(iat=iat) for iat in (NOW + 31, NOW + 3600, str(NOW), None, True)},
    **{f"nbf {nbf!r}": KEY.sign(nbf=nbf) for nbf in (NOW + 31, NOW + 3600, str(NOW), None, True)},
    "payload a list": KEY.sign(payload=b"[]"),
    "payload a text": KEY.sign(payload=b'"alice"'),
    "payload empty": KEY.sign(payload=b""),
    "payload no JSON": KEY.sign(payload=b"sub=alice"),
    "payload not UTF-8": KEY.sign(payload=b'{"sub": "\xff"}'),
    "payload deep": KEY.sign(payload=b"[" * 3000),
    "payload with a deep claim": KEY.sign(
        payload=b'{"sub": "alice", "x": ' + b"[" * 2500 + b"]" * 2500 + b"}"
    ),
    "payload huge": KEY.sign(name="x" * 8192),
    "sub twice, the last empty": KEY.sign(payload=json.dumps(claims()).encode()[:-1] + b', "sub": ""}'),
    "HS256, an e-mail verification link": hs256(sub=..., email="alice@example.com", userId="alice"),
    "HS256, a session cookie": hs256(sub=..., session={"userId": "alice"}, user={"id": "alice"}),
    "HS256, another secret": hs256(secret="x" * 32),
}


def der_signed() -> str:
    """ES256 signed as OpenSSL writes it, which is not what JWS wants (RFC 7518 section 3.4)."""
    text = f"{encoded({'alg': 'ES256', 'kid': 'curve'})}.{encoded(claims())}"
    return f"{text}.{encoded(CURVE.private.sign(text.encode(), ec.ECDSA(SHA256())))}"


BAD_FORMS = {
    "another key": STRANGER.sign(),
    "another payload": f"{head}.{encoded(claims(sub='mallory'))}.{mark}",
    "another header": f"{encoded({'alg': 'EdDSA', 'kid': 'first', 'typ': 'JWT'})}.{body}.{mark}",
    "no signature": f"{head}.{body}.",
    "a signature of zeros": f"{head}.{body}.{encoded(bytes(64))}",
    "ES256 of zeros": forged({"alg": "ES256", "kid": "curve"}, None, bytes(64)),
    "ES256 as DER": der_signed(),
    "cut by one character": good[:-1],
    "cut by a half": good[: len(good) // 2],
    "a character more": f"{good}A",
    "padded": f"{good}==",
    "a part less": f"{head}.{body}",
    "a part more": f"{good}.{mark}",
    "five parts, like an encrypted one": f"{head}..{body}.{mark}.{mark}",
    "empty parts": "..",
    "only a dot": ".",
    "one part": "alice",
    "base64 of the other kind": good.replace("-", "+").replace("_", "/") + "+/",
    "percent-encoded dots": good.replace(".", "%2E"),
    "a percent-encoded dot": good.replace(".", "%2E", 1),
    "a percent-encoded letter": f"%{ord(good[0]):02x}{good[1:]}",
    "a session token that is not signed": RAW,
    "a session token of another secret": signed(RAW, "x" * 32),
    "a JWT's parts as a session token": f"{body}.{mark}",
    "8,193 characters": "a" * 8193,
}
REFUSED = BAD_ALGORITHMS | BAD_HEADERS | BAD_CLAIMS | BAD_FORMS

BEARER = f"Bearer {good}"
#: Header values as they come, and what they are answered.
HEADERS: dict[str, tuple[list[str], int, str]] = {
    "expired by 30 s": ([f"Bearer {KEY.sign(exp=NOW - 30)}"], 401, EXPIRED),
    "expired by 31 s": ([f"Bearer {KEY.sign(exp=NOW - 31)}"], 401, EXPIRED),
    "expired in another age": ([f"Bearer {KEY.sign(exp=0)}"], 401, EXPIRED),
    "expired, HS256": ([f"Bearer {hs256(exp=NOW - 31)}"], 401, EXPIRED),
    "two headers": ([BEARER, BEARER], 400, MALFORMED),
    "two headers, one of them bad": ([BEARER, "Bearer x"], 400, MALFORMED),
    "two headers, one of them Basic": (["Basic YTpi", BEARER], 400, MALFORMED),
    "two in one": ([f"{BEARER}, {BEARER}"], 400, MALFORMED),
    "two tokens": ([f"{BEARER} {good}"], 400, MALFORMED),
    "in quotes": ([f'Bearer "{good}"'], 400, MALFORMED),
    "a line break": ([f"Bearer {head}.\t{body}.{mark}"], 400, MALFORMED),
    "JSON": ([f"Bearer {json.dumps({'payload': body})}"], 400, MALFORMED),
    "not ASCII": (["Bearer älice"], 400, MALFORMED),
    "no scheme": ([good], 401, NONE),
    "another scheme": ([f"Token {good}"], 401, NONE),
    "Basic": (["Basic YWxpY2U6cGFzc3dvcmQ="], 401, NONE),
    "no token": (["Bearer "], 401, NONE),
    "no header": ([], 401, NONE),
}


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[KeyServer]:
    async with key_server() as keys:
        keys.behave = answering(key_set(*PUBLISHED))
        yield keys


@pytest.fixture(scope="module")
async def client(server: KeyServer) -> AsyncIterator[httpx.AsyncClient]:
    """Of a service with all three verifiers, a clock that stands still, and no database."""
    settings = Settings(
        better_auth_url=ISSUER,
        better_auth_jwks_url=server.url,
        better_auth_secret=SECRET,
        better_auth_database_url="same",
        database_url=NOWHERE,
        **UNLIMITED,
    )
    app = create_app(settings)
    app.state.verifier._clock = Clock()  # noqa: SLF001 - all the rest is as create_app wires it
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield client
    await close(app)


async def answer_to(client: httpx.AsyncClient, *values: str) -> tuple[int, str, str | None]:
    headers = [(b"Authorization", value.encode()) for value in values]
    answer = await client.get("/tasks", headers=headers)
    assert "alice" not in answer.text
    return answer.status_code, answer.json()["error"], answer.headers.get("WWW-Authenticate")


def test_there_are_many_of_them():
    assert len(REFUSED) + len(HEADERS) >= 150
    assert len(set(REFUSED.values())) == len(REFUSED)


@pytest.mark.parametrize("name", ACCEPTED)
async def test_a_good_token_gets_as_far_as_the_database(client, name):
    assert await answer_to(client, f"Bearer {ACCEPTED[name]}") == (503, "SERVICE_UNAVAILABLE", None)


@pytest.mark.parametrize("name", REFUSED)
async def test_an_attack_is_401_without_a_reason_and_without_a_query(client, name):
    assert await answer_to(client, f"Bearer {REFUSED[name]}") == (401, "UNAUTHORIZED", INVALID)


@pytest.mark.parametrize("name", HEADERS)
async def test_the_header_is_answered_exactly(client, name):
    values, status, challenge = HEADERS[name]
    found = await answer_to(client, *values)
    assert found == (status, "UNAUTHORIZED" if status == 401 else "BAD_REQUEST", challenge)


@pytest.mark.parametrize("place", ["query", "form", "cookie", "another header"])
async def test_a_token_elsewhere_is_no_token(client, place):
    answer = await client.request(
        "POST" if place == "form" else "GET",
        f"/tasks?access_token={good}" if place == "query" else "/tasks",
        data={"access_token": good} if place == "form" else None,
        headers={"Cookie": f"token={good}"} if place == "cookie" else {"X-Access-Token": good},
    )
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, NONE)


async def test_a_session_token_whose_signature_holds_is_the_only_one_that_asks_for_its_session(client):
    assert await answer_to(client, f"Bearer {signed(RAW)}") == (503, "SERVICE_UNAVAILABLE", None)


async def test_no_attack_made_more_than_one_extra_fetch(client, server):
    await answer_to(client, f"Bearer {ACCEPTED['EdDSA']}")  # whichever test comes first fetches the keys
    before = server.requests
    for attack in BAD_HEADERS.values():
        await answer_to(client, f"Bearer {attack}")
    assert server.requests - before <= 1


@pytest.mark.parametrize("name", ["EdDSA", "ES256", "RS256", "HS256"])
async def test_no_token_survives_a_change_of_one_character(client, name):
    token = ACCEPTED[name]
    choose = random.Random(name)  # noqa: S311 - the same changes every time
    for position, character in enumerate(token):
        other = choose.choice(
            [letter for letter in f"{string.ascii_letters}{string.digits}-_" if letter != character]
        )
        changed = token[:position] + other + token[position + 1 :]
        assert (await answer_to(client, f"Bearer {changed}"))[0] == 401, (position, other)


CLAIMS = {"iss", "aud", "sub", "exp", "iat", "nbf"}


@pytest.mark.parametrize("name", [name for name in BAD_CLAIMS if name[:3] in CLAIMS])
async def test_a_claim_is_refused_for_its_own_sake(server, name):
    rules = ClaimRules(ISSUER, frozenset({ISSUER}))
    verifier = Verifier(TokenVerifier(keys=Jwks(server.url), rules=rules), clock=Clock())
    with pytest.raises(Unauthorized) as refusal:
        await verifier.user(BAD_CLAIMS[name])
    unreadable = any(part in name for part in ("surrogate", "inf", "nan", "1000000"))
    assert refusal.value.reason.startswith("it is not a well-formed token" if unreadable else name[:3])


async def test_of_two_claims_with_one_name_the_last_counts():
    """As RFC 7519 section 4 allows; only who has the key could write both."""
    payload = json.dumps(claims()).encode()[:-1] + b', "sub": "bob"}'
    text = f"{encoded({'alg': 'HS256'})}.{encoded(payload)}"
    token = f"{text}.{encoded(hmac.digest(SECRET.encode(), text.encode(), hashlib.sha256))}"
    assert await Verifier(TokenVerifier(SECRET), clock=Clock()).user(token) == User("bob")


REASONS = {
    "its alg is not its key's": [
        "RS256 named over a key for EdDSA", "EdDSA named over a key for ES256",
        "PS256 with a key that names RS256",
    ],
    "its alg is none that is accepted": ["alg 'none'", "HS512 with the secret", "ES256K"],
    "its kid is no text, or too long": ["kid a number", f"kid {NAMED!r:.40}"],
    "its signature does not match its key": ["another key", "another payload", "HS256 with the PEM"],
    "its typ is not JWT: it is a token for something else": ["typ 'at+jwt', signed"],
    "it is padded": ["padded"],
    "it is percent-encoded, and no session token": [
        "percent-encoded dots", "a percent-encoded dot", "a percent-encoded letter",
    ],
    "its header can't be read": ["no JSON", "alg a list"],
    "it names no key: kid is missing": ["kid missing", "kid empty"],
    "its kid names no published key": ["kid 'FIRST'"],
    "it has more than 8192 characters": ["8,193 characters"],
}  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
async def test_the_log_says_why(client, reason):
    for name in REASONS[reason]:
        with pytest.raises(Unauthorized) as refusal:
            await client._transport.app.state.verifier.user(REFUSED[name])  # noqa: SLF001 - what the client calls
        assert refusal.value.reason == reason, name
