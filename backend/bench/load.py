"""Load from wrk, a compiled generator: the requests of a list, in their order, over kept connections."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

SCRIPT = Path(__file__).with_name("load.lua")
_LONGEST_SECONDS = 60  # for what was begun to end; a run that takes longer has failed
_MARK = "RESULT "


class LoadError(Exception):
    """A run that says nothing of speed, because not all went well."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of load gave."""

    completed: int
    seconds: float  #: from the first request to the last answer
    p50: float  #: milliseconds, like the next three
    p95: float
    p99: float
    longest: float
    bytes: int
    failed: int  #: requests that were refused, cut off, or not answered
    generator_cpu: float  #: seconds of CPU time that wrk itself took

    @property
    def per_second(self) -> float:
        return self.completed / self.seconds

    @classmethod
    def parse(cls, output: str, generator_cpu: float = 0) -> Self:
        """Read what load.lua writes at the end; raises LoadError when it could not."""
        results = [line for line in output.splitlines() if line.startswith(_MARK)]
        if len(results) != 1:
            raise LoadError(f"wrk gave no result: {output[-500:]}")
        found = json.loads(results[0].removeprefix(_MARK))
        sent, completed, size = (round(found.pop(name)) for name in ("sent", "completed", "bytes"))
        failed = sum(round(found.pop(name)) for name in ("refused", "late")) + sent - completed
        if not completed:
            raise LoadError("no request was answered")
        return cls(completed=completed, bytes=size, failed=failed, generator_cpu=generator_cpu, **found)


class Load:
    """A run that begins with the block; `run` waits for its end."""

    def __init__(
        self, url: str, requests: Sequence[bytes], *, connections: int, seconds: float, once: bool = False
    ) -> None:
        """Send for `seconds`, beginning anew when all are sent; or, `once`, each request only once."""
        self._requests = requests
        self._folder = TemporaryDirectory(prefix="bench-")
        self._file = Path(self._folder.name, "requests")
        most = round(seconds) + _LONGEST_SECONDS
        wrk = ["wrk", "-t1", f"-c{connections}", f"-d{most}s", f"--timeout={most}s", "-s", str(SCRIPT), url]
        told = [self._file, seconds, "once" if once else "cycle"]
        self._command = [*wrk, "--", *map(str, told)]

    def __enter__(self) -> Self:
        self._file.write_bytes(b"\0".join(self._requests))
        self._process = subprocess.Popen(  # noqa: S603 - no shell
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return self

    def run(self) -> Run:
        """Wait for the end; raises LoadError when there is no result."""
        output = self._process.stdout.read() if self._process.stdout else ""
        _, _, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = 0
        return Run.parse(output, usage.ru_utime + usage.ru_stime)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._folder.cleanup()


def load(url: str, requests: Sequence[bytes], *, connections: int, seconds: float, once: bool = False) -> Run:
    """Run one load to its end."""
    with Load(url, requests, connections=connections, seconds=seconds, once=once) as started:
        return started.run()
