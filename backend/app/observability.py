"""Logging: one line per request, fields for machines in production and a short line for people elsewhere."""

import hashlib
import logging
import logging.config
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": json_lines if settings.json_logs else {"()": ConsoleFormatter}},
        "handlers": {
            "out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "lines"}
        },
        "root": {"level": "WARNING", "handlers": ["out"]},
        "loggers": {
            "app": {"level": settings.log_level.upper()},
            "uvicorn": {"level": settings.log_level.upper(), "propagate": True},
            "uvicorn.access": {"level": "WARNING"},  # ours has the request id
        },
    }
