"""Counts what one warmed request of each hot path costs, in units that no clock and no machine changes.

    .venv/bin/python -m tests.hot_path postgresql://...     # an empty, migrated database; prints JSON

A step is a line of Python that was executed, or a call of a Python or C function, of the service and of all
libraries under it, from the bytes that uvicorn gets to the line in the log. Bytecode would be finer, but is
not the same from one version of Python to the next; steps hardly differ. What C does within one call (the
driver, orjson, the parser) is one step: that shows in the bench. Blocks and rows are what PostgreSQL touches
of our tables and indexes.
"""

import gc
import json
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import redirect_stdout
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Self

import uvloop

from app.config import Settings
from app.main import close, create_app
from app.observability import configure_logging
from tests.hot_requests import SECRET, Paths, fill, touched
from tests.memory_wire import Server

#: A prepared statement may get another plan until it has run five times.
_WARM, _COUNTED = 6, 3


class Steps:
    """The steps that are taken inside the `with`, by the code that takes them."""

    def __init__(self) -> None:
        self.by_code: Counter[CodeType] = Counter()

    def __enter__(self) -> Self:
        self._former = sys.gettrace(), sys.getprofile()
        sys.setprofile(self._call)
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._former[0])
        sys.setprofile(self._former[1])

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
        return self._line if _is_counted(frame) else None

    def _line(self, frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
        if event == "line":
            self.by_code[frame.f_code] += 1
        return self._line

    def _call(self, frame: FrameType, event: str, _argument: object) -> None:
        if event in {"call", "c_call"} and _is_counted(frame):
            self.by_code[frame.f_code] += 1


def _is_counted(frame: FrameType) -> bool:
    return not str(frame.f_globals.get("__name__")).startswith(("tests.", "__main__"))


async def count(database_url: str) -> dict[str, dict[str, Any]]:
    """Return of each hot path its steps, blocks and rows, and who takes the steps."""
    settings = Settings(
        _env_file=None,
        environment="test",
        database_url=database_url,
        better_auth_secret=SECRET,
        database_timeout=30,
        log_format="json",
        rate_limit_burst=100_000,  # limited as anybody is, but never refused
    )
    configure_logging(settings)
    await fill(database_url)
    app = create_app(settings)
    server = Server(app)
    paths = await Paths.of(server)
    gc.disable()  # what it finalizes would be counted wherever it happens to run
    steps = {name: await _steps(server, request) for name, request in paths.by_name().items()}
    rows = {}
    for name, request in paths.by_name().items():
        rows[name] = await _touched(database_url, server, request, lambda: close(app))
    return {
        name: {"steps": counted.total(), **rows[name], "by": dict(_by_function(counted))}
        for name, counted in steps.items()
    }


Make = Callable[[], Awaitable[bytes]]


async def _steps(server: Server, request: Make) -> Counter[CodeType]:
    for _ in range(_WARM):
        await server.send(await request())
    counts = []
    for _ in range(_COUNTED):
        made = await request()
        with Steps() as steps:
            await server.send(made)
        counts.append(steps.by_code)
    return min(counts, key=Counter.total)  # all are the same unless something of once in a while came in


def _by_function(steps: Counter[CodeType]) -> Iterable[tuple[str, int]]:
    functions: Counter[str] = Counter()
    for code, number in steps.items():
        functions[f"{_module(code.co_filename)}:{code.co_qualname}"] += number
    return functions.most_common()


def _module(filename: str) -> str:
    """Name ours in full (`app.api.gate`) and others by their package (`fastapi`)."""
    path = filename.removesuffix(".py").removesuffix("/__init__").split("/")
    for root, depth in (("app", None), ("site-packages", 1)):
        if root in path:
            at = len(path) - 1 - path[::-1].index(root)
            return ".".join(path[at:]) if depth is None else path[at + 1]
    return "python"


async def _touched(
    url: str, server: Server, request: Make, end: Callable[[], Awaitable[None]]
) -> dict[str, int]:
    """Return the blocks and rows of our tables that one request touches.

    It is an average: PostgreSQL plans anew when a connection is.
    """
    requests = [await request() for _ in range(_WARM)]
    await end()
    before = await touched(url)
    for made in requests:
        await server.send(made)
    await end()
    after = await touched(url)
    return {name: round((after[name] - before[name]) / _WARM) for name in ("blocks", "rows")}


if __name__ == "__main__":
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # the log
        found = uvloop.run(count(sys.argv[1]))
    sys.stdout.write(json.dumps(found))
