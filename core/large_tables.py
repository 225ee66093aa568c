"""Owns how the admin looks at tables of a million rows: no count of all of them, no list of all values of a column, and
no order or search that has no index.

What a list costs is what it shows: a count stops at MOST, so does paging; values of a filter are looked up one after
the other in the column's index; days are chosen, and not gathered from the rows.
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

#: Rows of a list that can be paged to; what is further down is found by a filter or a search.
MOST = 1000
#: Values of a column that a filter offers.
MOST_VALUES = 30
#: Records that one search finds.
MOST_FOUND = 200


class AtLeast(int):
    """A count that stopped: `1000+` for people."""

    def __str__(self) -> str:
        return f"{int(self)}+"


def counted(rows: QuerySet[Any], most: int) -> int:
    """How many there are, without looking at more than `most` of them."""
    found = rows.order_by()[: most + 1].count()
    return AtLeast(most) if found > most else found


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages of the first rows: they are not counted beyond MOST."""

    @cached_property
    def count(self) -> int:
        """How many there are, or AtLeast."""
        rows: Any = self.object_list
        return counted(rows, MOST)


class IndexedChangeList(ChangeList):
    """A list that is sorted by what the page offers, and by nothing else that an address could ask for."""

    def get_ordering_field(self, field_name: Any) -> Any:
        """The field of a column, if it may be sorted by."""
        if self.sortable_by is not None and field_name not in self.sortable_by:
            return None
        return super().get_ordering_field(field_name)


def keys_of_those_with(rows: QuerySet[Any], fields: tuple[str, ...], term: str) -> list[Any]:
    """The keys of records that have this value, or the same in other letters, in one of the fields.

    A query for each field: with `OR` over several tables a database goes through all of them.
    """
    spellings = sorted({term, term.upper(), term.lower()})
    found: list[Any] = []
    for name in fields:
        try:
            found += rows.filter(**{f"{name}__in": spellings}).values_list("pk", flat=True)[:MOST_FOUND]
        except (ValidationError, ValueError):  # no UUID, for instance: none has it
            continue
    return found


def values_in(rows: QuerySet[Any], field: str) -> list[Any]:
    """The values of a column, the first MOST_VALUES, each found in its index behind the one before."""
    found: list[Any] = []
    ordered = rows.order_by(field).values_list(field, flat=True)
    while len(found) < MOST_VALUES:
        behind = ordered.filter(**{f"{field}__gt": found[-1]}) if found else ordered
        value = behind.first()
        if value is None:
            break
        found.append(value)
    return found


class IndexedValuesFilter(admin.AllValuesFieldListFilter):
    """The values that there are. The column must begin an index."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Those, for the template. Django's own query of all values has not been asked by now, and never is."""
        values: Any = values_in(changelist.model._default_manager.all(), self.lookup_kwarg)
        self.lookup_choices = values
        for choice in super().choices(changelist):
            yield {**choice, "display": choice["display"] or "(none)"}


def midnight(day: date) -> datetime:
    """When a day begins, on the clinic's clock."""
    return timezone.make_aware(datetime.combine(day, time()))


class DayFilter(admin.SimpleListFilter):
    """One day, or a few; a form asks for any other day."""

    template = "admin/day_filter.html"
    parameter_name = "day"
    field = ""
    #: What can be chosen → the days from and to today.
    SPANS = {"today": (0, 0), "yesterday": (-1, -1), "tomorrow": (1, 1), "week": (-6, 0)}
    TITLES = {"today": "Today", "yesterday": "Yesterday", "week": "Past 7 days"}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What can be chosen without typing a date."""
        return list(self.TITLES.items())

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Those, for the template; and what else the list is narrowed by, for its form."""
        self.chosen = self._typed()
        self.others = [
            (name, value)
            for name, values in changelist.filter_params.items()
            if name != self.parameter_name
            for value in values
        ]
        return super().choices(changelist)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of the day; all where none is chosen, and nothing for what is no day."""
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
            midnight(typed + timedelta(days=1))  # the calendar ends somewhere
        except (ValueError, OverflowError):
            return None
        return typed, typed

    def _typed(self) -> str:
        value = str(self.value() or "")
        return "" if value in self.SPANS else value


def on_a_day(field_name: str, title: str) -> type[DayFilter]:
    """The filter for one field."""
    return type("DayFilter", (DayFilter,), {"field": field_name, "title": title})
