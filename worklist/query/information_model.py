"""The Modality Worklist Information Model (PS3.4 table K.6-1): the matching keys and return keys, in one table. Pure.

`ROOT` and `STEP` below are the table, one row an attribute. Everything that must agree with it is derived from it: what
a query can match (matching.py), what a response holds (response.py), what the delivery log keeps of a query
(kept_keys.py), the SQL (worklist/models/items.py) and the tables of the conformance statement.

To add a matching key:

1. Give its row here a `matching` type, and a `field` if it has none. A new kind of matching also needs an entry in
   `matching.CONDITIONS`, and SQL in `models.items` if the database can narrow the rows by it.
2. If the field is new, follow the steps at the top of worklist/item_fields.py.
3. `kept_keys.SHAPES` decides whether the delivery log may keep values of the key in clear. Without a shape they are
   hashed.
4. Run `make conformance`. An attribute that is not in the standard's table is also added to the copy of that table in
   tests/worklist/query/test_information_model.py.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

from core.contract import ItemStatus

if TYPE_CHECKING:
    from pydicom.tag import BaseTag

STEP_SEQUENCE = "ScheduledProcedureStepSequence"
# Sources of values that are not fields of the item: the requestor's AE title, and a setting.
CALLING_AE_TITLE = "calling_ae_title"
ISSUER_OF_PATIENT_ID = "issuer_of_patient_id"
NOT_ITEM_FIELDS = frozenset({CALLING_AE_TITLE, ISSUER_OF_PATIENT_ID})


@dataclass(frozen=True)
class MatchingOptions:
    """What a hospital may configure about matching and responses, with the defaults.

    `folds_accents`: MULLER finds MÜLLER. `procedure_id_finds_accession`: RequestedProcedureID also matches the
    accession number, which some barcode readers put there. `issuer_of_patient_id`: such as NHS; empty for none.
    """

    folds_accents: bool = False
    procedure_id_finds_accession: bool = False
    issuer_of_patient_id: str = ""


DEFAULT_OPTIONS = MatchingOptions()


class Matching(Enum):
    """How a key is matched (PS3.4 C.2.2.2). The conformance statement quotes the values of those that are matched."""

    NONE = "not matched"
    NOT_A_KEY = "not a key"
    TEXT = "single value, wild card"
    NHS_NUMBER = "single value, wild card; spaces inside an NHS number do not count"
    NAME = "single value, wild card; not case-sensitive"
    DATE = "single value, range"
    TIME = "single value, range; with a date range one period"
    UID = "single value, list"
    STATUS = "single value, wild card; STARTED also finds IN PROGRESS, SCHEDULED also finds ARRIVED and READY"
    SEQUENCE = "sequence, of a single item"


class WhenUnknown(Enum):
    """What a response does about a requested attribute without a value. The conformance statement quotes these."""

    ZERO_LENGTH = "zero-length"
    LEFT_OUT = "left out"
    WARNED = "left out, and FF01"
    NOT_SHOWN = "the item is not shown"
    WHOLE_OR_NONE = "no item of the sequence"  # for a code: an incomplete one is left out altogether


@dataclass(frozen=True)
class Attribute:
    """One row of the table.

    keyword: the attribute's keyword in PS3.6.
    return_type: the return key type of table K.6-1.
    field: the field of WorklistItem; empty if the gateway never knows the value.
    required: whether it is a required matching key of table K.6-1.
    empty_matches: whether an item without a value matches any key.
    substitutes: sources to return, in this order, while `field` is empty.
    alternative_fields: fields that the key matches too if `procedure_id_finds_accession` is set.
    constant: the value that every item has.
    children: the rows of a sequence's items.
    """

    keyword: str
    return_type: str
    field: str = ""
    matching: Matching = Matching.NONE
    required: bool = False
    empty_matches: bool = False
    substitutes: tuple[str, ...] = ()
    alternative_fields: tuple[str, ...] = ()
    constant: str | int | None = None
    when_unknown: WhenUnknown = WhenUnknown.ZERO_LENGTH
    children: tuple["Attribute", ...] = ()

    @cached_property
    def tag(self) -> "BaseTag":
        from pydicom.datadict import tag_for_keyword  # noqa: PLC0415 - large, and the relay's listener needs no tag
        from pydicom.tag import Tag  # noqa: PLC0415

        return Tag(tag_for_keyword(self.keyword) or 0)

    @cached_property
    def vr(self) -> str:
        from pydicom.datadict import dictionary_VR  # noqa: PLC0415

        return dictionary_VR(self.tag)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Where the value may come from; the first that is not empty is returned."""
        return tuple(name for name in (self.field, *self.substitutes) if name)


def _code(prefix: str) -> tuple[Attribute, ...]:
    """Return the rows of the code sequence macro (PS3.3 table 8.8-1): a complete coded concept, or none."""
    whole = WhenUnknown.WHOLE_OR_NONE
    return (
        Attribute("CodeValue", "1C", f"{prefix}_code", when_unknown=whole),
        Attribute("CodingSchemeDesignator", "1C", f"{prefix}_coding_scheme", when_unknown=whole),
        Attribute("CodingSchemeVersion", "3", when_unknown=WhenUnknown.LEFT_OUT),
        Attribute("CodeMeaning", "1", f"{prefix}_code_meaning", when_unknown=whole),
    )


NOT_SHOWN, WARNED = WhenUnknown.NOT_SHOWN, WhenUnknown.WARNED

STEP = (
    Attribute(
        "ScheduledStationAETitle",
        "1",
        "station_ae_title",
        Matching.TEXT,
        required=True,
        empty_matches=True,
        substitutes=(CALLING_AE_TITLE,),
        when_unknown=NOT_SHOWN,
    ),
    Attribute(
        "ScheduledProcedureStepStartDate", "1", "scheduled_date", Matching.DATE, required=True, when_unknown=NOT_SHOWN
    ),
    Attribute(
        "ScheduledProcedureStepStartTime", "1", "scheduled_time", Matching.TIME, required=True, when_unknown=NOT_SHOWN
    ),
    Attribute("Modality", "1", "modality", Matching.TEXT, required=True, when_unknown=NOT_SHOWN),
    Attribute("ScheduledPerformingPhysicianName", "2", "performing_physician_name", Matching.NAME, required=True),
    Attribute(
        "ScheduledProcedureStepDescription",
        "1C",
        "study_description",
        Matching.TEXT,
        substitutes=("protocol_code_meaning", "modality"),
        when_unknown=NOT_SHOWN,
    ),
    Attribute("ScheduledProtocolCodeSequence", "1C", children=_code("protocol")),
    Attribute("ScheduledProcedureStepID", "1", "scheduled_procedure_step_id", Matching.TEXT, when_unknown=NOT_SHOWN),
    Attribute("ScheduledStationName", "2", "station_name"),
    Attribute("ScheduledProcedureStepLocation", "2", "location"),
    Attribute("PreMedication", "2C"),
    Attribute("RequestedContrastAgent", "2C"),
    Attribute("ScheduledProcedureStepStatus", "3", "status", Matching.STATUS),
    Attribute("ReferencedDefinedProtocolSequence", "3", when_unknown=WARNED),
    Attribute("ReferencedPerformedProtocolSequence", "3", when_unknown=WARNED),
    Attribute("ScheduledProcedureStepEndDate", "3", when_unknown=WARNED),
    Attribute("ScheduledProcedureStepEndTime", "3", when_unknown=WARNED),
    Attribute("CommentsOnTheScheduledProcedureStep", "3", "patient_comments", when_unknown=WARNED),
)

ROOT = (
    Attribute("SpecificCharacterSet", "1C", matching=Matching.NOT_A_KEY, when_unknown=WhenUnknown.LEFT_OUT),
    Attribute("TimezoneOffsetFromUTC", "1C", matching=Matching.NOT_A_KEY, when_unknown=WhenUnknown.LEFT_OUT),
    Attribute("PatientName", "1", "patient_name", Matching.NAME, required=True, when_unknown=NOT_SHOWN),
    Attribute("PatientID", "1", "patient_id", Matching.NHS_NUMBER, required=True, when_unknown=NOT_SHOWN),
    Attribute("IssuerOfPatientID", "3", substitutes=(ISSUER_OF_PATIENT_ID,), when_unknown=WARNED),
    Attribute("IssuerOfPatientIDQualifiersSequence", "3", when_unknown=WARNED),
    Attribute("OtherPatientIDsSequence", "3", when_unknown=WARNED),
    Attribute("PatientBirthDate", "2", "patient_birth_date", Matching.DATE),
    Attribute("PatientSex", "2", "patient_sex", Matching.TEXT),
    Attribute("PatientWeight", "2", "patient_weight"),
    Attribute("PatientSize", "3"),
    Attribute("PatientAddress", "3", "patient_address"),
    Attribute("PatientComments", "3", "patient_comments"),
    Attribute("AccessionNumber", "2", "accession_number", Matching.TEXT),
    Attribute("IssuerOfAccessionNumberSequence", "3", when_unknown=WARNED),
    Attribute(
        "RequestedProcedureID",
        "1",
        "requested_procedure_id",
        Matching.TEXT,
        alternative_fields=("accession_number",),
        when_unknown=NOT_SHOWN,
    ),
    Attribute(
        "RequestedProcedureDescription",
        "1C",
        "study_description",
        substitutes=("procedure_code_meaning", "modality"),
        when_unknown=NOT_SHOWN,
    ),
    Attribute("RequestedProcedureCodeSequence", "1C", children=_code("procedure")),
    Attribute("StudyInstanceUID", "1", "study_instance_uid", Matching.UID, when_unknown=NOT_SHOWN),
    Attribute("StudyDate", "3", when_unknown=WARNED),
    Attribute("StudyTime", "3", when_unknown=WARNED),
    Attribute("ReferencedStudySequence", "2"),
    Attribute("RequestedProcedurePriority", "2", constant="ROUTINE"),
    Attribute("PatientTransportArrangements", "2"),
    Attribute("RequestingPhysician", "2"),
    Attribute("ReferringPhysicianName", "2"),
    Attribute("AdmissionID", "2"),
    Attribute("IssuerOfAdmissionIDSequence", "3"),
    Attribute("CurrentPatientLocation", "2"),
    Attribute("ReferencedPatientSequence", "2"),
    Attribute("ConfidentialityConstraintOnPatientDataDescription", "2"),
    Attribute("PatientState", "2"),
    Attribute("PregnancyStatus", "2", constant=4),  # PS3.3 section C.2.4: unknown
    Attribute("MedicalAlerts", "2"),
    Attribute("Allergies", "2"),
    Attribute("SpecialNeeds", "2"),
    Attribute("PertinentDocumentsSequence", "3", when_unknown=WARNED),
    Attribute("ScheduledSpecimenSequence", "3", when_unknown=WARNED),
    Attribute("BarcodeValue", "3", when_unknown=WARNED),
    Attribute(STEP_SEQUENCE, "1", matching=Matching.SEQUENCE, required=True, children=STEP),
)


def rows(table: Iterable[Attribute] = ROOT, depth: int = 0) -> Iterator[tuple[int, Attribute]]:
    """Yield every row of the table from top to bottom, with its depth in sequences."""
    for row in table:
        yield depth, row
        yield from rows(row.children, depth + 1)


#: Attributes of a request that say how to read it, and are neither matching keys nor return keys.
NOT_KEYS = frozenset({"QueryRetrieveLevel", *(row.keyword for row in ROOT if row.matching is Matching.NOT_A_KEY)})
#: Attributes of the scheduled step. Some modalities also send them at the root, where they are ignored.
STEP_KEYWORDS = frozenset(row.keyword for row in STEP)

#: Status in the database → the values that match it. A response holds the first of these that the key matches and that
#: is a term of PS3.3 table C.4-10 (so STARTED, never IN PROGRESS); without such a match, the first. SCHEDULED also
#: finds ARRIVED and READY: consoles ask for SCHEDULED, and a woman must not vanish from the list when she arrives.
STATUS_WORDS: dict[str, tuple[str, ...]] = {
    **{status.value: (status.value,) for status in ItemStatus},
    ItemStatus.ARRIVED.value: ("ARRIVED", "SCHEDULED"),
    ItemStatus.READY.value: ("READY", "SCHEDULED"),
    ItemStatus.IN_PROGRESS.value: ("STARTED", "IN PROGRESS"),
}
#: Accepted in a key, but no term for a scheduled step.
KEY_VALUES_ONLY = frozenset({"IN PROGRESS"})
