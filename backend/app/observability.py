"""Logging: one line per request, fields for machines in production and a short line for people elsewhere."""

import hashlib
import logging
import logging.config
import os
import stat
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from pythonjsonlogger.core import RESERVED_ATTRS

from app.config import Settings

requests = logging.getLogger("app.requests")

_LINE = {"name": requests.name, "levelno": logging.INFO, "levelname": "INFO", "msg": "request"}


class ConsoleFormatter(logging.Formatter):
    """`12:30:01 INFO  POST /tasks 401 1.9 ms [request id] user: reason`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one line, and below it the traceback if there is one."""
        text = record.getMessage()
        if record.name == requests.name:
            field = record.__dict__
            text = (
                f"{field['method']} {field['route']} {field['status']} {field['duration_ms']} ms "
                f"[{field['request_id']}] {field['user'] or '-'}"
            ) + (f": {field['reason']}" if field["reason"] else "")
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        line = f"{time} {record.levelname:<7} {text}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines. What can't be written is lost, and nothing but it: requests are answered all the same."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name
        """Pass over a full disk and a reader who has gone; the place to complain about it is the same one."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


def lose_lines_rather_than_wait() -> None:
    """Where the log goes into a pipe or a socket, never wait for its reader: all would stand still."""
    for stream in (sys.stdout, sys.stderr):
        number = stream.fileno()
        mode = os.fstat(number).st_mode
        if sys.platform != "win32" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            os.set_blocking(number, False)  # for the worker processes, too: they inherit it


def configure_logging(settings: Settings) -> None:
    """Send every logger's lines to standard output in the format that the settings ask for."""
    logging.config.dictConfig(_config(settings))
    # No line tells them, and each costs (docs.python.org, Logging HOWTO, Optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def user_hash(user_id: str) -> str:
    """Return the pseudonym that the log has for a user: always the same one, and not the id itself."""
    return hashlib.sha256(user_id.encode()).hexdigest()[:16]


def log_request(**fields: Any) -> None:
    """Log one answered request; nothing of its content, its token or its query. A refusal has a `reason`."""
    if requests.isEnabledFor(logging.INFO):
        # Logger.info would look through the stack for who called: the line doesn't tell.
        requests.handle(logging.makeLogRecord(_LINE | fields))


def where(error: BaseException) -> str:
    """Return the places an error passed, innermost last; not its text, which may quote a user."""
    frames = traceback.extract_tb(error.__traceback__)
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-6:])


def _config(settings: Settings) -> dict[str, Any]:
    json_lines = {
        "()": "pythonjsonlogger.orjson.OrjsonFormatter",
        "fmt": "%(levelname)s %(name)s %(message)s",
        "rename_fields": {"levelname": "level", "name": "logger"},
        "timestamp": True,
        "reserved_attrs": [*RESERVED_ATTRS, "color_message"],  # uvicorn's text again, for a terminal
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": json_lines if settings.json_logs else {"()": ConsoleFormatter}},
        "handlers": {"out": {"()": LineHandler, "stream": "ext://sys.stdout", "formatter": "lines"}},
        "root": {"level": "WARNING", "handlers": ["out"]},
        "loggers": {
            "app": {"level": settings.log_level.upper()},
            "uvicorn": {"level": settings.log_level.upper(), "propagate": True},
            "uvicorn.access": {"level": "WARNING"},  # ours has the request id
        },
    }
