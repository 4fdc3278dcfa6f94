"""One SQL statement, compiled once."""

from typing import Any

from sqlalchemy import ClauseElement, UpdateBase
from sqlalchemy.dialects.postgresql import asyncpg as sqlalchemy_asyncpg
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler

_DIALECT = sqlalchemy_asyncpg.dialect()  # type: ignore[no-untyped-call]


class Statement:
    """One SQL statement, compiled once, at import.

    `expression` stays readable for the tests, which walk it; `sql` is what goes over the wire. It `writes` if
    any part of it changes rows.
    """

    def __init__(self, expression: ClauseElement) -> None:
        compiled = expression.compile(dialect=_DIALECT)
        if not isinstance(compiled, SQLCompiler):
            raise TypeError("a Statement reads or writes rows")
        if compiled.insert_prefetch or compiled.update_prefetch:
            raise TypeError("a column's Python default has no place here: give every value by name")
        self.expression = expression
        self.sql = compiled.string
        self.writes = any(isinstance(part, UpdateBase) for part in visitors.iterate(expression))
        self._names = tuple(compiled.positiontup or ())
        self._constants = {
            name: parameter.effective_value
            for name, parameter in compiled.binds.items()
            if not parameter.required
        }

    def arguments(self, values: dict[str, Any]) -> list[Any]:
        """Return `values` in the order of the placeholders; raises KeyError when one is missing."""
        given = self._constants | values
        return [given[name] for name in self._names]
