"""A real Better Auth for the tests: starts better_auth/server.mjs and asks it what a front end would ask."""

import json
import os
import ssl
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx

FOLDER = Path(__file__).parent / "better_auth"

#: Twelve instances take half a second, and the end is at once; the rest is for busy machines.
START_SECONDS = 60
END_SECONDS = 5

#: Nothing here is encrypted; to load this machine's certificates for every request would cost 20 ms.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True)
class Session:
    """Somebody who has signed in, and the ways in which Better Auth says so."""

    user_id: str
    email: str
    #: The response header `set-auth-token`, which front ends send as a bearer: the token and its signature.
    bearer: str
    #: The `token` of the response body, as it stands in the database.
    token: str
    cookies: dict[str, str]


@dataclass(frozen=True)
class BetterAuth:
    """One instance that runs."""

    #: The origin, which is `iss` and `aud` of its tokens.
    url: str
    #: Where it answers: the origin and /api/auth, or the path it was given.
    api: str
    #: What the process has complained about so far; an answer of 500 says nothing.
    log: Path

    async def sign_up(self, email: str | None = None) -> Session:
        email = email or f"{uuid.uuid4()}@example.com"
        body = {"email": email, "password": "a password of the tests", "name": "Somebody"}
        response = await self._ask("POST", f"{self.api}/sign-up/email", json=body)
        answer = response.json()
        bearer = response.headers["set-auth-token"]
        return Session(answer["user"]["id"], email, bearer, answer["token"], dict(response.cookies))

    async def token(self, session: Session) -> str:
        """Trade the session for a JWT, as a front end does before it calls the API."""
        answer: dict[str, str] = (await self._ask("GET", f"{self.api}/token", session)).json()
        return answer["token"]

    async def sign_out(self, session: Session) -> None:
        await self._ask("POST", f"{self.api}/sign-out", session)

    async def jwks(self) -> dict[str, Any]:
        answer: dict[str, Any] = (await self._ask("GET", f"{self.api}/jwks")).json()
        return answer

    async def rotate(self) -> list[str]:
        """Expire the signing keys and return their ids; the next token gets a new key."""
        expired: list[str] = (await self._ask_for_tests("rotate"))["expired"]
        return expired

    async def sign(self, claims: Mapping[str, Any], **options: Any) -> str:
        """Sign any claims with the current key; `options` override those of the jwt() plugin."""
        body = {"payload": claims, "overrideOptions": options}
        token: str = (await self._ask_for_tests("sign", **body))["token"]
        return token

    async def verification_token(self, email: str) -> str:
        """Return what the e-mail to a new user would have carried to prove that the address is theirs."""
        token: str = (await self._ask_for_tests("verification-token", email=email))["token"]
        return token

    async def _ask_for_tests(self, name: str, **body: Any) -> dict[str, Any]:
        answer: dict[str, Any] = (await self._ask("POST", f"{self.url}/__tests/{name}", json=body)).json()
        return answer

    async def _ask(
        self, method: str, url: str, session: Session | None = None, **options: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {session.bearer}"} if session else {}
        async with httpx.AsyncClient(verify=_NO_CERTIFICATES, trust_env=False, timeout=30) as client:
            response = await client.request(method, url, headers=headers, **options)
        answered = f"{method} {url}: {response.status_code} {response.text}"
        assert response.is_success, f"{answered}\n{self.log.read_text()}"
        return response


@contextmanager
def better_auth(
    instances: Mapping[str, Mapping[str, Any]], folder: Path = FOLDER
) -> Iterator[dict[str, BetterAuth]]:
    """Run instances, each described as server.mjs wants it, in a process that ends with this block or ours.

    `npm ci` in the folder installs what it needs: Node 20.19 or newer must be there.
    """
    with tempfile.NamedTemporaryFile() as errors:
        process = subprocess.Popen(
            ["node", "server.mjs", json.dumps(instances)],  # noqa: S607 - the Node that is on PATH
            cwd=folder,
            env={"PATH": os.environ["PATH"]},  # no BETTER_AUTH_* of whoever runs the tests
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        log = Path(errors.name)
        with process, _ended(process):
            started = _first_line(process)
            if not started:
                raise RuntimeError(f"Better Auth did not start: {log.read_text()}")
            yield {name: BetterAuth(**where, log=log) for name, where in json.loads(started).items()}


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    """Wait for it; it is empty when the process has ended, or has to be ended, without one."""
    assert process.stdout
    patience = threading.Timer(START_SECONDS, process.kill)
    patience.start()
    try:
        return process.stdout.readline()
    finally:
        patience.cancel()


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the process afterwards: by the end of its standard input, or else by force."""
    assert process.stdin
    try:
        yield
    finally:
        process.stdin.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
