"""Keep the admin's lists fast on tables of a million rows: a list costs what it shows, not what the table holds.

Counting and paging stop at MAX_ROWS. A filter finds the values of a column one by one in its index. Dates are chosen
by the user instead of being collected from the rows. Only indexed columns can be sorted by or searched.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import DateTimeField, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

#: How many rows can be paged to. A filter or a search finds the rest.
MAX_ROWS = 1000
#: How many values of a column a filter offers.
MAX_VALUES = 30
#: How many records one search finds in each field.
MAX_FOUND = 200


class AtLeast(int):
    """A count that stopped at a limit; shown as `1000+`."""

    def __str__(self) -> str:
        return f"{int(self)}+"


def counted(rows: QuerySet[Any], most: int) -> int:
    """Count the rows, up to `most`; AtLeast(most) if there are more."""
    found = rows.order_by()[: most + 1].count()
    return AtLeast(most) if found > most else found


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages of the first MAX_ROWS rows."""

    @cached_property
    def count(self) -> int:
        """Count the rows, up to MAX_ROWS."""
        rows: Any = self.object_list
        return counted(rows, MAX_ROWS)


class IndexedChangeList(ChangeList):
    """A list that can be sorted by `sortable_by` only, even if the address asks for another column."""

    def get_ordering_field(self, field_name: Any) -> Any:
        """Return the field of a column; None if it may not be sorted by."""
        if self.sortable_by is not None and field_name not in self.sortable_by:
            return None
        return super().get_ordering_field(field_name)


def matching_pks(rows: QuerySet[Any], fields: tuple[str, ...], term: str) -> list[Any]:
    """Return the keys of the records that have the term in one of the fields, as typed, in capitals or in lower case.

    Ask for each field separately: with `OR` over several tables a database reads all of them.
    """
    spellings = sorted({term, term.upper(), term.lower()})
    found: list[Any] = []
    for name in fields:
        try:
            found += rows.filter(**{f"{name}__in": spellings}).values_list("pk", flat=True)[:MAX_FOUND]
        except (ValidationError, ValueError):  # such as a UUID field, when the term is no UUID
            continue
    return found


def values_in(rows: QuerySet[Any], field: str) -> list[Any]:
    """Return the first MAX_VALUES values of a column; each is found in the index by the one before it."""
    found: list[Any] = []
    ordered = rows.order_by(field).values_list(field, flat=True)
    while len(found) < MAX_VALUES:
        rest = ordered.filter(**{f"{field}__gt": found[-1]}) if found else ordered
        value = rest.first()
        if value is None:
            break
        found.append(value)
    return found


class IndexedValuesFilter(admin.AllValuesFieldListFilter):
    """A filter by the values of a column, which must be the first of an index."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield the choices. This replaces Django's own query for all values before it runs."""
        values: Any = values_in(changelist.model._default_manager.all(), self.lookup_kwarg)
        self.lookup_choices = values
        for choice in super().choices(changelist):
            yield {**choice, "display": choice["display"] or "(none)"}


def midnight(day: date) -> datetime:
    """Return the start of a day in the clinic's time zone."""
    return timezone.make_aware(datetime.combine(day, time()))


class DayFilter(admin.SimpleListFilter):
    """A filter by date: a few common choices, and a form for any other day."""

    template = "admin/day_filter.html"
    parameter_name = "day"
    field = ""
    #: Choice → its first and last day, counted from today.
    SPANS = {"today": (0, 0), "yesterday": (-1, -1), "tomorrow": (1, 1), "week": (-6, 0)}
    TITLES = {"today": "Today", "yesterday": "Yesterday", "week": "Past 7 days"}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices that need no typing."""
        return list(self.TITLES.items())

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield the choices; set `chosen` and `others`, which the form sends along with a new date."""
        self.chosen = self._typed()
        self.others = [
            (name, value)
            for name, values in changelist.filter_params.items()
            if name != self.parameter_name
            for value in values
        ]
        return super().choices(changelist)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Filter by the chosen days; return no rows if the value is not a date."""
        if not self.value():
            return queryset
        days = self._days()
        if days is None:
            return queryset.none()
        first, last = days
        if isinstance(queryset.model._meta.get_field(self.field), DateTimeField):
            start, end = midnight(first), midnight(last + timedelta(days=1))
            return queryset.filter(**{f"{self.field}__gte": start, f"{self.field}__lt": end})
        return queryset.filter(**{f"{self.field}__range": days})

    def _days(self) -> tuple[date, date] | None:
        today = timezone.localdate()
        if span := self.SPANS.get(str(self.value())):
            first, last = span
            return today + timedelta(days=first), today + timedelta(days=last)
        try:
            typed = date.fromisoformat(self._typed())
            midnight(typed + timedelta(days=1))  # the year 9999 ends the calendar
        except (ValueError, OverflowError):
            return None
        return typed, typed

    def _typed(self) -> str:
        value = str(self.value() or "")
        return "" if value in self.SPANS else value


def day_filter(field_name: str, title: str) -> type[DayFilter]:
    """Return a filter by the date of this field."""
    return type("DayFilter", (DayFilter,), {"field": field_name, "title": title})
