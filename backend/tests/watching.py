"""A real Prometheus that watches a service, with the configuration and the rules of deploy/."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import yaml

from tests.servers import BACKEND, START_SECONDS, free_port, wait_for

DEPLOY = BACKEND.resolve().parent / "deploy"
RULES = DEPLOY / "prometheus/alerts.yml"
#: Those about HAProxy, where it is in front.
HAPROXY_RULES = DEPLOY / "prometheus/haproxy.yml"
METRICS_TOKEN = "what-prometheus-and-the-service-share"


@dataclass(frozen=True)
class Rule:
    """A rule: an alert, or a figure that is computed for others."""

    name: str
    expression: str
    alert: dict[str, Any] | None

    @property
    def as_figure(self) -> str:
        """The expression, answered with 0 or 1 where a comparison would leave nothing."""
        return re.sub(r" (>|==) ", r" \1 bool ", self.expression) if self.alert else self.expression


def rules(file: Path = RULES) -> list[Rule]:
    groups = yaml.safe_load(file.read_text())["groups"]
    return [
        Rule(rule.get("alert") or rule["record"], rule["expr"], rule if "alert" in rule else None)
        for group in groups
        for rule in group["rules"]
    ]


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, "run: make test-prometheus"
    return found


@dataclass(frozen=True)
class Prometheus:
    """Asks a running Prometheus; an expression that it can't read fails."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that there are now."""
        return self._ask("query", query=expression)

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the series between two moments, in seconds since 1970."""
        return self._ask("query_range", query=expression, start=start, end=end, step=step)

    def value(self, expression: str) -> float | None:
        """Return the one value, if there is one."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def _ask(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=START_SECONDS).json()
        assert answer["status"] == "success", (parameters, answer)
        series: list[dict[str, Any]] = answer["data"]["result"]
        return series


def configured(folder: Path, target: str, seconds: int) -> Path:
    """Write what deploy/ has into a folder, with another target and that many seconds between two looks."""
    configuration = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": f"{seconds}s", "evaluation_interval": f"{seconds}s"}
    (job,) = configuration["scrape_configs"]
    job["static_configs"] = [{"targets": [target]}]
    folder.mkdir()
    shutil.copy(RULES, folder)
    (folder / job["authorization"]["credentials_file"]).write_text(METRICS_TOKEN)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    return folder / "prometheus.yml"


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    """Watch a target (host:port) every second, and keep what is seen in the folder."""
    port = free_port()
    command = [
        program("prometheus"),
        f"--config.file={configured(folder, target, seconds=1)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | {"GOMAXPROCS": "1"}, stdout=log, stderr=log
        )
    watching = Prometheus(f"http://127.0.0.1:{port}")
    try:
        up = wait_for(lambda: process.poll() is not None or _sees(watching), START_SECONDS)
        assert up, (folder / "log").read_text()
        assert process.poll() is None, (folder / "log").read_text()
        yield watching
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _sees(watching: Prometheus) -> bool:
    try:
        return bool(watching.query("up == 1"))
    except httpx.TransportError:
        return False
    except ValueError:  # it says in plain text that it isn't ready
        return False
