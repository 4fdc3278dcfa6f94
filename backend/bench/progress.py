"""One line on the terminal that says how far the bench is."""

import sys
import time


class Progress:
    """Counts steps; on a terminal the line is written over, elsewhere only each new part is told."""

    def __init__(self, steps: int) -> None:
        self._steps, self._done, self._started, self._part = steps, 0, time.monotonic(), ""

    def step(self, part: str, detail: str) -> None:
        """Say what is being done now."""
        if sys.stderr.isatty():
            text = f"{100 * self._done // self._steps:3} %  {part}: {detail}{self._left()}"
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif part != self._part:
            print(part, file=sys.stderr, flush=True)
        self._part = part
        self._done += 1

    def _left(self) -> str:
        if not self._done:
            return ""
        spent = time.monotonic() - self._started
        return f", about {spent / self._done * (self._steps - self._done) / 60:.0f} min left"

    def end(self) -> None:
        """Leave the terminal as it was."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
