"""Owns how matching is said in SQL, so that SQLite and PostgreSQL say the same and can use an index for it."""

import re
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql.compiler import SQLCompiler

from worklist.query.person_names import search_form

#: `*` and `?` of DICOM, and what else means something to LIKE, or to GLOB.
IN_LIKE = {"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"}
IN_GLOB = {"[": "[[]"}


@models.CharField.register_lookup
class Fits(models.Lookup):
    """`field__fits="SMITH*"`: wild card matching, case-sensitive.

    SQLite's LIKE knows no case and its GLOB does; PostgreSQL has no GLOB. A pattern that begins with letters is looked
    up in an index: SQLite's own rule for GLOB, and the index with text_pattern_ops that Django makes on PostgreSQL.
    """

    lookup_name = "fits"

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        """PostgreSQL."""
        return self._compared("LIKE", IN_LIKE, compiler, connection)

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        """SQLite."""
        return self._compared("GLOB", IN_GLOB, compiler, connection)

    def _compared(
        self, operator: str, translation: dict[str, str], compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        column, parameters = self.process_lhs(compiler, connection)
        pattern = "".join(translation.get(character, character) for character in re.sub(r"\*+", "*", self.rhs))
        return f"{column} {operator} %s", (*parameters, pattern)


@models.CharField.register_lookup
class IsOneOf(models.Lookup):
    """`field__is_one_of=[…]` with words of our own, which stand in the SQL as they are: SQLite takes an index with a
    condition only for a query that has the same condition, and does not look at parameters for that."""

    lookup_name = "is_one_of"
    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        """As an index has it."""
        column, parameters = self.process_lhs(compiler, connection)
        words = ", ".join(f"'{word}'" for word in self.rhs)
        return f"{column} IN ({words})", tuple(parameters)


class ByCodePoint(models.Func):
    """A text in the order of its code points, whatever PostgreSQL's collation is; SQLite has no other."""

    template = "%(expressions)s"
    arity = 1

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any
    ) -> tuple[str, tuple[Any, ...]]:
        """PostgreSQL."""
        return self.as_sql(compiler, connection, template='%(expressions)s COLLATE "C"', **extra)


class NameSearchField(models.CharField):  # type: ignore[type-arg]  # it is none at run time
    """The search form of the name in another field of the row, made whenever a row is saved, in bulk, too."""

    def __init__(self, *args: Any, of: str = "", **options: Any) -> None:
        self.of = of
        super().__init__(*args, **{"default": "", "editable": False, **options})

    def deconstruct(self) -> Any:
        """As migrations keep it."""
        name, path, args, options = super().deconstruct()
        return name, path, args, {**options, "of": self.of}

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        """What is written."""
        value = search_form(getattr(model_instance, self.of) or "")  # None is refused by the database
        setattr(model_instance, self.attname, value)
        return value
