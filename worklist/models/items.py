"""Owns the worklist items: what is kept of each, what the database refuses, and how a query becomes SQL."""

import re
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_
from typing import Any

from django.db import models
from django.db.models.functions import Length, Trim
from django.db.models.lookups import LessThanOrEqual

from core.contract import WORKLIST_STATUSES
from core.models import PersonalDataModel
from worklist.models.lookups import ByCodePoint, NameSearchField
from worklist.query.information_model import FINAL_STATES, ROOT, STEP, Matching
from worklist.query.matching import (
    AnyOf,
    Condition,
    DateTimeRange,
    MatchingKey,
    MatchingKeys,
    NameMatch,
    OneOf,
    Range,
    WildCard,
)
from worklist.query.person_names import name_groups, search_form, search_pattern

#: Text fields and the most characters that may stand in them; SQLite does not look at max_length, so checks do.
LENGTHS = {
    "accession_number": 16,
    "patient_id": 64,
    "patient_name": 194,  # three component groups of 64 and two `=`
    "patient_sex": 1,
    "patient_address": 64,
    "patient_weight": 16,
    "patient_comments": 10240,
    "station_ae_title": 16,
    "station_name": 16,
    "location": 16,
    "performing_physician_name": 194,
    "modality": 16,
    "study_description": 64,
    "procedure_code": 16,
    "procedure_coding_scheme": 16,
    "procedure_code_meaning": 64,
    "protocol_code": 16,
    "protocol_coding_scheme": 16,
    "protocol_code_meaning": 64,
    "study_instance_uid": 64,
    "requested_procedure_id": 16,
    "scheduled_procedure_step_id": 16,
    "status": 16,
}
#: Without one of these an item cannot be shown to a modality.
NEVER_EMPTY = (
    "accession_number",
    "patient_id",
    "patient_name",
    "modality",
    "study_instance_uid",
    "requested_procedure_id",
    "scheduled_procedure_step_id",
)
#: Spaces around these do not count (PS3.5 table 6.2-1), so they are not stored: a key is looked up as it is.
COMPARED_AS_TEXT = sorted(
    {row.field for row in (*ROOT, *STEP) if row.matching in (Matching.TEXT, Matching.NHS_NUMBER, Matching.UID)}
)
#: Names → the fields by which they are looked up.
SEARCHED_BY = {row.field: f"{row.field}_search" for row in (*ROOT, *STEP) if row.matching is Matching.NAME}
#: A letter is three at most in plain ones, such as those of Korean.
SEARCH_LENGTH = 3 * LENGTHS["patient_name"]
UNSTORABLE = re.compile(r"[\0\ud800-\udfff]")
EVERYTHING, NOTHING = models.Q(), models.Q(pk__in=[])

#: Items that still have to be, or are being, imaged. A list, as the index of these has it.
OPEN = [status for status in WORKLIST_STATUSES if status not in FINAL_STATES]
IS_OPEN = models.Q(status__is_one_of=OPEN)
#: Items that are read at once: more than a day's list, so that one query is enough for that.
PAGE = 500
#: A key of more values than this narrows nothing: the database would not take it.
MOST_VALUES = 200
#: Of a list of values to be equal to it takes more; a data element of UIDs holds no more.
LONGEST_LIST = 20_000


class WorklistItemQuerySet(models.QuerySet["WorklistItem"]):
    """Questions that are asked of the worklist."""

    def open(self) -> "WorklistItemQuerySet":
        """Items that still have to be, or are being, imaged."""
        return self.filter(IS_OPEN)

    def narrowed(self, keys: MatchingKeys) -> "WorklistItemQuerySet":
        """All items that meet the keys, and little else, by date, time and accession number."""
        rows = self.filter(_narrowing(keys)).annotate(number=ByCodePoint("accession_number"))
        return rows.order_by("scheduled_date", "scheduled_time", "number")

    def matching(self, keys: MatchingKeys) -> Iterator["WorklistItem"]:
        """The items that meet the keys, by date, time and accession number.

        The database narrows to little more than these, the matcher decides. They are read page by page: neither is the
        whole of a long answer in memory, nor is the database kept busy while a modality takes its time.
        """
        rows = self.narrowed(keys)
        page = list(rows[:PAGE])
        while page:
            yield from (item for item in page if keys.matches(item))
            page = list(rows.filter(_behind(page[-1]))[:PAGE]) if len(page) == PAGE else []

    def update(self, **changes: Any) -> int:
        """Change rows; with a name changes what it is looked up by."""
        searched = {field: search_form(changes[name]) for name, field in SEARCHED_BY.items() if name in changes}
        return super().update(**changes, **searched)

    update.alters_data = True  # type: ignore[attr-defined]  # as Django marks it: no template may call it


def _behind(item: "WorklistItem") -> models.Q:
    """Behind this item in the order of the list; the first condition is there for the index."""
    day, at = item.scheduled_date, item.scheduled_time
    return models.Q(scheduled_date__gte=day) & (
        models.Q(scheduled_date__gt=day)
        | models.Q(scheduled_date=day, scheduled_time__gt=at)
        | models.Q(scheduled_date=day, scheduled_time=at, number__gt=item.accession_number)
    )


# Matching as SQL says it: everything that meets the keys, and little else ---------------------------------------------


def _narrowing(keys: MatchingKeys) -> models.Q:
    wanted = _of_states(keys)
    if keys.date_time_range:
        wanted &= _period(keys.date_time_range)
    for key in keys.keys:
        wanted &= _any(_of_field(field, key) for field in key.fields)
    return wanted


def _of_states(keys: MatchingKeys) -> models.Q:
    """Open ones in the words of their index wherever it can only be open ones."""
    shown = frozenset(WORKLIST_STATUSES) - keys.hidden_states
    for key in keys.keys:
        if key.attribute.matching is Matching.STATUS and isinstance(key.condition, OneOf):
            shown &= key.condition.values
    wanted = IS_OPEN if shown <= frozenset(OPEN) else EVERYTHING
    return (
        wanted
        if shown in (frozenset(OPEN), frozenset(WORKLIST_STATUSES))
        else wanted & models.Q(status__in=sorted(shown))
    )


def _of_field(field: str, key: MatchingKey) -> models.Q:
    condition = _in_sql(field, key.condition)
    return condition | models.Q(**{field: ""}) if condition and key.attribute.empty_matches else condition


def _in_sql(field: str, condition: Condition) -> models.Q:
    """The condition as SQL says it; an empty Q, which narrows nothing, where SQL cannot."""
    match condition:
        case OneOf(values):
            known = sorted(filter(_can_be_stored, values))
            return models.Q(**{f"{field}__in": known}) if len(known) <= LONGEST_LIST else EVERYTHING
        case WildCard(patterns):
            return _any(_pattern(field, pattern) for pattern in patterns)
        case NameMatch(names):
            return _any(_name(field, name) for name in names)
        case Range(low, high):
            return models.Q(**{f"{field}__gte": low, f"{field}__lte": high})
        case AnyOf(conditions):
            return _any(_in_sql(field, one) for one in conditions)
    return EVERYTHING


def _any(conditions: Iterable[models.Q]) -> models.Q:
    """One of them; everything where one of them is everything, or where there are too many."""
    several = list(conditions)
    if not all(several) or len(several) > MOST_VALUES:
        return EVERYTHING
    return reduce(or_, several)


def _pattern(field: str, pattern: str) -> models.Q:
    letters = pattern.replace("*", "")
    fits = len(letters) <= LENGTHS[field] and _can_be_stored(letters)
    return models.Q(**{f"{field}__fits": pattern}) if fits else NOTHING


def _name(field: str, name: str) -> models.Q:
    """By the alphabetic group in plain letters; a name that has other groups has a `=` in it."""
    other_groups = name_groups(name)[1:]
    wanted = models.Q(**{f"{field}__contains": "="}) if any(group.strip("*") for group in other_groups) else EVERYTHING
    pattern = search_pattern(name)
    if not _can_be_stored(pattern) or len(pattern) > 2 * SEARCH_LENGTH:
        return NOTHING
    return wanted if pattern == "*" else wanted & models.Q(**{f"{SEARCHED_BY[field]}__fits": pattern})


def _can_be_stored(text: str) -> bool:
    """PostgreSQL takes no NUL, and no database half a character: no item has either."""
    return not UNSTORABLE.search(text)


def _period(period: DateTimeRange) -> models.Q:
    first, last = period.start.date(), period.end.date()
    return (
        models.Q(scheduled_date__gte=first, scheduled_date__lte=last)
        & (models.Q(scheduled_date__gt=first) | models.Q(scheduled_time__gte=period.start.time()))
        & (models.Q(scheduled_date__lt=last) | models.Q(scheduled_time__lte=period.end.time()))
    )


class WorklistItem(PersonalDataModel):
    """One Scheduled Procedure Step with its Requested Procedure and its patient, as a modality is shown it.

    Dates and times are the clinic's wall clock, as they were sent. Written by core.audit alone.
    """

    class Status(models.TextChoices):
        SCHEDULED = "SCHEDULED"
        IN_PROGRESS = "IN PROGRESS"
        COMPLETED = "COMPLETED"
        DISCONTINUED = "DISCONTINUED"

    personal_fields = frozenset(
        {
            "patient_id",
            "patient_name",
            "patient_birth_date",
            "patient_sex",
            "patient_address",
            "patient_weight",
            "patient_comments",
            "performing_physician_name",
            "patient_name_search",
            "performing_physician_name_search",
        }
    )

    accession_number = models.CharField(max_length=16, unique=True)
    status = models.CharField(max_length=16, choices=Status, default=Status.SCHEDULED)
    cloud_status = models.CharField(
        max_length=16, choices=Status, default=Status.SCHEDULED, help_text="What Manage has last said."
    )

    patient_id = models.CharField("NHS number", max_length=64, db_index=True)
    patient_name = models.CharField(max_length=194)
    patient_name_search = NameSearchField(of="patient_name", max_length=SEARCH_LENGTH, db_index=True)
    patient_birth_date = models.DateField(db_index=True)
    patient_sex = models.CharField(max_length=1, blank=True)
    patient_address = models.CharField(max_length=64, blank=True)
    patient_weight = models.CharField(max_length=16, blank=True)
    patient_comments = models.TextField(max_length=10240, blank=True)

    scheduled_date = models.DateField()
    scheduled_time = models.TimeField()
    station_ae_title = models.CharField("station AE title", max_length=16, blank=True)
    station_name = models.CharField(max_length=16, blank=True)
    location = models.CharField(max_length=16, blank=True)
    performing_physician_name = models.CharField(max_length=194, blank=True)
    performing_physician_name_search = NameSearchField(
        of="performing_physician_name", max_length=SEARCH_LENGTH, blank=True
    )

    modality = models.CharField(max_length=16)
    study_description = models.CharField(max_length=64, blank=True)
    procedure_code = models.CharField(max_length=16, blank=True)
    procedure_coding_scheme = models.CharField(max_length=16, blank=True)
    procedure_code_meaning = models.CharField(max_length=64, blank=True)
    protocol_code = models.CharField(max_length=16, blank=True)
    protocol_coding_scheme = models.CharField(max_length=16, blank=True)
    protocol_code_meaning = models.CharField(max_length=64, blank=True)

    study_instance_uid = models.CharField("Study Instance UID", max_length=64, db_index=True, editable=False)
    requested_procedure_id = models.CharField("Requested Procedure ID", max_length=16, db_index=True, editable=False)
    scheduled_procedure_step_id = models.CharField(
        "Scheduled Procedure Step ID", max_length=16, db_index=True, editable=False
    )

    correlation_id = models.CharField(max_length=64, db_index=True, help_text="Of the action that made the item.")

    objects = WorklistItemQuerySet.as_manager()

    class Meta:
        ordering = ("scheduled_date", "scheduled_time", "accession_number")
        indexes = (
            models.Index(fields=("scheduled_date", "station_ae_title"), name="item_by_day_and_station"),
            # What the admin narrows its list by, in the order of the list.
            models.Index(fields=("status", "scheduled_date"), name="item_by_status"),
            models.Index(fields=("station_ae_title", "scheduled_date"), name="item_by_station"),
            models.Index(fields=("modality", "scheduled_date"), name="item_by_modality"),
            # The open ones are few, however many years there are of the others.
            models.Index(
                fields=("scheduled_date", "scheduled_time"),
                name="open_item_in_order",
                condition=models.Q(status__in=OPEN),
            ),
        )
        constraints = (
            models.CheckConstraint(condition=models.Q(status__in=WORKLIST_STATUSES), name="item_status_known"),
            *(
                models.CheckConstraint(condition=LessThanOrEqual(Length(field), length), name=f"item_{field}_fits")
                for field, length in LENGTHS.items()
            ),
            *(
                models.CheckConstraint(condition=~models.Q(**{field: ""}), name=f"item_{field}_given")
                for field in NEVER_EMPTY
            ),
            *(
                models.CheckConstraint(condition=models.Q(**{field: Trim(field)}), name=f"item_{field}_trimmed")
                for field in COMPARED_AS_TEXT
            ),
        )
        permissions = (
            ("view_patient_data", "Can see who the woman is"),
            ("export_worklist", "Can export a day's list"),
            ("make_test_item", "Can put a test item on the list, and take it off"),
        )

    def __str__(self) -> str:
        return self.accession_number
