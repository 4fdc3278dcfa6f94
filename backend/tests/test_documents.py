"""The documents are true: settings, commands, links, names, and the README's tour, really walked."""

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from sqlmodel import SQLModel

import app.models
from app.cli import cli
from app.config import BACKEND, EXAMPLE_SECRET, Settings
from app.errors import AppError
from app.main import create_app
from app.serving import welcome
from tests import test_attacks
from tests.conftest import SECRET
from tests.test_openapi import served

ROOT = BACKEND.parent
SPECS = ROOT / "specs/003-fastapi-tasks-api"
DECISIONS = ROOT / "docs/decisions"
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((BACKEND / "pyproject.toml").read_text())
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *BACKEND.glob("*.md"), *ROOT.glob("docs/**/*.md"), *SPECS.rglob("*.md")]
)
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
OPERATIONS = {
    "listTasks", "createTask", "getTask", "updateTask", "patchTask", "deleteTask", "healthCheck",
}  # fmt: skip

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next of its level."""
    (found,) = re.findall(rf"^## {re.escape(heading)}.*?\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return found


def code(text: str) -> str:
    """Only blocks and spans of code: in prose, "make sure" is no command."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    return "\n".join([*blocks, *spans])


def default_of(name: str) -> str:
    return str(Settings.model_fields[name.lower()].default)


# Settings


def test_the_readme_has_every_setting_with_its_default_and_no_other():
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| (?:`(.*)`)? ?\| (.*) \|$", section(README, "Configuration"), re.MULTILINE
    )
    assert [row[0].lower() for row in rows] == list(Settings.model_fields)
    for name, default, meaning in rows:
        shown = str(ROOT / default) if name == "DATA_DIR" else default
        assert (shown, meaning) == (default_of(name), Settings.model_fields[name.lower()].description), name


def test_the_example_environment_has_every_setting_with_its_default_and_no_other():
    text = (BACKEND / ".env.example").read_text()
    found = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", text, re.MULTILINE))
    assert [name.lower() for name in found] == list(Settings.model_fields)
    assert found.pop("BETTER_AUTH_SECRET") == EXAMPLE_SECRET
    assert str(ROOT / found.pop("DATA_DIR")) == default_of("DATA_DIR")
    assert found == {name: default_of(name) for name in found}
    for field in Settings.model_fields.values():
        assert f"# {field.description}\n" in text


def test_the_example_environment_changes_nothing_until_it_is_changed_and_loads_when_it_is(tmp_path: Path):
    example = (BACKEND / ".env.example").read_text()
    assert not [line for line in example.splitlines() if line and not line.startswith("# ")]
    switched_on = tmp_path / ".env"
    switched_on.write_text(re.sub(r"^# ([A-Z_]+=)", r"\1", example, flags=re.MULTILINE))
    settings = Settings(_env_file=switched_on)
    kept = {"better_auth_secret", "data_dir"}
    assert settings.model_dump(exclude=kept) == Settings().model_dump(exclude=kept)
    assert settings.better_auth_secret == EXAMPLE_SECRET


@each_document
def test_a_variable_that_is_set_in_a_shell_is_a_setting(document: Path):
    blocks = re.findall(r"^```bash\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)
    found = {
        name for block in blocks for name in re.findall(r"^(?:export )?([A-Z_]{4,})=", block, re.MULTILINE)
    }
    assert {name.lower() for name in found - {"TOKEN", "AUTH", "JSON"}} <= set(Settings.model_fields)


# Commands


@each_document
def test_a_make_target_that_is_named_exists(document: Path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"run", "test", "check"} <= targets
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", code(document.read_text()))) <= targets


@each_document
def test_a_command_that_is_named_exists_with_its_options(document: Path):
    commands: Any = typer.main.get_group(cli).commands
    assert {"serve", "migrate", "token", "doctor"} <= set(commands)
    for name, rest in re.findall(r"\btasks-api (\w+)(.*)", code(document.read_text())):
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options, name


def test_the_readme_shows_what_the_start_prints():
    (shown,) = re.findall(r"```text\n(.*?)```", section(README, "What the start prints"), re.DOTALL)
    printed = welcome(Settings(better_auth_secret=SECRET))
    printed = re.sub(
        r"Bearer [\w.-]+", "Bearer eyJ...", printed.replace(str(ROOT.resolve()), "/home/you/tasks-api")
    )
    assert shown.strip("\n") == printed.strip("\n")


# The tour

#: For a machine without curl, and always once: the options that the tour uses.
STAND_IN = """#!{python}
import argparse, sys, urllib.error, urllib.request
parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("-X", dest="method")
parser.add_argument("-H", dest="headers", action="append")
parser.add_argument("-d", dest="body")
parser.add_argument("-s", action="store_true")
given = parser.parse_args()
request = urllib.request.Request(given.url, given.body and given.body.encode(), method=given.method)
for header in given.headers:
    request.add_header(*header.split(": ", 1))
try:
    answer = urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    answer = error
with answer:
    sys.stdout.write(answer.read().decode())
    print(answer.status, file=sys.stderr)
"""
TOUR = section(README, "A tour in five minutes")
#: Each step: what is typed, the status that is promised, the body that is shown.
STEPS = re.findall(
    r"```bash\n(.*?)```(?:\n\n`(\d{3})`[^`]*)?(?:```json\n(.*?)```)?", TOUR, re.DOTALL | re.MULTILINE
)
BREAK = "\x1e"


@pytest.mark.parametrize("curl", ["stand-in", *(["curl"] if shutil.which("curl") else [])])
async def test_the_tour_goes_as_the_readme_says(curl: str, settings: Settings, make_database, tmp_path: Path):
    """Typed into a shell as it stands, but for the port; on a database without any user yet."""
    (tmp_path / "backend/.venv").mkdir(parents=True)
    (tmp_path / "backend/.venv/bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / ".curlrc").write_text('silent\nwrite-out = "%{stderr}%{http_code}\\n"\n')
    path = os.environ["PATH"]
    if curl == "stand-in":
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/curl").write_text(STAND_IN.format(python=sys.executable))
        (tmp_path / "bin/curl").chmod(0o755)
        path = f"{tmp_path / 'bin'}:{path}"
    typed = "".join(f"{step[0]}printf '{BREAK}'; printf '{BREAK}' >&2\n" for step in STEPS)
    assert typed.count("http://127.0.0.1:8000") == 1
    own_database = settings.model_copy(update={"database_url": await make_database()})
    with served(create_app(own_database)) as url:
        run = await asyncio.to_thread(
            subprocess.run,
            ["/bin/sh", "-eu"],
            input=typed.replace("http://127.0.0.1:8000", url),
            cwd=tmp_path,
            env=os.environ
            | {"PATH": path, "CURL_HOME": str(tmp_path), "ENVIRONMENT": "test", "BETTER_AUTH_SECRET": SECRET},
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    bodies, statuses = run.stdout.split(BREAK)[:-1], run.stderr.split(BREAK)[:-1]
    assert len(STEPS) == 8
    for (command, status, shown), body, printed in zip(STEPS, bodies, statuses, strict=True):
        assert printed.split()[-1:] == ([status] if status else []), command
        assert like(json.loads(body)) == like(json.loads(shown)) if shown else body == "", command


def like(value: Any) -> Any:
    """A body without what differs each time: ids and times are there, or null, and that is all."""
    if isinstance(value, list):
        return [like(item) for item in value]
    if isinstance(value, dict):
        return {
            name: item and "..." if name == "id" or name.endswith("_at") else like(item)
            for name, item in value.items()
        }
    return value


def test_the_readme_lists_every_error_code_with_its_status():
    shown = re.findall(r"^\| `([A-Z_]+)` \| (\d{3}) \|", section(README, "Errors"), re.MULTILINE)
    family = [AppError]
    for error in family:
        family += error.__subclasses__()
    assert sorted(shown) == sorted({(error.code, str(error.status)) for error in family[1:]})


# What the documents say of each other and of the code


@each_document
def test_a_link_leads_somewhere(document: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        found = document.parent / name if name else document
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in headings}


def test_the_architecture_page_explains_every_module_and_no_other():
    page = (ROOT / "docs/architecture.md").read_text()
    package = BACKEND / "app"
    modules = {str(path.relative_to(package)) for path in package.rglob("*.py") if path.name != "__init__.py"}
    assert set(re.findall(r"\*\*`([^`]+)`\*\*", page)) == modules


def test_the_architecture_page_has_the_layers_that_are_checked():
    page = section((ROOT / "docs/architecture.md").read_text(), "Who may import whom")
    (block,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    whole, inside_api, *_ = PROJECT["tool"]["importlinter"]["contracts"]
    assert [line.split("(")[0].strip() for line in block.splitlines()] == whole["layers"]
    assert f"(inside: {' > '.join(inside_api['layers'])})".replace(" | ", ", ") in block


def test_the_index_of_decisions_lists_every_page_by_its_number():
    pages = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    index = (DECISIONS / "README.md").read_text()
    assert re.findall(r"^\| \[\d{4}\]\((.*?)\)", index, re.MULTILINE) == pages
    assert [page[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for page in pages:
        assert (DECISIONS / page).read_text().startswith(f"# {page[:4]} ")


def test_every_dependency_has_its_reason():
    page = (DECISIONS / "0007-dependencies.md").read_text()
    groups = [
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
    ]
    wanted = {re.split(r"[\[>=<;]", item)[0] for group in groups for item in group}
    cells = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)} == wanted


def test_the_contract_is_the_frozen_one():
    contract = (SPECS / "contracts/api-schema.yaml").read_bytes()
    paths = yaml.safe_load(contract)["paths"].values()
    found = [
        operation["operationId"]
        for path in paths
        for operation in path.values()
        if "operationId" in operation
    ]
    assert sorted(found) == sorted(OPERATIONS)
    # Front ends are built on it: what is new stands beside it, never in it.
    frozen = "d31ba1539cdb0e672a9aa5e2d5b8de6c8daabfb5c9545de7c3350ac78d9f83b1"
    assert hashlib.sha256(contract).hexdigest() == frozen


def test_the_plan_names_the_contracts_operations():
    rows = re.findall(r"^\| [A-Z]+ \| `/.*?` \| `(\w+)` \|", (SPECS / "plan.md").read_text(), re.MULTILINE)
    assert set(rows) == OPERATIONS


@pytest.mark.parametrize(
    "model",
    [app.models.TaskList, app.models.Task, app.models.IdempotencyKey],
    ids=lambda model: model.__tablename__,
)
def test_the_data_model_has_every_column(model: type[SQLModel]):
    name = str(model.__tablename__)
    page = section((SPECS / "data-model.md").read_text(), f"`{name}`")
    shown = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert shown == SQLModel.metadata.tables[name].columns.keys()


def test_the_checklist_has_every_requirement_and_a_tick_names_tests_that_exist():
    numbered = re.findall(r"^- \*\*((?:FR|SC)-\d+)\*\*", (SPECS / "spec.md").read_text(), re.MULTILINE)
    assert len(numbered) == len(set(numbered)) > 20
    lines = re.findall(
        r"^- \[(.)\] ((?:FR|SC)-\d+) (.*)$",
        (SPECS / "checklists/requirements.md").read_text(),
        re.MULTILINE,
    )
    assert [line[1] for line in lines] == numbered
    for tick, number, rest in lines:
        files = re.findall(r"`(test_\w+\.py)`", rest)
        assert bool(files) is (tick == "x"), number
        assert all((BACKEND / "tests" / file).exists() for file in files), number


# The page about security

SECURITY = (ROOT / "SECURITY.md").read_text()
ITEMS = re.findall(r"^\| (\d+\.\d+\.\d+) \| ([123]) \| ([^|]+) \| (.+) \|$", SECURITY, re.MULTILINE)


def test_each_item_of_the_standard_stands_once_and_in_its_order():
    ids = [tuple(map(int, item.split("."))) for item, *_ in ITEMS]
    assert len(ids) > 150
    assert ids == sorted(set(ids))
    assert len(re.findall(r"^\| \d+\.\d+", SECURITY, re.MULTILINE)) == len(ids)


@pytest.mark.parametrize(("item", "shown"), [(item[0], item[3]) for item in ITEMS])
def test_an_item_of_the_standard_is_shown_by_what_is_there(item: str, shown: str):
    """At least one link; a test that is named is one of those in the files that are linked beside it."""
    links = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", shown)]
    assert links, item
    tests = [(ROOT / link).read_text() for link in links if link.startswith("backend/tests/test_")]
    named = re.findall(r"`(test_\w+)`", shown)
    for name in named:
        assert any(re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE) for text in tests), name
    assert bool(tests) >= bool(named)


def test_the_number_of_attacks_that_is_told_is_the_number_that_is_tried():
    (told,) = re.findall(r"(\d+) attacks with tokens", SECURITY)
    assert int(told) == len(test_attacks.REFUSED) + len(test_attacks.HEADERS)
