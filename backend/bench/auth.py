"""What verifying a credential costs, and how often the public keys are fetched for it."""

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from app.auth import Jwks, Session, SessionVerifier, TokenVerifier, Verifier
from app.errors import AppError, Unauthorized
from bench.auth_request import added_to_a_request
from bench.credentials import RULES, SECRET, published, session, shared
from bench.figures import Cost, Figure, table, timed
from tests.key_server import answering, key_server
from tests.signing import KeyPair, key_set

ALGORITHMS = ["EdDSA", "Ed25519", "ES256", "ES384", "ES512", "RS256", "PS256"]
ROUNDS = 15
COLD, CACHED = 100, 2000  # verifications in a round
_CACHED_MICROSECONDS, _COLD_MICROSECONDS = 5, 400

Make = Callable[[], str]


def measure() -> list[Figure]:
    """Measure everything; in a quarter of a minute, on loopback only."""
    return asyncio.run(_checks()) + added_to_a_request()


def main() -> None:
    print(table(measure()))


async def _checks() -> list[Figure]:
    return [
        *await verifications(),
        await fetches_of_a_cold_start(),
        *await unknown_kids(),
        *await rotation(),
    ]


async def _find(_raw: str) -> Session:
    """Stand in for Better Auth's table, which costs what a statement costs."""
    return Session("alice", time.time() + 900)


def _verifier(url: str) -> Verifier:
    return Verifier(TokenVerifier(SECRET, Jwks(url), RULES), SessionVerifier(SECRET, _find))


# Microseconds for one verification


async def verifications(algorithms: Sequence[str] = ALGORITHMS, *, sessions: bool = True) -> list[Figure]:
    """Verify credentials of every kind, first never seen, then the same again, kind by kind in each round."""
    pairs = [KeyPair(algorithm, algorithm) for algorithm in algorithms]
    kinds: dict[str, Make] = {"HS256": shared} | ({"session": session} if sessions else {})
    kinds |= {pair.algorithm: partial(published, pair) for pair in pairs}
    async with key_server() as server:
        server.behave = answering(key_set(*(pair.jwk() for pair in pairs)))
        verifier = _verifier(server.url)
        for make in kinds.values():
            await verifier.user(make())  # whatever is done only once: the keys, what OpenSSL sets up
        return await _cold_and_cached(verifier, kinds)


async def _cold_and_cached(verifier: Verifier, kinds: dict[str, Make]) -> list[Figure]:
    made = {kind: [[make() for _ in range(COLD)] for _ in range(ROUNDS)] for kind, make in kinds.items()}
    cold, cached = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for number in range(ROUNDS):
        for kind, rounds in made.items():
            cold[kind].append(await _cpu(verifier, rounds[number]))
            cached[kind].append(await _cpu(verifier, rounds[number][-1:] * CACHED))
    return [
        *(Figure(f"verifying {kind}, cold", "µs cpu", cold[kind], _COLD_MICROSECONDS) for kind in kinds),
        *(
            Figure(f"verifying {kind}, cached", "µs cpu", cached[kind], _CACHED_MICROSECONDS)
            for kind in kinds
        ),
    ]


async def _cpu(verifier: Verifier, credentials: Sequence[str]) -> float:
    with timed(Cost()) as cost:
        for credential in credentials:
            await verifier.user(credential)
    return cost.cpu / len(credentials)


# Fetches of the key set, counted by the server that is asked


async def fetches_of_a_cold_start(callers: int = 500) -> Figure:
    """Let many callers come at once, each with a token of its own, while no key is known."""
    pair, fetches = KeyPair(), list[float]()
    for _ in range(ROUNDS):
        async with key_server() as server:
            server.behave = answering(key_set(pair.jwk()))
            verifier = _verifier(server.url)
            await asyncio.gather(*(verifier.user(published(pair)) for _ in range(callers)))
            fetches.append(server.requests)
    return Figure(f"{callers} at once without keys: fetches", "", fetches, goal=1, always=True)


async def unknown_kids(callers: int = 3000) -> list[Figure]:
    """Let many callers come at once, each with a token of a key id that nobody published."""
    pair, forger = KeyPair(), KeyPair()
    fetches, cpu, wall = list[float](), list[float](), list[float]()
    forged = [forger.sign({"kid": secrets.token_urlsafe(24)}) for _ in range(callers)]
    for _ in range(ROUNDS):
        async with key_server() as server:
            server.behave = answering(key_set(pair.jwk()))
            verifier = _verifier(server.url)
            await verifier.user(published(pair))
            with timed(Cost()) as cost:
                await asyncio.gather(*(_refused(verifier, token) for token in forged))
            fetches.append(server.requests - 1)
            cpu.append(cost.cpu / callers)
            wall.append(cost.wall / 1000)
    return [
        Figure(f"{callers:,} unknown kids at once: extra fetches", "", fetches, goal=1, always=True),
        Figure(f"{callers:,} unknown kids at once: until all are refused", "ms", wall, goal=1000),
        Figure(f"{callers:,} unknown kids at once: each refusal", "µs cpu", cpu),
    ]


async def _refused(verifier: Verifier, token: str) -> None:
    with suppress(Unauthorized):
        await verifier.user(token)
        raise RuntimeError("a forged token was accepted")


async def rotation() -> list[Figure]:
    """Publish a new key beside the old one and come at once with its first token."""
    tries, wall = list[float](), list[float]()
    for _ in range(ROUNDS):
        old, new = KeyPair("old"), KeyPair("new")
        async with key_server() as server:
            server.behave = answering(key_set(old.jwk()))
            verifier = _verifier(server.url)
            await verifier.user(published(old))
            server.behave = answering(key_set(old.jwk(), new.jwk()))
            token = published(new)
            with timed(Cost()) as cost:
                tries.append(await _tries(verifier, token))
            wall.append(cost.wall / 1000)
    return [
        Figure("first token of a new key: tries", "", tries, goal=1, always=True),
        Figure("first token of a new key: until it is accepted", "ms", wall),
    ]


async def _tries(verifier: Verifier, token: str) -> int:
    for tries in range(1, 1000):
        with suppress(AppError):
            await verifier.user(token)
            return tries
        await asyncio.sleep(0.01)
    raise RuntimeError("the first token of a new key is never accepted")


if __name__ == "__main__":
    main()
