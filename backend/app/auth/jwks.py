"""The public keys of the Better Auth server: fetched when they are needed, kept, refreshed behind."""

import asyncio
import logging
import math
import time
from collections.abc import Callable

from app.auth.bearer import invalid
from app.auth.key_document import describe, fetch_document, retry_after
from app.auth.keys import Key, read_keys
from app.errors import SignInUnavailable

_logger = logging.getLogger("app")

#: Better Auth sends no cache headers. Keys this old are still used, and refreshed behind; at twice this
#: age a request waits for the refresh.
_FRESH_SECONDS = 300
#: How much longer keys are good that can't be refreshed.
_STALE_SECONDS = 3600

#: Better Auth makes a new key in the request that first signs with it, so it is never published before.
#: An unknown key therefore forces a fetch; at most one in this time, counted from the last forced one.
_FORCE_SECONDS = 10
#: For so long a key id that was not there forces no other fetch.
_MISSED_SECONDS = 30
_MISSED_KIDS = 256

#: How long a request waits for fetches, all in all, and with keys that are only old. The fetch goes on.
_PATIENCE_SECONDS = 2
_PATIENCE_WITH_KEYS_SECONDS = 1

_MAX_BACK_OFF_SECONDS = 30


class Jwks:
    """The keys at one URL. Used in one event loop at a time; any number of requests may ask at once."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._asked_at = -math.inf  # when the keys that we have were asked for
        self._forced_at = -math.inf
        self._retry_at = -math.inf
        self._failures = 0
        self._in_doubt = True  # the last fetch failed, or has not ended: a key that we miss may exist
        self._missed: dict[str, float] = {}
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> Key:
        """Return the published key with this id.

        Raises Unauthorized when there is none, and SignInUnavailable when that can't be found out.
        """
        arrived, give_up = self._clock(), asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        age = arrived - self._asked_at
        usable = age < _FRESH_SECONDS + _STALE_SECONDS
        if age >= _FRESH_SECONDS:
            self.refresh()
        if age >= 2 * _FRESH_SECONDS:
            await self._settled(give_up - (_PATIENCE_SECONDS - _PATIENCE_WITH_KEYS_SECONDS) * usable)
        if self._clock() - self._asked_at >= _FRESH_SECONDS + _STALE_SECONDS:
            raise SignInUnavailable("the keys of the Better Auth server can't be fetched")
        return self._keys.get(kid) or await self._look_again(kid, arrived, give_up)

    def holds(self, key: Key) -> bool:
        """Whether a key is still among the published ones, as far as is known."""
        return self._keys.get(key.kid) is key

    def refresh(self) -> bool:
        """Start a fetch, unless one is under way or the last failure is too recent. Never waits."""
        if self._is_fetching() or self._clock() < self._retry_at:
            return False
        self._in_doubt = True
        self._fetching = asyncio.create_task(self._fetch())
        return True

    async def close(self) -> None:
        """Give up a fetch that is under way."""
        task = self._fetching
        if task is not None and self._is_fetching():
            task.cancel()
            await asyncio.wait({task})

    async def _look_again(self, kid: str, arrived: float, give_up: float) -> Key:
        """Find a key that the ones we have lack: it may have been made after they were asked for."""
        await self._settled(give_up)
        if kid not in self._keys and self._asked_at < arrived:
            self._force(kid)
            await self._settled(give_up)
        if kid in self._keys:
            return self._keys[kid]
        if self._in_doubt:
            raise SignInUnavailable("the token's key is unknown, and the keys can't be fetched")
        if self._asked_at >= arrived:  # only then it is known that there is none
            self._miss(kid)
        raise invalid("its kid names no published key")

    def _force(self, kid: str) -> None:
        """Start a fetch for a key that is not there; after a failure the back-off alone says when."""
        now = self._clock()
        missed_at = self._missed.get(kid, -math.inf)
        if self._in_doubt:
            self.refresh()
        elif (
            now - self._forced_at >= _FORCE_SECONDS and now - missed_at >= _MISSED_SECONDS and self.refresh()
        ):
            self._forced_at = now

    def _miss(self, kid: str) -> None:
        self._missed.pop(kid, None)
        if len(self._missed) >= _MISSED_KIDS:
            del self._missed[next(iter(self._missed))]  # the oldest
        self._missed[kid] = self._clock()

    def _is_fetching(self) -> bool:
        task = self._fetching
        return task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()

    async def _settled(self, give_up: float) -> None:
        """Wait for a fetch that is under way, by the event loop's clock; to stop waiting does not stop it."""
        if self._fetching is not None and self._is_fetching():
            left = give_up - asyncio.get_running_loop().time()
            await asyncio.wait({self._fetching}, timeout=max(left, 0))

    async def _fetch(self) -> None:
        asked_at = self._clock()
        try:
            document, _ = await fetch_document(self.url)
            self._keys = read_keys(document, self._keys)
        except Exception as error:  # noqa: BLE001 - whatever it is (a proxy, say), it must not end in silence
            seconds = max(min(2**self._failures, _MAX_BACK_OFF_SECONDS), retry_after(error))
            self._failures += 1
            self._retry_at = self._clock() + seconds
            _logger.warning(
                "The keys at %s can't be fetched (%s); next try in %d s", self.url, describe(error), seconds
            )
        else:
            self._asked_at, self._retry_at, self._failures = asked_at, -math.inf, 0
            self._in_doubt = False
