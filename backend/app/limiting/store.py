"""Redis or Valkey, where several processes keep the same buckets. It is not waited for for long."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.errors import ConfigurationError
from app.observer import Observer

if TYPE_CHECKING:
    from redis.commands.core import AsyncScript

_logger = logging.getLogger("app")

#: A request waits no longer than this. The call itself may: making a connection can take several round trips.
_PATIENCE = 0.05
_SOCKET_SECONDS = 1
#: How often one request tries again, while all others go by.
_RETRY_SECONDS = 1
_CONNECTIONS = 8
_PREFIX = "tasks-api:limit"
#: `limits` wants an address with a port, and goes by the pool that it is given.
_ANY = "async+redis://localhost:6379"

_ALONE = "rate limits: no answer from Redis (%s); each process counts for itself meanwhile"
_TOGETHER = "rate limits: Redis answers again; all processes count together"

#: Policy.charge in one step, by the clock of the server: the same for all. That clock may be set, so a bucket
#: never lacks more than all of it. Microseconds since 1970 are whole numbers below 2^53: doubles hold them.
_CHARGE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost, depth, credit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
local missing = math.min(math.max(full_at - credit - now, 0), depth)
local wait = math.max(missing + cost - depth, 0)
if wait == 0 then missing = missing + cost end
if missing > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', now + missing), 'PX', math.ceil(missing / 1000))
end
return {missing, wait}
"""


class Store:
    """Asks the server, once for each charge.

    While there is no answer one charge a second is tried, and all others are not even asked for.
    """

    def __init__(self, url: str, observer: Observer) -> None:
        self._connect = _connector(url)
        self._observer = observer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._charge: AsyncScript | None = None
        self._away = self._told = False
        self._try_at = 0.0
        self._asked: set[asyncio.Future[Any]] = set()

    async def charge(self, key: str, cost: int, depth: int, credit: int) -> tuple[int, int] | None:
        """Return what the bucket lacks now and how long to wait, in microseconds; None without an answer."""
        if self._away and not self._may_try():
            self._observer.limits_alone()
            return None
        asked = self._ask(f"{_PREFIX}:{key}", cost, depth, credit)
        await asyncio.wait([asked], timeout=_PATIENCE)
        if not asked.done():
            self._lost()
        if self._away:
            self._observer.limits_alone()
            return None
        missing, wait = asked.result()
        return missing, wait

    async def open(self) -> None:
        """Open all connections, so that no request has to wait for it. Failing is left to the requests."""
        await asyncio.gather(*(self.ask() for _ in range(_CONNECTIONS)), return_exceptions=True)

    async def ask(self) -> None:
        """Charge nobody, a microsecond that is forgotten at once; raises what the client of Redis does.

        Raises InvalidResponse of the client's for an answer that is none to that.
        """
        from redis.exceptions import InvalidResponse  # noqa: PLC0415 - as below

        if not isinstance(await self._ask(f"{_PREFIX}:nobody", 1, 1000, 0), list):
            raise InvalidResponse

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        if self._charge is not None and self._loop is asyncio.get_running_loop():
            for asked in self._asked:
                asked.cancel()  # or it would open a connection again
            await asyncio.gather(*self._asked, return_exceptions=True)
            await self._charge.registered_client.connection_pool.disconnect()
        self._loop = self._charge = None

    def _ask(self, *arguments: Any) -> "asyncio.Future[Any]":
        """Call the script, with the key first; whoever waits for it may leave before it is through."""
        key, *numbers = arguments
        asked = asyncio.ensure_future(self._script()(keys=[key], args=numbers))
        self._asked.add(asked)
        asked.add_done_callback(self._heard)
        return asked

    def _may_try(self) -> bool:
        now = time.monotonic()
        if now < self._try_at:
            return False
        self._try_at = now + _RETRY_SECONDS
        return True

    def _lost(self) -> None:
        if not self._away:
            self._try_at = time.monotonic() + _RETRY_SECONDS
        self._away = True

    def _heard(self, asked: "asyncio.Future[Any]") -> None:
        """Take note of what a call came to, also if nobody waited for it any more.

        An answer that is only late, of a busy process say, is no outage: the log has nothing of it.
        """
        self._asked.discard(asked)
        if asked.cancelled():
            return
        if error := asked.exception():
            self._lost()
            if not self._told:
                _logger.warning(_ALONE, type(error).__qualname__)
            self._told = True
            return
        if self._told:
            _logger.warning(_TOGETHER)
        self._away = self._told = False

    def _script(self) -> "AsyncScript":
        """Return what charges, with connections of the running event loop."""
        loop = asyncio.get_running_loop()
        if self._charge is None or self._loop is not loop:
            self._loop, self._charge = loop, self._connect()
        return self._charge


def _connector(url: str) -> "Callable[[], AsyncScript]":
    """Return what makes a storage of `limits` that knows our script; connections are opened when needed.

    What it takes is imported here, when the application is made: it would hold up the first request. Raises
    ConfigurationError for what the client can't use; its own words would quote the password.
    """
    from limits.aio.storage import RedisStorage  # noqa: PLC0415 - nobody else pays for these imports
    from redis.asyncio import BlockingConnectionPool  # noqa: PLC0415
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.exceptions import ConnectionError as Closed  # noqa: PLC0415

    def connect() -> "AsyncScript":
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=None,
            socket_timeout=_SOCKET_SECONDS,
            socket_connect_timeout=_SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 1, supported_errors=(Closed,)),  # closed by the server meanwhile
        )
        options: dict[str, Any] = {"connection_pool": pool}
        bridge: Any = RedisStorage(_ANY, implementation="redispy", **options).bridge
        script: AsyncScript = bridge.get_connection().register_script(_CHARGE)
        return script

    try:
        pool: Any = connect().registered_client.connection_pool
        pool.make_connection()  # it does not connect yet
    except (TypeError, ValueError):
        raise ConfigurationError(
            "RATE_LIMIT_REDIS_URL: the client of Redis can't use it; correct the port, or what follows the ?"
        ) from None
    return connect
