"""The public keys: which are usable, when they are fetched, and what happens when they can't be."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.auth import ClaimRules, Jwks, TokenVerifier, User, Verifier, jwks, key_document
from app.auth.keys import UnusableKeys, read_keys
from app.errors import AppError, SignInUnavailable, Unauthorized
from tests.key_server import KeyServer, answering, cut_off, hanging_up, key_server, trickling, waiting
from tests.signing import ISSUER, NOW, Clock, KeyPair, encoded, key_set
from tests.test_database_url import CERTIFICATE, server_context

ALGORITHMS = [
    "EdDSA", "Ed25519", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
]  # fmt: skip
RULES = ClaimRules(ISSUER, frozenset({ISSUER}))
FIRST, SECOND = KeyPair("first"), KeyPair("second")

# Which keys are usable


@pytest.mark.parametrize("named", ["alg", "no alg"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_every_algorithm_verifies_with_a_key_that_names_it_or_none(server, verifier, algorithm, named):
    pair = KeyPair("k", algorithm)
    server.behave = answering(key_set(pair.jwk() if named == "alg" else pair.jwk(alg=...)))
    assert await verifier.user(pair.sign()) == User("alice")


def test_a_key_says_what_it_may_verify():
    def algorithms(jwk: dict[str, Any]) -> set[str]:
        return set(read_keys(key_set(jwk), {})["k"].algorithms)

    assert algorithms(KeyPair("k", "EdDSA").jwk()) == {"EdDSA", "Ed25519"}
    assert algorithms(KeyPair("k", "Ed25519").jwk()) == {"EdDSA", "Ed25519"}
    assert algorithms(KeyPair("k", "ES256").jwk(alg=...)) == {"ES256"}
    assert algorithms(KeyPair("k", "RS256").jwk()) == {"RS256"}
    assert algorithms(KeyPair("k", "RS256").jwk(alg=...)) == {
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    }  # fmt: skip


GOOD = KeyPair("good").jwk()
EC = KeyPair("k", "ES256")
UNUSABLE = {
    "no kid": FIRST.jwk(kid=...),
    "kid a number": FIRST.jwk(kid=1),
    "for encryption": FIRST.jwk(use="enc"),
    "a shared secret": {"kty": "oct", "k": "AAAA", "kid": "k", "alg": "HS256"},
    "a shared secret under another alg": {"kty": "oct", "k": "AAAA", "kid": "k", "alg": "EdDSA"},
    "a private key": FIRST.jwk(d=encoded(FIRST.private.private_bytes_raw())),
    "the alg of another type": FIRST.jwk(alg="RS256"),
    "HS256 on a public key": EC.jwk(alg="HS256"),
    "alg none": FIRST.jwk(alg="none"),
    "alg a list": EC.jwk(alg=["ES256"]),
    "another curve": FIRST.jwk(crv="Ed448"),
    "a curve for key agreement": FIRST.jwk(crv="X25519"),
    "a curve of bitcoin": EC.jwk(crv="secp256k1", alg="ES256K"),
    "curve a list": EC.jwk(crv=["P-256"]),
    "no type": FIRST.jwk(kty=...),
    "a point that is not on the curve": EC.jwk(x="AAAA", y="AAAA"),
    "no point": EC.jwk(x=...),
    "x a number": FIRST.jwk(x=1),
    "a short RSA key": KeyPair("k", "RS256", bits=1024).jwk(),
    "no object": "k",
    "nothing": None,
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_key_that_cannot_be_used_is_passed_over(name):
    assert set(read_keys(key_set(UNUSABLE[name], GOOD), {})) == {"good"}
    with pytest.raises(UnusableKeys):
        read_keys(key_set(UNUSABLE[name]), {})


@pytest.mark.parametrize(
    "document", [b"", b"<html>", b"[]", b"null", b'{"keys": {}}', b'{"keys": []}', b"{}", b"\xff"]
)
def test_what_is_no_key_set_is_told_apart(document):
    with pytest.raises(UnusableKeys):
        read_keys(document, {})


def test_of_two_keys_with_one_kid_the_first_counts():
    first, other = KeyPair("k"), KeyPair("k", "ES256")
    assert read_keys(key_set(first.jwk(), other.jwk()), {})["k"].algorithms == {"EdDSA", "Ed25519"}


def test_of_very_many_keys_the_last_1024_are_read():
    """Better Auth lists the newest last."""
    jwk = FIRST.jwk()
    found = read_keys(key_set(*(jwk | {"kid": str(number)} for number in range(1100))), {})
    assert list(found) == [str(number) for number in range(76, 1100)]


def test_a_key_does_not_show_what_it_is_made_of():
    assert "Ed25519PublicKey" not in repr(read_keys(key_set(FIRST.jwk()), {}))


# When they are fetched


@pytest.fixture
async def server() -> AsyncIterator[KeyServer]:
    async with key_server() as keys:
        keys.behave = answering(key_set(FIRST.jwk()))
        yield keys


@pytest.fixture
def monotonic() -> Clock:
    return Clock(1000)


@pytest.fixture
def keys(server: KeyServer, monotonic: Clock) -> Jwks:
    return Jwks(server.url, monotonic)


@pytest.fixture
def verifier(keys: Jwks) -> Verifier:
    return Verifier(TokenVerifier(keys=keys, rules=RULES), clock=Clock())


async def outcome(keys: Jwks, kid: str) -> str | int:
    """The kid of the key that was found, or the status of the refusal."""
    try:
        return (await keys.key(kid)).kid
    except AppError as error:
        return error.status


async def until_settled(keys: Jwks) -> None:
    give_up = asyncio.get_running_loop().time() + 10
    await keys._settled(give_up)  # noqa: SLF001 - a fetch behind has no other end to wait for


async def test_five_hundred_at_once_make_one_fetch(server, keys):
    found = await asyncio.gather(*(outcome(keys, "first") for _ in range(500)))
    assert found == ["first"] * 500
    assert server.requests == 1


async def test_the_keys_are_asked_for_as_they_are(server, keys):
    """A front end that compresses would send what may unfold to any size."""
    await keys.key("first")
    assert b"\r\naccept-encoding: identity\r\n" in server.head


async def test_keys_are_kept_and_refreshed_behind(server, keys, monotonic):
    await keys.key("first")
    monotonic.now += 299
    await keys.key("first")
    assert server.requests == 1
    gate = asyncio.Event()
    server.behave = waiting(gate, answering(key_set(SECOND.jwk())))
    monotonic.now += 2
    assert await outcome(keys, "first") == "first"
    assert server.requests == 1  # nobody waited for the refresh
    gate.set()
    await until_settled(keys)
    assert server.requests == 2
    assert await outcome(keys, "second") == "second"


async def test_keys_of_twice_the_age_wait_for_the_refresh(server, keys, monotonic):
    await keys.key("first")
    server.behave = answering(key_set(SECOND.jwk()))
    monotonic.now += 601
    assert await outcome(keys, "first") == 401
    assert server.requests == 2


async def test_a_key_that_was_just_made_is_found_at_the_first_try(server, keys, monotonic):
    await keys.key("first")
    server.behave = answering(key_set(FIRST.jwk(), SECOND.jwk()))
    monotonic.now += 0.1
    assert await outcome(keys, "second") == "second"
    assert server.requests == 2


async def test_a_kid_that_was_not_looked_for_is_looked_for_as_soon_as_may_be(server, keys, monotonic):
    """Somebody's stray kid has just used up the fetch; then a key is made."""
    await keys.key("first")
    monotonic.now += 1
    assert await outcome(keys, "stray") == 401
    server.behave = answering(key_set(FIRST.jwk(), SECOND.jwk()))
    for elapsed, expected in [(1, 401), (8.9, 401), (0.2, "second")]:
        monotonic.now += elapsed
        assert await outcome(keys, "second") == expected


async def test_a_key_that_was_made_while_a_fetch_was_under_way_is_found_too(server, keys, monotonic):
    gate = asyncio.Event()
    server.behave = waiting(gate, answering(key_set(FIRST.jwk())))
    cold = asyncio.create_task(outcome(keys, "first"))
    await asyncio.sleep(0.05)
    monotonic.now += 0.1
    rotated = asyncio.create_task(outcome(keys, "second"))
    await asyncio.sleep(0.05)
    server.behave = answering(key_set(FIRST.jwk(), SECOND.jwk()))
    gate.set()
    assert [await cold, await rotated] == ["first", "second"]


async def test_three_thousand_unknown_kids_make_one_extra_fetch(server, keys, monotonic):
    await keys.key("first")
    monotonic.now += 0.5
    found = await asyncio.gather(*(outcome(keys, f"unknown-{number}") for number in range(3000)))
    assert found == [401] * 3000
    assert server.requests == 2
    monotonic.now += 9.9
    assert await outcome(keys, "another") == 401
    assert server.requests == 2
    monotonic.now += 0.2
    assert await outcome(keys, "yet another") == 401
    assert server.requests == 3
    assert len(keys._missed) == 256  # noqa: SLF001 - its size is the point


async def test_a_kid_that_was_not_there_forces_no_other_fetch_for_half_a_minute(server, keys, monotonic):
    await keys.key("first")
    for elapsed, requests in [(1, 2), (11, 2), (18, 2), (1.1, 3)]:
        monotonic.now += elapsed
        assert await outcome(keys, "gone") == 401
        assert server.requests == requests
    server.behave = answering(key_set(FIRST.jwk(), SECOND.jwk(kid="gone")))
    monotonic.now += 12
    await outcome(keys, "other")  # forces one that finds it
    assert await outcome(keys, "gone") == "gone"


async def test_who_stops_waiting_does_not_stop_the_fetch(server, keys):
    gate = asyncio.Event()
    server.behave = waiting(gate, answering(key_set(FIRST.jwk())))
    impatient, patient = (asyncio.create_task(outcome(keys, "first")) for _ in range(2))
    await asyncio.sleep(0.05)
    impatient.cancel()
    gate.set()
    assert await patient == "first"
    assert server.requests == 1


async def test_closing_gives_up_a_fetch(server, keys):
    server.behave = waiting(asyncio.Event(), hanging_up)
    keys.refresh()
    await asyncio.sleep(0.05)
    await keys.close()
    assert not keys._is_fetching()  # noqa: SLF001
    await keys.close()


def test_another_event_loop_can_use_the_keys():
    async def use() -> None:
        async with key_server() as server:
            server.behave = answering(key_set(FIRST.jwk()))
            shared.url = server.url
            clock.now += 4000
            assert await outcome(shared, "first") == "first"

    clock = Clock(1000)
    shared = Jwks("", clock)
    for _ in range(2):
        asyncio.run(use())


def test_nobody_waits_for_a_fetch_of_another_event_loop():
    keys, other, left = Jwks(""), asyncio.new_event_loop(), AsyncExitStack()

    async def begin() -> None:
        server = await left.enter_async_context(key_server())
        server.behave = waiting(asyncio.Event(), hanging_up)
        keys.url = server.url
        keys.refresh()
        await server.asked.wait()

    async def use() -> None:
        async with key_server() as server:
            server.behave = answering(key_set(FIRST.jwk()))
            keys.url = server.url
            assert await outcome(keys, "first") == "first"

    async def end(fetch: asyncio.Task[None]) -> None:
        fetch.cancel()
        await asyncio.wait({fetch})
        await left.aclose()

    other.run_until_complete(begin())
    pending = keys._fetching  # noqa: SLF001
    assert pending
    asyncio.run(use())
    other.run_until_complete(end(pending))
    other.close()


# When they can't be fetched

FAILURES = {
    "refused": answering(b"", "500 Internal Server Error"),
    "rate limited": answering(b"{}", "429 Too Many Requests"),
    "not there": answering(b"", "404 Not Found"),
    "redirected": answering(key_set(FIRST.jwk()), "302 Found", location="/elsewhere"),
    "a page": answering(b"<html></html>"),
    "empty": answering(b""),
    "no keys": answering(key_set()),
    "no usable keys": answering(key_set(FIRST.jwk(use="enc"))),
    "too much": answering(key_set(FIRST.jwk(), {"x": "x" * 512 * 1024})),
    "compressed all the same": answering(b"\x1f\x8b\x08", content_encoding="gzip"),
    "cut off": cut_off,
    "hanging up": hanging_up,
}


@pytest.mark.parametrize("name", FAILURES)
async def test_without_keys_it_is_503_and_with_old_ones_it_goes_on(server, keys, monotonic, name):
    good, server.behave = server.behave, FAILURES[name]
    with pytest.raises(SignInUnavailable) as refusal:
        await keys.key("first")
    assert refusal.value.headers == {"Retry-After": "5"}
    assert refusal.value.status == 503
    server.behave = good
    monotonic.now += 121
    assert await outcome(keys, "first") == "first"
    server.behave = FAILURES[name]
    for elapsed, expected in [(700, "first"), (3100, "first"), (101, 503)]:
        monotonic.now += elapsed
        assert await outcome(keys, "first") == expected
    server.behave = good
    monotonic.now += 31
    assert await outcome(keys, "first") == "first"


async def test_a_redirect_is_not_followed(server, keys):
    async with key_server() as elsewhere:
        elsewhere.behave = answering(key_set(FIRST.jwk()))
        server.behave = answering(b"", "307 Temporary Redirect", location=elsewhere.url)
        assert await outcome(keys, "first") == 503
        assert elsewhere.requests == 0


async def test_a_fetch_is_bounded_in_time_however_it_trickles(server, keys, monkeypatch):
    monkeypatch.setattr(key_document, "_SECONDS", 0.3)
    server.behave = trickling
    assert await outcome(keys, "first") == 503
    await until_settled(keys)
    assert not keys._is_fetching()  # noqa: SLF001


@pytest.mark.parametrize("trusted", [False, True])
async def test_the_certificate_of_the_server_is_verified(monkeypatch, tmp_path, trusted):
    authority = tmp_path / "authority.pem"
    authority.write_text(CERTIFICATE)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority) if trusted else "/nowhere")
    key_document._trust.cache_clear()  # noqa: SLF001 - it is read once
    async with key_server(server_context()) as server:
        server.behave = answering(key_set(FIRST.jwk()))
        assert server.url.startswith("https://localhost:")
        assert await outcome(Jwks(server.url), "first") == ("first" if trusted else 503)
    key_document._trust.cache_clear()  # noqa: SLF001


async def test_an_address_of_the_own_network_is_asked_without_a_proxy(server, keys, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert await outcome(keys, "first") == "first"


async def test_whatever_goes_wrong_is_told_and_slowed_down(monkeypatch, caplog):
    """A proxy that can't be spoken to is no failure of HTTP."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    keys = Jwks("https://127.0.0.1:1/jwks", Clock(1000))
    assert [await outcome(keys, "first") for _ in range(3)] == [503] * 3
    (record,) = [record for record in caplog.records if record.name == "app"]
    assert "can't be fetched (ImportError); next try in 1 s" in record.getMessage()


async def test_a_member_that_is_nested_deep_does_not_stop_the_keys(server, keys, monotonic):
    deep = FIRST.jwk() | {"x5c": None}
    document = key_set(deep).replace(b"null", b"[" * 1000 + b"]" * 1000)
    server.behave = answering(document)
    first = await keys.key("first")
    monotonic.now += 601
    assert await keys.key("first") is first
    assert server.requests == 2


async def test_a_server_that_is_gone_is_503_too():
    keys = Jwks("http://127.0.0.1:1/jwks")
    assert await outcome(keys, "first") == 503


async def test_an_unknown_kid_is_not_refused_while_the_keys_are_in_doubt(server, keys, monotonic):
    await keys.key("first")
    server.behave = FAILURES["refused"]
    monotonic.now += 1
    assert await outcome(keys, "second") == 503  # 401 would log out who has a token of a new key
    assert await outcome(keys, "first") == "first"
    server.behave = answering(key_set(FIRST.jwk(), SECOND.jwk()))
    monotonic.now += 10
    assert await outcome(keys, "second") == "second"


async def test_a_new_key_of_a_server_that_is_well_again_waits_for_the_back_off_only(server, keys, monotonic):
    await keys.key("first")
    good = answering(key_set(FIRST.jwk(), SECOND.jwk()))
    server.behave = FAILURES["refused"]
    monotonic.now += 1
    assert await outcome(keys, "second") == 503
    server.behave = good
    assert await outcome(keys, "second") == 503
    monotonic.now += 1
    assert await outcome(keys, "second") == "second"


async def test_a_forced_fetch_that_could_not_start_is_not_counted(server, keys, monotonic):
    await keys.key("first")
    server.behave = FAILURES["refused"]
    monotonic.now += 301
    keys.refresh()
    await until_settled(keys)  # now the back-off says no
    assert await outcome(keys, "second") == 503
    server.behave = answering(key_set(FIRST.jwk()))
    monotonic.now += 1
    keys.refresh()
    await until_settled(keys)  # well again
    server.behave = answering(key_set(FIRST.jwk(), SECOND.jwk()))
    monotonic.now += 0.1
    assert await outcome(keys, "second") == "second"


async def test_a_failing_server_is_asked_ever_less(server, keys, monotonic):
    server.behave = FAILURES["refused"]
    waits = []
    for _ in range(7):
        before, waited = server.requests, 0
        while server.requests == before:
            assert await asyncio.gather(*(outcome(keys, "first") for _ in range(5))) == [503] * 5
            monotonic.now += 1
            waited += 1
        waits.append(waited)
    assert waits == [1, 1, 2, 4, 8, 16, 30]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "20"}, 20),
        ({"X_Retry_After": "7"}, 7),
        ({"Retry_After": "9999999"}, 120),
        ({"Retry_After": "soon"}, 1),
    ],
)
async def test_a_server_that_says_when_is_left_alone_till_then(server, keys, monotonic, headers, seconds):
    server.behave = answering(b"{}", "429 Too Many Requests", **headers)
    assert await outcome(keys, "first") == 503
    server.behave = answering(key_set(FIRST.jwk()))
    monotonic.now += seconds - 0.1
    assert await outcome(keys, "first") == 503
    assert server.requests == 1
    monotonic.now += 0.2
    assert await outcome(keys, "first") == "first"


async def test_a_slow_server_holds_nobody_for_long(server, keys, monotonic, monkeypatch):
    monkeypatch.setattr(jwks, "_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(jwks, "_PATIENCE_WITH_KEYS_SECONDS", 0.05)
    await keys.key("first")
    gate = asyncio.Event()
    server.behave = waiting(gate, answering(key_set(SECOND.jwk())))
    monotonic.now += 601
    assert await outcome(keys, "first") == "first"
    assert await outcome(keys, "second") == 503
    monotonic.now += 3300
    assert await outcome(keys, "first") == 503
    assert server.requests == 2
    gate.set()
    await until_settled(keys)
    assert await outcome(keys, "second") == "second"


async def test_a_failure_is_one_line_of_the_log(server, keys, caplog):
    server.behave = FAILURES["refused"]
    with caplog.at_level(logging.WARNING, "app"):
        await asyncio.gather(*(outcome(keys, "first") for _ in range(5)))
    (record,) = caplog.records
    assert record.getMessage() == f"The keys at {server.url} can't be fetched (HTTP 500); next try in 1 s"


# What was verified with them


async def test_a_key_that_is_published_unchanged_stays_the_same_object(server, keys, monotonic):
    before = await keys.key("first")
    server.behave = answering(key_set(SECOND.jwk(), FIRST.jwk()))
    monotonic.now += 601
    assert await keys.key("first") is before
    server.behave = answering(key_set(KeyPair("first").jwk()))
    monotonic.now += 601
    assert await keys.key("first") is not before


@pytest.mark.parametrize("successor", [SECOND, KeyPair("first")], ids=["another kid", "the same kid"])
async def test_a_remembered_token_ends_with_its_key(server, keys, verifier, monotonic, successor):
    token = FIRST.sign()
    await verifier.user(token)
    server.behave = answering(key_set(successor.jwk()))
    await verifier.user(token)
    monotonic.now += 301
    keys.refresh()
    await until_settled(keys)
    with pytest.raises(Unauthorized):
        await verifier.user(token)
    assert await verifier.user(successor.sign()) == User("alice")


async def test_a_remembered_token_asks_for_no_key(server, verifier, monotonic):
    token = FIRST.sign(exp=NOW + 900)
    first = await verifier.user(token)
    server.behave = FAILURES["refused"]
    monotonic.now += 100_000
    assert await verifier.user(token) is first
    assert server.requests == 1
