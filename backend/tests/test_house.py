"""Rules of the house that no linter knows."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import get_args

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

import app
from app.api import routes
from app.api.gate import GuardedRoute
from app.queries.owned import Owned

ROOT = Path(inspect.getfile(app)).parent
MODULES = sorted(ROOT.rglob("*.py"))
PUBLIC = {
    *("/", "/health", "/health/live", "/health/ready", "/metrics"),
    *("/docs", "/docs/{name}", "/openapi.json"),
}
ROUTERS = [
    importlib.import_module(module.name).router
    for module in pkgutil.iter_modules(routes.__path__, "app.api.routes.")
]
ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
HANDLERS = [route.endpoint for route in ROUTES]
OF_TASKS = [route.endpoint for route in ROUTES if isinstance(route, GuardedRoute)]


def statements_of(function: object) -> int:
    (definition,) = ast.parse(inspect.getsource(function)).body  # type: ignore[arg-type]
    assert isinstance(definition, ast.AsyncFunctionDef)
    docstring, *body = definition.body
    assert isinstance(docstring, ast.Expr)
    return sum(isinstance(node, ast.stmt) for statement in body for node in ast.walk(statement))


def test_every_route_is_guarded_or_known_to_be_public(app):
    contexts = list(iter_route_contexts(app.routes))
    assert len(contexts) >= 12
    for context in contexts:
        assert isinstance(context.original_route, GuardedRoute) is (context.path not in PUBLIC), context.path


def test_the_handlers_are_found():
    assert len(OF_TASKS) >= 6
    assert len(HANDLERS) == len(OF_TASKS) + 4


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
def test_a_handler_asks_and_returns(handler):
    assert statements_of(handler) <= 5


@pytest.mark.parametrize("handler", OF_TASKS, ids=lambda handler: handler.__name__)
def test_a_task_handler_sees_the_callers_own_and_never_a_user_id(handler):
    kinds = [
        get_args(parameter.annotation)[0]
        for parameter in inspect.signature(handler).parameters.values()
        if get_args(parameter.annotation)
    ]
    assert [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Owned)]
    assert not [name for name in handler.__code__.co_names if "user" in name]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_first_what_it_holds_and_stays_short(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "the first line says what the module holds"
    assert len(text.splitlines()) <= 190


def test_no_module_has_a_name_that_says_nothing():
    empty = {"utils", "helpers", "common", "core", "misc", "base", "manager"}
    assert not empty & {path.stem for path in MODULES}
