"""Against real Better Auth servers: each credential that they issue, from the sign-up to the task."""

import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import jwt
import pytest
from fastapi import FastAPI

from app.auth.tokens import sign
from app.config import Settings
from app.main import close, create_app
from tests.better_auth_server import BetterAuth, Session, better_auth
from tests.conftest import SECRET, MakeDatabase
from tests.record_better_auth import ALGORITHMS, CACHE_COOKIE, SESSION_CACHE
from tests.test_auth import INVALID

pytestmark = pytest.mark.node

#: What a front end may set, beside the algorithms.
VARIANTS: dict[str, dict[str, Any]] = {
    "main": {},
    "a path": {"path": "/app"},
    "the default path": {"path": "/api/auth/"},
    "an issuer and an audience": {
        "jwt": {"jwt": {"issuer": "https://issuer.example", "audience": "tasks-api"}}
    },
    "serial ids": {"advanced": {"database": {"generateId": "serial"}}},
    "UUIDs": {"advanced": {"database": {"generateId": "uuid"}}},
    "HS256 asked for": {"jwt": {"algorithm": "HS256", "secret": SECRET, "jwt": {"algorithm": "HS256"}}},
    "cached": {"session": SESSION_CACHE},
    "cached, signed with the published key": {"session": SESSION_CACHE, "jwt": {"sessionCookieCache": True}},
}
#: What our side sets where the front end is not as it comes.
OURS: dict[str, dict[str, Any]] = {
    "an issuer and an audience": {
        "better_auth_issuer": "https://issuer.example",
        "better_auth_audience": "web,tasks-api",
    }
}

Service = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


async def described(
    make_database: MakeDatabase, instances: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Give each instance a database of its own on the embedded PostgreSQL."""
    return {
        name: {"database": await make_database(empty=True), "secret": SECRET} | options
        for name, options in instances.items()
    }


@pytest.fixture(scope="module")
async def instances(make_database: MakeDatabase) -> dict[str, dict[str, Any]]:
    by_algorithm = {name: {"jwt": {"jwks": {"keyPairConfig": {"alg": name}}}} for name in ALGORITHMS}
    return await described(make_database, VARIANTS | by_algorithm)


@pytest.fixture(scope="module")
def auths(instances: dict[str, dict[str, Any]]) -> Iterator[dict[str, BetterAuth]]:
    with better_auth(instances) as started:
        yield started


@pytest.fixture(scope="module")
def service(instances: dict[str, dict[str, Any]], auths: dict[str, BetterAuth], database_url: str) -> Service:
    """Open a service for the users of one instance: with its URL, its secret and its table."""

    @asynccontextmanager
    async def open_service(name: str = "main") -> AsyncIterator[httpx.AsyncClient]:
        settings: dict[str, Any] = {
            "better_auth_url": auths[name].url + instances[name].get("path", ""),
            "better_auth_secret": SECRET,
            "better_auth_database_url": instances[name]["database"],
        }
        app = create_app(
            Settings(
                database_url=database_url,
                database_timeout=30,
                database_queue_wait=30,
                **settings,
                **OURS.get(name, {}),
            )
        )
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://api.test"
        ) as client:
            yield client
        await close(app)

    return open_service


def app_of(client: httpx.AsyncClient) -> FastAPI:
    app: FastAPI = client._transport.app  # type: ignore[attr-defined]  # noqa: SLF001 - to move its clock
    return app


async def create(client: httpx.AsyncClient, credential: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {credential}"}
    return await client.post("/tasks", json={"text": "Buy milk"}, headers=headers)


async def tasks_of(client: httpx.AsyncClient, credential: str) -> list[str]:
    answer = await client.get("/tasks", headers={"Authorization": f"Bearer {credential}"})
    assert answer.status_code == 200, answer.text
    return [task["id"] for task in answer.json()["tasks"]]


async def assert_refused(client: httpx.AsyncClient, credential: str) -> None:
    answer = await create(client, credential)
    assert (answer.status_code, answer.headers.get("WWW-Authenticate")) == (401, INVALID), answer.text


@pytest.mark.parametrize("name", [*VARIANTS, *ALGORITHMS])
async def test_whoever_signs_up_has_tasks_with_a_token_and_with_the_session(auths, service, name):
    async with service(name) as client:
        somebody = await auths[name].sign_up()
        token = await auths[name].token(somebody)
        assert jwt.get_unverified_header(token)["alg"] == (name if name in ALGORITHMS else "EdDSA")
        made = await create(client, token)
        assert (made.status_code, made.json()["user_id"]) == (201, somebody.user_id)
        assert await tasks_of(client, somebody.bearer) == [made.json()["id"]]


async def test_asking_the_plugin_for_hs256_does_nothing(auths):
    auth = auths["HS256 asked for"]
    assert jwt.get_unverified_header(await auth.token(await auth.sign_up()))["alg"] == "EdDSA"


async def test_an_hs256_token_of_the_front_ends_server_is_the_same_user(auths, service):
    async with service() as client:
        somebody = await auths["main"].sign_up()
        made = await create(client, sign(somebody.user_id, SECRET, seconds=900))
        assert await tasks_of(client, somebody.bearer) == [made.json()["id"]]


async def test_a_session_token_is_taken_percent_encoded_too(auths, service):
    async with service() as client:
        somebody = await auths["main"].sign_up()
        assert (await create(client, quote(somebody.bearer, safe=""))).status_code == 201


async def test_two_users_are_isolated_whatever_they_come_with(auths, service):
    async with service() as client:
        alice, bob = await auths["main"].sign_up(), await auths["main"].sign_up()
        task = (await create(client, await auths["main"].token(alice))).json()
        for credential in (await auths["main"].token(bob), bob.bearer):
            assert await tasks_of(client, credential) == []
            path, headers = f"/tasks/{task['id']}", {"Authorization": f"Bearer {credential}"}
            for method, body in [("GET", None), ("PATCH", {"text": "x"}), ("DELETE", None)]:
                answer = await client.request(method, path, json=body, headers=headers)
                assert answer.status_code == 404
        assert await tasks_of(client, alice.bearer) == [task["id"]]


async def test_a_token_of_another_front_end_is_refused(auths, service):
    async with service() as client:
        other = auths["ES256"]
        await assert_refused(client, await other.token(await other.sign_up()))


async def test_a_key_that_did_not_exist_a_second_ago_is_accepted_at_the_first_try(auths, service):
    auth = auths["main"]
    async with service() as client:
        somebody = await auth.sign_up()
        before = await auth.token(somebody)
        assert (await create(client, before)).status_code == 201  # the keys are cached from here on
        expired = await auth.rotate()
        after = await auth.token(somebody)
        assert jwt.get_unverified_header(after)["kid"] not in {
            *expired,
            jwt.get_unverified_header(before)["kid"],
        }
        assert (await create(client, after)).status_code == 201
        assert len(await tasks_of(client, before)) == 2  # the old key is still published


async def test_signing_out_ends_the_session_and_not_the_token(auths, service):
    auth = auths["main"]
    async with service() as client:
        somebody = await auth.sign_up()
        token = await auth.token(somebody)
        assert await tasks_of(client, somebody.bearer) == []
        await auth.sign_out(somebody)
        app_of(client).state.verifier._clock = lambda: time.time() + 10.1  # noqa: SLF001
        await assert_refused(client, somebody.bearer)
        assert await tasks_of(client, token) == []


async def test_the_raw_token_of_the_sign_in_body_is_refused(auths, service):
    async with service() as client:
        somebody, other = await auths["main"].sign_up(), await auths["main"].sign_up()
        await assert_refused(client, somebody.token)
        await assert_refused(client, f"{somebody.token}.{other.bearer.partition('.')[2]}")


@pytest.mark.parametrize("name", ["cached", "cached, signed with the published key"])
async def test_a_cookie_that_caches_the_session_is_refused(auths, service, name):
    async with service(name) as client:
        somebody = await auths[name].sign_up()
        cookie = somebody.cookies[CACHE_COOKIE]
        algorithm = "HS256" if name == "cached" else "EdDSA"
        assert jwt.get_unverified_header(cookie)["alg"] == algorithm
        await assert_refused(client, cookie)


async def test_an_email_verification_token_is_refused(auths, service):
    async with service() as client:
        somebody = await auths["main"].sign_up(f"{uuid.uuid4()}@example.com")
        await assert_refused(client, await auths["main"].verification_token(somebody.email))


async def test_a_token_without_sub_or_for_somebody_else_is_refused(auths, service):
    """Signed with the very key, by the jwt() plugin itself."""
    auth = auths["main"]
    async with service() as client:
        now = int(time.time())
        assert (await create(client, await auth.sign({"sub": "x", "iat": now}))).status_code == 201
        await assert_refused(client, await auth.sign({"iat": now, "userId": "x"}))
        await assert_refused(
            client, await auth.sign({"sub": "x", "iat": now, "aud": "https://other.example.com"})
        )
        await assert_refused(
            client, await auth.sign({"sub": "x", "iat": now, "iss": "https://other.example.com"})
        )


@pytest.fixture
async def one(make_database: MakeDatabase) -> dict[str, dict[str, Any]]:
    return await described(make_database, {"main": {}})


async def test_without_the_auth_server_known_keys_go_on_and_a_cold_start_is_503(one, database_url):
    with better_auth(one) as started:
        auth = started["main"]
        settings = Settings(database_url=database_url, better_auth_url=auth.url, better_auth_secret=SECRET)
        warm, cold = create_app(settings), create_app(settings)
        somebody: Session = await auth.sign_up()
        first, second = (
            await auth.token(somebody),
            await auth.sign({"sub": somebody.user_id, "iat": int(time.time()) - 1}),
        )
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(warm), base_url="http://api.test"
        ) as client:
            assert (await create(client, first)).status_code == 201
    async with httpx.AsyncClient(transport=httpx.ASGITransport(warm), base_url="http://api.test") as client:
        for token in (first, second):
            assert (await create(client, token)).status_code == 201
    async with httpx.AsyncClient(transport=httpx.ASGITransport(cold), base_url="http://api.test") as client:
        answer = await create(client, first)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "WWW-Authenticate" not in answer.headers
    for app in (warm, cold):
        await close(app)
