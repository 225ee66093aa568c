"""Add the lookups that DICOM matching needs, with the same result and an index on SQLite and PostgreSQL."""

import re
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql.compiler import SQLCompiler

from worklist.query.person_names import search_form

#: DICOM's wild cards, and the characters that are special in LIKE or in GLOB.
IN_LIKE = {"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"}
IN_GLOB = {"[": "[[]"}


@models.CharField.register_lookup
class Fits(models.Lookup):
    """`field__fits="SMITH*"`: wild card matching, case-sensitive.

    SQLite's LIKE ignores case, so GLOB is used there; PostgreSQL has no GLOB. Both use an index for a pattern that
    begins with letters: SQLite by its own rule for GLOB, PostgreSQL by the text_pattern_ops index that Django creates.
    """

    lookup_name = "fits"

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        return self._compared("LIKE", IN_LIKE, compiler, connection)

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        return self._compared("GLOB", IN_GLOB, compiler, connection)

    def _compared(
        self, operator: str, translation: dict[str, str], compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        column, parameters = self.process_lhs(compiler, connection)
        pattern = "".join(translation.get(character, character) for character in re.sub(r"\*+", "*", self.rhs))
        return f"{column} {operator} %s", (*parameters, pattern)


@models.CharField.register_lookup
class IsOneOf(models.Lookup):
    """`field__is_one_of=[…]`, with the values written into the SQL, so they must never come from outside.

    SQLite uses a partial index only if the query repeats its condition, without parameters. It assumes that values in a
    list are rare unless `likely` says otherwise, and would then prefer an index on this field to one on a name, or to
    one that has the rows in order.
    """

    lookup_name = "is_one_of"
    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        column, parameters = self.process_lhs(compiler, connection)
        words = ", ".join(f"'{word}'" for word in self.rhs)
        return f"{column} IN ({words})", tuple(parameters)

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        condition, parameters = self.as_sql(compiler, connection)
        return f"likely({condition})", parameters


class ByCodePoint(models.Func):
    """Order text by code point, whatever PostgreSQL's collation is; SQLite always does."""

    template = "%(expressions)s"
    arity = 1

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any
    ) -> tuple[str, tuple[Any, ...]]:
        return self.as_sql(compiler, connection, template='%(expressions)s COLLATE "C"', **extra)


class NameSearchField(models.CharField):  # type: ignore[type-arg]  # not generic at run time
    """The search form of the name in the field `of`, computed whenever a row is saved, also in bulk."""

    def __init__(self, *args: Any, of: str = "", **options: Any) -> None:
        self.of = of
        super().__init__(*args, **{"default": "", "editable": False, **options})

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        return name, path, args, {**options, "of": self.of}

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        value = search_form(getattr(model_instance, self.of) or "")  # None is refused by the database
        setattr(model_instance, self.attname, value)
        return value
