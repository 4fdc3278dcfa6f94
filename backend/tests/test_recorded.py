"""Credentials that a real Better Auth issued, recorded with their keys: no Node and no network needed.

`tests/record_better_auth.py` records them anew.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.auth import ClaimRules, Jwks, Session, SessionVerifier, TokenVerifier, User, Verifier
from app.errors import Unauthorized
from tests.better_auth_server import FOLDER
from tests.key_server import KeyServer, answering, key_server
from tests.signing import Clock
from tests.test_auth import EXPIRED, INVALID

RECORDED: dict[str, Any] = json.loads((FOLDER / "recorded.json").read_text())
SECRET, AT = RECORDED["secret"], RECORDED["recorded_at"]
TOKENS = RECORDED["tokens"] | {"without alg": RECORDED["without alg"]}
CACHED = RECORDED["session_cache"]
VERSION = json.loads((FOLDER / "package.json").read_text())["dependencies"]["better-auth"]


@pytest.fixture
async def server() -> AsyncIterator[KeyServer]:
    async with key_server() as keys:
        yield keys


async def no_session(_raw: str) -> Session | None:
    return None


def verifier(server: KeyServer, recorded: dict[str, Any], clock: Clock, **changes: Any) -> Verifier:
    """Verify as a service would whose BETTER_AUTH_URL is the recorded server's."""
    server.behave = answering(json.dumps(recorded["jwks"]).encode())
    rules = ClaimRules(recorded["url"], frozenset({recorded["url"]}))
    tokens = TokenVerifier(SECRET, Jwks(server.url), changes.get("rules", rules))
    return Verifier(tokens, SessionVerifier(SECRET, changes.get("find", no_session)), clock)


@pytest.mark.parametrize("algorithm", TOKENS)
async def test_a_token_tells_its_user_until_it_expires(server, algorithm):
    recorded = TOKENS[algorithm]
    clock = Clock(recorded.get("recorded_at", AT))
    found = verifier(server, recorded, clock)
    assert await found.user(recorded["token"]) == User(recorded["user_id"])
    clock.now += 15 * 60 + 31  # Better Auth's default, and the leeway
    with pytest.raises(Unauthorized) as refusal:
        await found.user(recorded["token"])
    assert refusal.value.headers == {"WWW-Authenticate": EXPIRED}


def test_every_algorithm_was_recorded_from_the_version_that_is_installed():
    assert set(TOKENS) == {
        "EdDSA", "Ed25519", "ES256", "ES384", "ES512",
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "without alg",
    }  # fmt: skip
    assert RECORDED["better_auth"] == VERSION
    assert not [key for key in TOKENS["without alg"]["jwks"]["keys"] if "alg" in key]


async def test_a_token_is_for_its_own_issuer_and_audience_only(server):
    recorded, other = TOKENS["EdDSA"], frozenset({"https://other.example.com"})
    for rules in (
        ClaimRules("https://other.example.com", frozenset({recorded["url"]})),
        ClaimRules(recorded["url"], other),
    ):
        with pytest.raises(Unauthorized):
            await verifier(server, recorded, Clock(AT), rules=rules).user(recorded["token"])


async def refused(found: Verifier, credential: str) -> str:
    with pytest.raises(Unauthorized) as refusal:
        await found.user(credential)
    assert refusal.value.headers == {"WWW-Authenticate": INVALID}
    return refusal.value.reason


async def test_what_else_it_signs_is_no_credential(server):
    """E-mail links and cookies: two of them signed with the secret, one with the published key."""
    found = verifier(server, CACHED["JWKS"], Clock(AT))
    assert (await refused(found, RECORDED["verification_token"]["token"])).startswith("sub ")
    assert (await refused(found, CACHED["HS256"]["token"])).startswith("sub ")
    assert (await refused(found, CACHED["JWKS"]["token"])).startswith("its typ ")


async def test_a_session_token_is_looked_up_by_its_raw_part(server):
    recorded = RECORDED["session"]

    async def find(raw: str) -> Session | None:
        return Session(recorded["user_id"], AT + 60) if raw == recorded["token"] else None

    found = verifier(server, TOKENS["EdDSA"], Clock(AT), find=find)
    assert await found.user(recorded["bearer"]) == User(recorded["user_id"])
    await refused(found, recorded["token"])
