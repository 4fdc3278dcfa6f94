"""What a check has found: a line that begins with ok, !! or --, and values made safe to be shown."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

_MAX_CHARACTERS = 100
_UNITS = [(365 * 86_400, "year"), (86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says: in order, a problem with what to do about it, or not checked."""

    mark: Literal["ok", "!!", "--"]
    text: str
    details: tuple[str, ...] = ()

    @property
    def is_problem(self) -> bool:
        return self.mark == "!!"

    def lines(self, name: str) -> str:
        """Write it for a terminal, which gets nothing to obey: no control characters, whoever sent them."""
        first = f"{self.mark:<4} {name:<9} {self.text}"
        return "\n".join(map(_printable, [first, *(f"{'':14} {line}" for line in self.details)]))


def ok(text: str) -> Finding:
    """All is well with this, or as it was asked for."""
    return Finding("ok", text)


def problem(text: str, *details: str) -> Finding:
    """Something is wrong; `text` also says what to do about it."""
    return Finding("!!", text, details)


def unchecked(text: str) -> Finding:
    """Not asked for, or it could not be looked at."""
    return Finding("--", text)


def shown(value: object) -> str:
    """Quote a value that came from outside, in printable ASCII and no longer than a line."""
    text = ascii(value)
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 3]}..."


def duration(seconds: float) -> str:
    """Say it in the largest unit that it has twice, or in seconds: `90 seconds`, `3 hours`."""
    size, unit = next((found for found in _UNITS if abs(seconds) >= 2 * found[0]), _UNITS[-1])
    count = round(abs(seconds) / size)
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def moment(epoch: float) -> str:
    """Say when it is, and how far from now."""
    seconds = epoch - time.time()
    relative = f"in {duration(seconds)}" if seconds > 0 else f"{duration(seconds)} ago"
    try:
        return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M:%S} UTC, {relative}"
    except (OverflowError, ValueError):
        return "beyond the year 9999"


def _printable(line: str) -> str:
    return "".join(character if " " <= character <= "~" else ascii(character)[1:-1] for character in line)
