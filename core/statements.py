"""Execute the statements of each action and of each worklist query with SQL that is built once.

Django builds the SQL of a query again each time it is made, which takes several times as long as the database needs to
execute it. This module is for the few statements that are executed again and again; anything else uses Django's own
queries.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Field, Model, Q, QuerySet, TextField

TEXT_FIELDS = (CharField, TextField)
#: Stands for a text while SQL is built: no text that is stored, or looked for, has a NUL in it.
PARAMETER = "\x00parameter"


def insert(obj: Model) -> None:
    """Insert a row, as `save(force_insert=True)` would, but without signals."""
    _insert(obj, "")


def insert_unless_known(obj: Model) -> bool:
    """Insert a row unless one has the same unique value; return True if it was inserted.

    Of two transactions at the same instant one inserts, and the other waits for its commit and gets False.
    """
    return _insert(obj, " ON CONFLICT DO NOTHING") == 1


def update(obj: Model, *names: str) -> None:
    """Write these fields of a row, as `save(update_fields=…)` would, but without signals."""
    fields = [_field(type(obj), name) for name in names]
    statement = _update_statement(type(obj), names)
    _execute(statement, [*_values(obj, fields, adding=False), *_values(obj, [_key(type(obj))], adding=False)])


class CompiledCount:
    """Counts the rows that a query finds, up to `limit`, for one text after another.

    `rows` returns the query for a text, which must reach the SQL unchanged. It asks whether there is anything to do;
    mostly there is nothing, and otherwise Django's own queries do it.
    """

    def __init__(self, rows: Callable[[str], "QuerySet[Any]"], limit: int = 1) -> None:
        self._rows, self._limit = rows, limit

    def found(self, text: str) -> int:
        """Return the number of rows found, at most `limit`."""
        statement, parameters = self._built
        with _database().cursor() as cursor:
            cursor.execute(statement, [text if each == PARAMETER else each for each in parameters])
            return len(cursor.fetchall())

    @cached_property
    def _built(self) -> tuple[str, tuple[Any, ...]]:
        return self._rows(PARAMETER).order_by().values("pk")[: self._limit].query.sql_with_params()


def without_texts(condition: Q) -> tuple[Q, dict[str, str]]:
    """Return the condition with a placeholder for each text of its `__in` lists, and the texts by placeholder.

    Conditions that differ in these texts alone become equal, so that the SQL of one serves for all.
    """
    texts: dict[str, str] = {}

    def placeholder(text: str) -> str:
        texts[name := f"{PARAMETER}{len(texts)}"] = text
        return name

    def form_of(child: Any) -> Any:
        match child:
            case Q():
                return Q.create([form_of(each) for each in child.children], child.connector, child.negated)
            case (str(lookup), list(values)) if lookup.endswith("__in") and all(isinstance(one, str) for one in values):
                return lookup, [placeholder(one) for one in values]
        return child

    return form_of(condition), texts


class CompiledQuery:
    """Reads the rows of a query made by `values_list`, whose SQL is built now; any thread may read them."""

    def __init__(self, query: "QuerySet[Any, Any]") -> None:
        self._compiler = query.query.get_compiler(DEFAULT_DB_ALIAS)
        try:
            self._statement, self._parameters = self._compiler.as_sql()
        except EmptyResultSet:  # no row can have what is asked for
            self._statement, self._parameters = "", ()

    def rows(self, texts: Mapping[str, str] | None = None) -> Iterator[tuple[Any, ...]]:
        """Read all rows, with these texts for the placeholders of `without_texts`; each is converted when taken."""
        if not self._statement:
            return iter(())
        texts = texts or {}
        parameters = [texts.get(each, each) if isinstance(each, str) else each for each in self._parameters]
        with _database().cursor() as cursor:
            cursor.execute(self._statement, parameters)
            found = cursor.fetchall()
        rows: Iterator[tuple[Any, ...]] = self._compiler.results_iter([found], tuple_expected=True)
        return rows


def _insert(obj: Model, otherwise: str) -> int:
    fields = _columns(type(obj))
    inserted = _execute(_insert_statement(type(obj)) + otherwise, _values(obj, fields, adding=True))
    obj._state.adding, obj._state.db = False, DEFAULT_DB_ALIAS
    return inserted


def _execute(statement: str, values: list[Any]) -> int:
    """Return the number of rows that were written."""
    with _database().cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def _database() -> BaseDatabaseWrapper:
    """Return this thread's connection itself: `django.db.connection` looks it up again for each attribute."""
    return connections[DEFAULT_DB_ALIAS]


def _values(obj: Model, fields: "list[Field[Any, Any]]", *, adding: bool) -> list[Any]:
    """Return the values as the database takes them: text unchanged, anything else as Django prepares it."""
    database, values = _database(), []
    for field in fields:
        value = field.pre_save(obj, adding)
        is_ready = type(value) is str and isinstance(field, TEXT_FIELDS)
        values.append(value if is_ready else field.get_db_prep_save(value, database))
    return values


@cache
def _insert_statement(model: type[Model]) -> str:
    quote = _database().ops.quote_name
    columns = [quote(str(field.column)) for field in _columns(model)]
    places = ", ".join("%s" for _ in columns)
    return f"INSERT INTO {quote(model._meta.db_table)} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608


@cache
def _update_statement(model: type[Model], names: tuple[str, ...]) -> str:
    quote = _database().ops.quote_name
    changes = ", ".join(f"{quote(str(_field(model, name).column))} = %s" for name in names)
    key = quote(str(_key(model).column))
    return f"UPDATE {quote(model._meta.db_table)} SET {changes} WHERE {key} = %s"  # noqa: S608


@cache
def _columns(model: type[Model]) -> "list[Field[Any, Any]]":
    """Return the fields that a new row is given; the database itself gives a serial number."""
    return [field for field in model._meta.local_concrete_fields if field is not model._meta.auto_field]


def _field(model: type[Model], name: str) -> "Field[Any, Any]":
    return next(field for field in model._meta.concrete_fields if field.name == name)


def _key(model: type[Model]) -> "Field[Any, Any]":
    key: Field[Any, Any] = model._meta.pk
    return key
