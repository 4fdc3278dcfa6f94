"""Draws the dashboard of deploy/ for the documents: its panels and queries, answered by a real Prometheus."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from app.embedded import embedded_postgres
from bench.dashboard_picture import Moments, draw
from tests.conftest import SECRET
from tests.live import listening, token
from tests.servers import Commands
from tests.traffic import one_write_that_fails, traffic
from tests.watching import DEPLOY, METRICS_TOKEN, prometheus

PICTURE = DEPLOY.parent / "docs/images/dashboard.png"

#: Callers at once, and how often each does its round of thirteen requests.
_LOAD = ((3, 60), (10, 60), (20, 50), (5, 60))
_PAUSE_SECONDS = 0.2
_STREAMS = 12
_WORKERS = 2
_SETTLE_SECONDS = 12


async def _use_once(url: str, database_url: str) -> None:
    """Do everything once: what is counted for the first time has not grown yet."""
    await traffic(url, callers=1, rounds=2)
    await one_write_that_fails(url, database_url)


async def _use(url: str, database_url: str) -> None:
    async with AsyncExitStack() as stack:
        for number, (callers, rounds) in enumerate(_LOAD):
            for listener in range(_STREAMS // len(_LOAD)):
                await stack.enter_async_context(listening(url, token(f"listener {number} {listener}")))
            print(f"{callers} callers at once ...", flush=True)
            await traffic(url, callers=callers, rounds=rounds, pause=_PAUSE_SECONDS)
            if number == 0:
                await one_write_that_fails(url, database_url)


def main() -> None:
    """Put load on two workers for a minute or two, then draw what was seen."""
    with (
        TemporaryDirectory(prefix="tasks-api-dashboard-") as name,
        embedded_postgres(Path(name) / "db") as url,
    ):
        folder = Path(name)
        (folder / "checkout").mkdir()
        settings = {"database_url": url, "better_auth_secret": SECRET, "database_timeout": 1}
        own = {"metrics_token": METRICS_TOKEN, "workers": _WORKERS}
        commands = Commands(folder / "checkout", covered=False)
        with commands.start("tasks-api", "serve", data_dir=folder / "data", **settings, **own) as service:
            service.started(workers=_WORKERS)
            with prometheus(folder / "prometheus", service.url.removeprefix("http://")) as watching:
                asyncio.run(_use_once(service.url, url))
                time.sleep(_SETTLE_SECONDS)
                start = time.time()
                asyncio.run(_use(service.url, url))
                PICTURE.parent.mkdir(exist_ok=True)
                draw(watching, Moments(start, time.time()), PICTURE)
    print(f"Drawn: {PICTURE}")


if __name__ == "__main__":
    main()
