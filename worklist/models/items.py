"""Store the worklist items, check them in the database, and translate matching keys into SQL.

Matching is done twice. The database narrows the table to all items that match and little else, using its indexes; the
matcher (worklist/query/matching.py), which is the specification, then decides item by item.
"""

import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, reduce
from operator import or_
from typing import Any

from django.db import models
from django.db.models.functions import Length, Trim
from django.db.models.lookups import LessThanOrEqual

from core.contract import FINAL, ItemStatus
from core.models import PersonalDataModel
from core.statements import CompiledQuery, without_texts
from worklist.item_fields import FIELD_LENGTHS, NEVER_EMPTY, PERSONAL
from worklist.models.lookups import ByCodePoint, NameSearchField
from worklist.query.information_model import ROOT, STEP, Matching
from worklist.query.matching import (
    AnyOf,
    Condition,
    DateTimeRange,
    MatchingKeys,
    NameMatch,
    OneOf,
    Range,
    VisibleItems,
    WildCard,
)
from worklist.query.person_names import name_groups, search_form, search_pattern

#: Fields matched as text. Leading and trailing spaces are not significant (PS3.5 table 6.2-1), so none are stored.
COMPARED_AS_TEXT = sorted(
    {row.field for row in (*ROOT, *STEP) if row.matching in (Matching.TEXT, Matching.NHS_NUMBER, Matching.UID)}
)
#: Field with a name → the field with its search form.
SEARCHED_BY = {row.field: f"{row.field}_search" for row in (*ROOT, *STEP) if row.matching is Matching.NAME}
#: A letter has at most three in the search form, as the letters of Korean do.
SEARCH_LENGTH = 3 * FIELD_LENGTHS["patient_name"]
UNSTORABLE = re.compile(r"[\0\ud800-\udfff]")
EVERYTHING, NOTHING = models.Q(), models.Q(pk__in=[])

STATUSES = tuple(status.value for status in ItemStatus)

#: Value and label of each status.
STATUS_CHOICES = [(status.value, status.name.replace("_", " ").title()) for status in ItemStatus]

#: The statuses of items whose patient has still to be imaged, or is being imaged. The condition of an index repeats it.
OPEN = [status for status in STATUSES if status not in FINAL]
IS_OPEN = models.Q(status__is_one_of=OPEN)
#: The order of the items in an answer.
IN_ORDER = ("scheduled_date", "scheduled_time", "accession_number")
#: Items read from the database at once: more than one day has.
PAGE = 500
#: The SQL of a query with more texts than this is not kept.
MAX_PLACEHOLDERS = 50
#: A key with more values than this is left to the matcher: the database would refuse so long a condition.
MAX_CONDITIONS = 200
#: The database takes longer lists of values to compare with; a data element of UIDs holds no more than this.
MAX_VALUES = 20_000


class WorklistItemQuerySet(models.QuerySet["WorklistItem"]):
    """Select worklist items: by query, by appointment, by status."""

    def open(self) -> "WorklistItemQuerySet":
        """Return the items whose patient has still to be imaged, or is being imaged."""
        return self.filter(IS_OPEN)

    def not_superseded(self) -> "WorklistItemQuerySet":
        """Return the items that no newer item of the same appointment has superseded: the current ones."""
        return self.filter(superseded_by=None)

    def of_patients(self) -> "WorklistItemQuerySet":
        """Return the items that are no test items: those that work is counted by."""
        return self.filter(is_test=False)

    def of_appointment(self, item: "WorklistItem") -> "WorklistItemQuerySet":
        """Return the current items of this item's appointment; none if it has no appointment, or is a test item."""
        if item.is_test or not item.appointment_id:
            return self.none()
        return self.not_superseded().of_patients().filter(appointment_id=item.appointment_id)

    def in_order(self) -> "WorklistItemQuerySet":
        """Return the current items by date, time and accession number: the order of an answer."""
        rows = self.not_superseded().annotate(number=ByCodePoint("accession_number"))
        return rows.order_by("scheduled_date", "scheduled_time", "number")

    def narrowed(self, keys: MatchingKeys) -> "WorklistItemQuerySet":
        """Return all current items that match the keys, and little else, in order."""
        return self.in_order().filter(_narrowing(keys))

    def update(self, **changes: Any) -> int:
        """Change rows; the search form of a name changes with the name."""
        searched = {field: search_form(changes[name]) for name, field in SEARCHED_BY.items() if name in changes}
        return super().update(**changes, **searched)

    update.alters_data = True  # type: ignore[attr-defined]  # Django's own mark: no template may call it


class MatchingRows:
    """The current items that match some keys, in order, as named tuples. Each iteration reads them again.

    A tuple has `fields` first, then those that the matcher needs; making a WorklistItem of each row would take longer.
    Rows are read page by page: a long answer is never in memory as a whole, and no database cursor stays open while a
    slow modality takes its responses.
    """

    def __init__(self, keys: MatchingKeys, *fields: str) -> None:
        self._fields = tuple(dict.fromkeys((*fields, *keys.fields, *IN_ORDER)))
        self._keys = keys
        self._wanted = _narrowing(keys)
        form, self._texts = without_texts(self._wanted)
        page = _kept_page if len(self._texts) <= MAX_PLACEHOLDERS else _page
        self._first_page = page(self._fields, form)
        self._row = _row_type(self._fields)

    def __iter__(self) -> Iterator[Any]:
        page, texts = self._first_page, self._texts
        while True:
            count = 0
            for count, row in enumerate(map(self._row, page.rows(texts)), start=1):  # noqa: B007 - counted to the end
                if self._keys.matches(row):
                    yield row
            if count < PAGE:
                return
            page, texts = _page(self._fields, self._wanted & _after(row)), {}


@lru_cache(64)
def _row_type(fields: tuple[str, ...]) -> Callable[[Iterable[Any]], Any]:
    return namedtuple("Row", fields)._make  # type: ignore[attr-defined, no-any-return]


def _page(fields: tuple[str, ...], wanted: models.Q) -> CompiledQuery:
    return CompiledQuery(_values_in_order(fields).filter(wanted)[:PAGE])


#: Of the queries in which an operator types a number, only the number differs.
_kept_page = lru_cache(64)(_page)


@lru_cache(64)
def _values_in_order(fields: tuple[str, ...]) -> "models.QuerySet[WorklistItem, Any]":
    """Return a query that is made once and then narrowed for each identifier: making it takes as long as narrowing."""
    return WorklistItem.objects.in_order().values_list(*fields)


def _after(row: Any) -> models.Q:
    """Select the items after this row. The first condition is implied by the second; the index needs it."""
    day, at = row.scheduled_date, row.scheduled_time
    return models.Q(scheduled_date__gte=day) & (
        models.Q(scheduled_date__gt=day)
        | models.Q(scheduled_date=day, scheduled_time__gt=at)
        | models.Q(scheduled_date=day, scheduled_time=at, number__gt=row.accession_number)
    )


# Matching keys in SQL -------------------------------------------------------------------------------------------------


def _narrowing(keys: MatchingKeys) -> models.Q:
    wanted = _with_statuses(keys) & _shown_to(keys.shown_to)
    if keys.date_time_range:
        wanted &= _period(keys.date_time_range)
    for key in keys.keys:
        conditions = [_in_sql(field, key.condition) for field in key.fields]
        if key.attribute.empty_matches:
            conditions += [models.Q(**{field: ""}) for field in key.fields]
        wanted &= _any(conditions)
    return wanted


def _shown_to(modality: VisibleItems | None) -> models.Q:
    if modality is None:
        return EVERYTHING
    if modality.is_test_machine:
        return models.Q(is_test=True)
    made_for_it = models.Q(proves_ae_title=modality.calling_ae_title) if modality.calling_ae_title else NOTHING
    return models.Q(is_test=False) | made_for_it


def _with_statuses(keys: MatchingKeys) -> models.Q:
    """Select by status; where only open items can match, by the condition of the index on open items."""
    shown = frozenset(STATUSES) - keys.hidden_statuses
    for key in keys.keys:
        if key.attribute.matching is Matching.STATUS and isinstance(key.condition, OneOf):
            shown &= key.condition.values
    wanted = IS_OPEN if shown <= frozenset(OPEN) else EVERYTHING
    return wanted if shown in (frozenset(OPEN), frozenset(STATUSES)) else wanted & models.Q(status__in=sorted(shown))


def _in_sql(field: str, condition: Condition) -> models.Q:
    """Translate a condition; an empty Q, which narrows nothing, where SQL has no equivalent."""
    match condition:
        case OneOf(values):
            known = sorted(filter(_can_be_stored, values))
            return models.Q(**{f"{field}__in": known}) if len(known) <= MAX_VALUES else EVERYTHING
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
    """Select what any of the conditions selects; everything if one does, or if there are too many."""
    several = list(conditions)
    if not all(several) or len(several) > MAX_CONDITIONS:
        return EVERYTHING
    return reduce(or_, several)


def _pattern(field: str, pattern: str) -> models.Q:
    letters = pattern.replace("*", "")
    fits = len(letters) <= FIELD_LENGTHS[field] and _can_be_stored(letters)
    return models.Q(**{f"{field}__fits": pattern}) if fits else NOTHING


def _name(field: str, name: str) -> models.Q:
    """Select by the search form of the alphabetic group; a name with another group has a `=` in it."""
    other_groups = name_groups(name)[1:]
    wanted = models.Q(**{f"{field}__contains": "="}) if any(group.strip("*") for group in other_groups) else EVERYTHING
    pattern = search_pattern(name)
    if not _can_be_stored(pattern) or len(pattern) > 2 * SEARCH_LENGTH:
        return NOTHING
    return wanted if pattern == "*" else wanted & models.Q(**{f"{SEARCHED_BY[field]}__fits": pattern})


def _can_be_stored(text: str) -> bool:
    """Return whether an item can have the text: PostgreSQL stores no NUL, and no database a lone surrogate."""
    return not UNSTORABLE.search(text)


def _period(period: DateTimeRange) -> models.Q:
    first, last = period.start.date(), period.end.date()
    return (
        models.Q(scheduled_date__gte=first, scheduled_date__lte=last)
        & (models.Q(scheduled_date__gt=first) | models.Q(scheduled_time__gte=period.start.time()))
        & (models.Q(scheduled_date__lt=last) | models.Q(scheduled_time__lte=period.end.time()))
    )


class WorklistItem(PersonalDataModel):
    """One Scheduled Procedure Step with its Requested Procedure and its patient.

    Dates and times are the clinic's wall clock, as Manage sent them. Written only through core.audit. What each field
    may hold is declared in worklist/item_fields.py.
    """

    personal_fields = PERSONAL | {search for name, search in SEARCHED_BY.items() if name in PERSONAL}

    accession_number = models.CharField(max_length=FIELD_LENGTHS["accession_number"], unique=True)
    status = models.CharField(
        max_length=FIELD_LENGTHS["status"], choices=STATUS_CHOICES, default=ItemStatus.SCHEDULED.value
    )
    cloud_status = models.CharField(
        max_length=FIELD_LENGTHS["status"],
        choices=STATUS_CHOICES,
        default=ItemStatus.SCHEDULED.value,
        help_text="The last status from Manage.",
    )

    patient_id = models.CharField("NHS number", max_length=FIELD_LENGTHS["patient_id"], db_index=True)
    patient_name = models.CharField(max_length=FIELD_LENGTHS["patient_name"])
    patient_name_search = NameSearchField(of="patient_name", max_length=SEARCH_LENGTH, db_index=True)
    patient_birth_date = models.DateField(db_index=True)
    patient_sex = models.CharField(max_length=FIELD_LENGTHS["patient_sex"], blank=True)
    patient_address = models.CharField(max_length=FIELD_LENGTHS["patient_address"], blank=True)
    patient_weight = models.CharField(max_length=FIELD_LENGTHS["patient_weight"], blank=True)
    patient_comments = models.TextField(max_length=FIELD_LENGTHS["patient_comments"], blank=True)

    scheduled_date = models.DateField()
    scheduled_time = models.TimeField()
    station_ae_title = models.CharField("station AE title", max_length=FIELD_LENGTHS["station_ae_title"], blank=True)
    station_name = models.CharField(max_length=FIELD_LENGTHS["station_name"], blank=True)
    location = models.CharField(max_length=FIELD_LENGTHS["location"], blank=True)
    performing_physician_name = models.CharField(max_length=FIELD_LENGTHS["performing_physician_name"], blank=True)
    performing_physician_name_search = NameSearchField(
        of="performing_physician_name", max_length=SEARCH_LENGTH, blank=True
    )

    modality = models.CharField(max_length=FIELD_LENGTHS["modality"])
    study_description = models.CharField(max_length=FIELD_LENGTHS["study_description"], blank=True)
    procedure_code = models.CharField(max_length=FIELD_LENGTHS["procedure_code"], blank=True)
    procedure_coding_scheme = models.CharField(max_length=FIELD_LENGTHS["procedure_coding_scheme"], blank=True)
    procedure_code_meaning = models.CharField(max_length=FIELD_LENGTHS["procedure_code_meaning"], blank=True)
    protocol_code = models.CharField(max_length=FIELD_LENGTHS["protocol_code"], blank=True)
    protocol_coding_scheme = models.CharField(max_length=FIELD_LENGTHS["protocol_coding_scheme"], blank=True)
    protocol_code_meaning = models.CharField(max_length=FIELD_LENGTHS["protocol_code_meaning"], blank=True)

    study_instance_uid = models.CharField(
        "Study Instance UID", max_length=FIELD_LENGTHS["study_instance_uid"], db_index=True, editable=False
    )
    requested_procedure_id = models.CharField(
        "Requested Procedure ID", max_length=FIELD_LENGTHS["requested_procedure_id"], db_index=True, editable=False
    )
    scheduled_procedure_step_id = models.CharField(
        "Scheduled Procedure Step ID",
        max_length=FIELD_LENGTHS["scheduled_procedure_step_id"],
        db_index=True,
        editable=False,
    )

    correlation_id = models.CharField(max_length=64, db_index=True, help_text="From the action that created the item.")

    arrived_at = models.DateTimeField(null=True, editable=False, help_text="When Manage first reported her arrival.")
    first_image_at = models.DateTimeField(null=True, editable=False, help_text="When its first image came.")
    images_completed_at = models.DateTimeField(
        null=True, editable=False, help_text="When no further image was expected, on a machine without MPPS."
    )
    put_back_at = models.DateTimeField(
        null=True, editable=False, help_text="When a person last put it back on the list."
    )
    is_test = models.BooleanField(
        "test item", default=False, editable=False, help_text="No patient: only test machines are shown it."
    )
    proves_ae_title = models.CharField(
        "made for",
        max_length=16,
        blank=True,
        editable=False,
        help_text="The one real machine that is shown this test item.",
    )

    appointment_id = models.CharField(
        max_length=200,
        blank=True,
        db_index=True,
        editable=False,
        help_text="Manage's id of the appointment, from the action.",
    )
    superseded_by = models.ForeignKey(
        "self", null=True, editable=False, db_index=False, on_delete=models.PROTECT, related_name="superseded_items"
    )
    superseded_at = models.DateTimeField(null=True, editable=False)

    objects = WorklistItemQuerySet.as_manager()

    class Meta:
        ordering = ("scheduled_date", "scheduled_time", "accession_number")
        indexes = (
            models.Index(fields=("scheduled_date", "station_ae_title"), name="item_by_day_and_station"),
            # The admin's filters, in the order of its list.
            models.Index(fields=("status", "scheduled_date"), name="item_by_status"),
            models.Index(fields=("station_ae_title", "scheduled_date"), name="item_by_station"),
            models.Index(fields=("modality", "scheduled_date"), name="item_by_modality"),
            # Open items are few, however many years of closed ones there are.
            models.Index(
                fields=("scheduled_date", "scheduled_time"),
                name="open_item_in_order",
                condition=models.Q(status__in=OPEN),
            ),
            # Few items are superseded. An index of all of them would be chosen to find those that are not.
            models.Index(
                fields=("superseded_by",),
                name="item_by_successor",
                condition=models.Q(superseded_by__isnull=False),
            ),
        )
        constraints = (
            models.CheckConstraint(condition=models.Q(status__in=STATUSES), name="item_status_known"),
            *(
                models.CheckConstraint(condition=LessThanOrEqual(Length(field), length), name=f"item_{field}_fits")
                for field, length in FIELD_LENGTHS.items()
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
            ("view_patient_data", "Can see who the patient is"),
            ("export_worklist", "Can export a day's worklist"),
            ("make_test_item", "Can put a test item on the worklist, and take it off"),
        )

    def __str__(self) -> str:
        return self.accession_number

    def current(self) -> "WorklistItem":
        """Return the current item for this one: the last that superseded it, or else itself."""
        return self.superseded_by.current() if self.superseded_by else self

    def predecessors(self) -> list["WorklistItem"]:
        """Return the items that this one has superseded, itself or through others, the latest first."""
        direct = self.superseded_items.order_by("-superseded_at")
        return [each for item in direct for each in (item, *item.predecessors())]

    def chain(self) -> list["WorklistItem"]:
        """Return this item with all that it superseded or that superseded it, the latest first."""
        current = self.current()
        return [current, *current.predecessors()]
