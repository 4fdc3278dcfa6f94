"""Records what a real Better Auth issues, for tests that do without Node: better_auth/recorded.json.

    .venv/bin/python -m tests.record_better_auth [folder]

The folder is for one more recording, "without alg", which otherwise stays as it is. It holds a copy of
server.mjs, and the packages of a Better Auth that did not yet publish `alg` with its keys:
npm install better-auth@1.2.12 pg
"""

import asyncio
import json
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from app.embedded import embedded_postgres
from tests.better_auth_server import FOLDER, BetterAuth, better_auth
from tests.conftest import FAST, administer, named

RECORDED = FOLDER / "recorded.json"

#: All that it can sign with. Its documentation leaves some out: ES384, Ed25519, RS384, RS512, PS384, PS512.
ALGORITHMS = ["EdDSA", "Ed25519", "ES256", "ES384", "ES512"]
ALGORITHMS += ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]

SESSION_CACHE = {"cookieCache": {"enabled": True, "strategy": "jwt"}}
CACHE_COOKIE = "better-auth.session_data"


def main() -> None:
    recorded: dict[str, Any] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    kept = {name: recorded[name] for name in ("without alg",) if name in recorded}
    with tempfile.TemporaryDirectory() as folder, embedded_postgres(Path(folder), FAST) as server:
        recorded = record(server) | kept
        if sys.argv[1:]:
            recorded["without alg"] = record_without_alg(server, Path(sys.argv[1]))
    RECORDED.write_text(json.dumps(recorded, indent=2) + "\n")


def record(server: str) -> dict[str, Any]:
    secret = secrets.token_urlsafe(32)  # of this recording only
    by_algorithm = {algorithm: {"jwks": {"keyPairConfig": {"alg": algorithm}}} for algorithm in ALGORITHMS}
    options: dict[str, dict[str, Any]] = {name: {"jwt": jwt} for name, jwt in by_algorithm.items()}
    options["cache"] = {"session": SESSION_CACHE}
    options["cache signed by JWKS"] = {"session": SESSION_CACHE, "jwt": {"sessionCookieCache": True}}
    with better_auth(with_databases(server, options, secret)) as auths:
        return asyncio.run(ask(auths, secret))


async def ask(auths: dict[str, BetterAuth], secret: str) -> dict[str, Any]:
    return {
        "better_auth": version(FOLDER),
        "secret": secret,
        "tokens": {algorithm: await token(auths[algorithm]) for algorithm in ALGORITHMS},
        "session": await session(auths["EdDSA"]),
        "verification_token": await verification_token(auths["EdDSA"]),
        "session_cache": {
            "HS256": await session_cache(auths["cache"]),
            "JWKS": await session_cache(auths["cache signed by JWKS"]),
        },
        "recorded_at": int(time.time()),  # last: no token was issued later
    }


def record_without_alg(server: str, folder: Path) -> dict[str, Any]:
    instances = with_databases(server, {"old": {}}, secrets.token_urlsafe(32))
    with better_auth(instances, folder) as auths:
        recorded = asyncio.run(token(auths["old"]))
    assert all("alg" not in key for key in recorded["jwks"]["keys"])
    return {"better_auth": version(folder)} | recorded | {"recorded_at": int(time.time())}


def with_databases(server: str, options: dict[str, dict[str, Any]], secret: str) -> dict[str, dict[str, Any]]:
    """Make a database for each instance, and complete its description."""
    databases = {name: f"auth_{secrets.token_hex(4)}" for name in options}
    for database in databases.values():
        asyncio.run(administer(server, f"CREATE DATABASE {database}"))
    return {
        name: {"database": named(server, databases[name]), "secret": secret} | own
        for name, own in options.items()
    }


async def token(auth: BetterAuth) -> dict[str, Any]:
    somebody = await auth.sign_up("somebody@example.com")
    issued = await auth.token(somebody)
    return {"url": auth.url, "user_id": somebody.user_id, "token": issued, "jwks": await auth.jwks()}


async def session(auth: BetterAuth) -> dict[str, Any]:
    somebody = await auth.sign_up("signed-in@example.com")
    return {"user_id": somebody.user_id, "bearer": somebody.bearer, "token": somebody.token}


async def verification_token(auth: BetterAuth) -> dict[str, Any]:
    somebody = await auth.sign_up("unverified@example.com")
    return {"user_id": somebody.user_id, "token": await auth.verification_token(somebody.email)}


async def session_cache(auth: BetterAuth) -> dict[str, Any]:
    """Record the cookie that spares Better Auth a query: no access token, though it looks like one."""
    somebody = await auth.sign_up("cached@example.com")
    cookie = somebody.cookies[CACHE_COOKIE]
    return {"url": auth.url, "user_id": somebody.user_id, "token": cookie, "jwks": await auth.jwks()}


def version(folder: Path) -> str:
    package = json.loads((folder / "node_modules/better-auth/package.json").read_text())
    found: str = package["version"]
    return found


if __name__ == "__main__":
    main()
