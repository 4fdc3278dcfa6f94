"""Every statement of the service, walked: no table in it that is not tied to the owner."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Alias,
    BindParameter,
    ColumnClause,
    ColumnElement,
    Delete,
    FromClause,
    Insert,
    Join,
    ScalarSelect,
    Select,
    SelectBase,
    Update,
    bindparam,
    select,
    update,
)
from sqlalchemy.sql import ClauseElement, operators, visitors
from sqlmodel import SQLModel

import app
from app.models import Task, TaskList
from app.statement import _DIALECT, Statement

TASKS = SQLModel.metadata.tables[Task.__tablename__]
LISTS = SQLModel.metadata.tables[TaskList.__tablename__]

Part = Select | Insert | Update | Delete


def statements() -> Iterator[tuple[str, Statement]]:
    """All that the service can run: `Database.fetch` takes nothing but a Statement."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        for name, value in vars(importlib.import_module(module.name)).items():
            for key, statement in value.items() if isinstance(value, dict) else [("", value)]:
                if isinstance(statement, Statement):  # also where it is only imported: no harm
                    yield f"{module.name}.{name}{key and f'[{key}]'}", statement


def untied_tables(expression: ClauseElement) -> set[str]:
    """The tables that some part of a statement reads or writes without saying whose rows."""
    parts = [part for part in visitors.iterate(expression) if isinstance(part, Part)]
    assert parts
    return {str(table) for part in parts for table in _tables(part) if not _is_tied(part, table)}


def _tables(part: Part) -> Iterator[FromClause]:
    """The tables that a part names itself; those of a subquery or CTE are named by a part of its own."""
    if isinstance(part, Select):
        # As get_final_froms() does, whose compiler knows no slices of arrays.
        compiler = _DIALECT.statement_compiler(_DIALECT, None)
        sources = list(part._compile_state_factory(part, compiler)._get_display_froms())  # noqa: SLF001
    elif isinstance(part, Insert):
        sources = [part.table]
    else:  # PostgreSQL's UPDATE … FROM and DELETE … USING: whatever table a condition mentions
        sources = [part.table, *_sources(part.whereclause)]
    while sources:
        source = sources.pop()
        if isinstance(source, Join):
            sources += [source.left, source.right]
        elif any(_table(source) is table for table in SQLModel.metadata.sorted_tables):
            yield source


def _table(source: FromClause) -> FromClause:
    return source.element if isinstance(source, Alias) else source


def _sources(clause: Any) -> Iterator[FromClause]:
    if isinstance(clause, ColumnClause) and clause.table is not None:
        yield clause.table
    elif clause is not None and not isinstance(clause, SelectBase):
        for child in clause.get_children():
            yield from _sources(child)


def _is_tied(part: Part, table: FromClause) -> bool:
    if isinstance(part, Insert):
        return _inserts_owner(part)
    return any(
        _is_owner(condition.right)
        for condition in _conjunction(part.whereclause)
        if getattr(condition, "operator", None) is operators.eq and condition.left is table.c.user_id
    )


def _is_owner(value: Any) -> bool:
    if isinstance(value, ScalarSelect):  # hidden from the planner
        (value,) = value.element.selected_columns
    return isinstance(value, BindParameter) and value.key == "user_id"


def _inserts_owner(part: Insert) -> bool:
    if part.select is not None:
        names: Any = part._select_names  # noqa: SLF001 - SQLAlchemy has no public way to ask
        index = [getattr(name, "name", name) for name in names].index("user_id")
        value = list(part.select.selected_columns)[index]
        value = getattr(value, "element", value)
    else:
        values: Any = part._values  # noqa: SLF001 - the same
        value = next(value for name, value in values.items() if getattr(name, "name", name) == "user_id")
    return _is_owner(value)


def _conjunction(clause: ColumnElement | None) -> Iterator[ColumnElement]:
    """The conditions that all must hold; what stands below an OR or a NOT ties nothing."""
    if clause is None:
        return
    if getattr(clause, "operator", None) is operators.and_:
        for part in clause.clauses:
            yield from _conjunction(part)
    else:
        yield clause


STATEMENTS = dict(statements())

#: What looks at several users, and why it may; none of it is reached by a request with somebody's tasks.
OF_ALL_USERS: dict[str, str] = {
    "DUE_USERS": "finds of whom something is to be purged",
    "DUE_COUNT": "how much that is, for the progress bar",
    "REVISIONS_OF_LISTENERS": "a process asks for the revisions, and nothing else, of who is connected",
}


@pytest.mark.parametrize("name", [name for name in STATEMENTS if name.split(".")[-1] not in OF_ALL_USERS])
def test_every_table_is_tied_to_the_owner(name):
    assert untied_tables(STATEMENTS[name].expression) == set()


def test_the_task_statements_are_walked():
    walked = {name.split(".")[-1] for name in STATEMENTS}
    assert {
        "LIST",
        "GET",
        "ADD",
        "ADD_ONCE",
        "REPEATED",
        "SET",
        "REMOVE",
        "MOVE",
        "BATCH",
        "CHANGES",
    } <= walked


def test_a_statement_that_looks_at_several_users_really_does():
    of_all = {name.split(".")[-1] for name in STATEMENTS if untied_tables(STATEMENTS[name].expression)}
    assert of_all == set(OF_ALL_USERS)


OWNER: BindParameter = bindparam("user_id")
CASES = {
    "no condition": select(TASKS.c.id),
    "only the id": select(TASKS.c.id).where(TASKS.c.id == bindparam("id")),
    "another parameter": select(TASKS.c.id).where(TASKS.c.user_id == bindparam("other")),
    "below an OR": select(TASKS.c.id).where((TASKS.c.user_id == OWNER) | TASKS.c.completed),
    "a subquery of another parameter": select(TASKS.c.id).where(
        TASKS.c.user_id == select(bindparam("other")).scalar_subquery()
    ),
    "not equal": select(TASKS.c.id).where(TASKS.c.user_id != OWNER),
    "a second table": select(TASKS.c.id, LISTS.c.revision).where(TASKS.c.user_id == OWNER),
    "in a subquery": select(LISTS.c.revision).where(
        LISTS.c.user_id == OWNER, select(TASKS.c.id).where(TASKS.c.completed).exists()
    ),
    "an update": update(TASKS).where(TASKS.c.id == bindparam("id")).values(completed=True),
    "an update from another table": update(LISTS)
    .where(LISTS.c.user_id == OWNER, TASKS.c.completed)
    .values(revision=1),
    "an alias": select(TASKS.alias().c.id).where(TASKS.c.user_id == OWNER),
    "an insert for another": TASKS.insert().values(user_id=bindparam("other"), id=bindparam("id")),
    "in a common table expression": select(
        update(LISTS).values(revision=1).returning(LISTS.c.revision).cte("list").c.revision
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_walk_finds_what_is_not_tied(name):
    assert untied_tables(CASES[name])


def test_no_statement_uses_what_citus_refuses():
    """now() in expressions, and updates of the key that rows are distributed by (docs/decisions/0002)."""
    for name, statement in STATEMENTS.items():
        assert not re.search(r"\bnow\(|current_timestamp|SET [^)]*\buser_id\s*=", statement.sql), name


def test_sql_stands_only_in_statements():
    """No module speaks SQL as text; what isn't a Statement, the walk above can't see."""
    root = Path(inspect.getfile(app)).parent
    spoken = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\s", re.ASCII)
    found = {str(path.relative_to(root)) for path in root.rglob("*.py") if spoken.search(path.read_text())}
    assert found == set()
