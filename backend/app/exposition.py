"""The text of /metrics, and the folder in which worker processes put their counts together."""

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from app.errors import ConfigurationError, Unavailable
from app.metrics import Metrics
from app.processes import lives

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

#: The library's name for the folder, and how it finds it, in whatever process it is imported.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_MEMORY = "/dev/shm"  # noqa: S108 - a folder of our own is made there
_ALONE = (
    "This is one of several worker processes and can't tell of the others; "
    f"start them with `tasks-api serve`, or name an empty folder in {FOLDER}."
)


def exposition(metrics: Metrics) -> bytes:
    """Write what all worker processes counted.

    Raises Unavailable in one that has not the folder: half of the truth, and another half each time, is none.
    """
    folder = os.environ.get(FOLDER)
    if folder:
        registry = CollectorRegistry()
        _forget_the_dead(Path(folder))
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    if multiprocessing.parent_process() is not None:
        raise Unavailable(_ALONE)
    own = CollectorRegistry()
    own.register(metrics.registry)
    ProcessCollector(registry=own)
    return generate_latest(own)


def begin() -> None:
    """Begin a process: what is being done in it is nothing yet, whoever had its number before."""
    if folder := os.environ.get(FOLDER):
        _forget(os.getpid(), folder)


@contextmanager
def shared_folder() -> Iterator[None]:
    """Make the folder for the worker processes started inside, in memory where there is such a place.

    Raises ConfigurationError where there is none to write to.
    """
    given = os.environ.get(FOLDER)
    place = given or (_MEMORY if os.access(_MEMORY, os.W_OK) else None)
    try:
        made = tempfile.TemporaryDirectory(prefix="tasks-api-", dir=place, ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigurationError(
            f"{FOLDER}: no folder can be made for the metrics ({error.strerror}); "
            "name one that can be written to, or say METRICS=off"
        ) from None
    with made as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            _restore(given)


def _restore(given: str | None) -> None:
    if given is None:
        del os.environ[FOLDER]
    else:
        os.environ[FOLDER] = given


def _forget_the_dead(folder: Path) -> None:
    """Remove what killed processes said that they were doing; what they have done still counts."""
    for pid in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*.db")}:
        if not lives(pid):
            _forget(pid, str(folder))


def _forget(pid: int, folder: str) -> None:
    with suppress(FileNotFoundError):  # another process, asked at the same moment, was quicker
        mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
