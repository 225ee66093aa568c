"""Owns the Modality Worklist Information Model (PS3.4 table K.6-1): what is matched, returned, and from where. Pure.

One table, read by matching.py, datasets.py, the models and docs/conformance.md.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.tag import BaseTag, Tag

from core.contract import ItemStatus

STEP_SEQUENCE = "ScheduledProcedureStepSequence"
#: What does not come from the item: the AE title of the asker, and what the site has chosen.
CALLING_AE_TITLE = "calling_ae_title"
ISSUER_OF_PATIENT_ID = "issuer_of_patient_id"
NOT_OF_THE_ITEM = frozenset({CALLING_AE_TITLE, ISSUER_OF_PATIENT_ID})


@dataclass(frozen=True)
class MatchingOptions:
    """What a hospital may choose about matching and answers; as it stands here, when it has chosen nothing.

    `folds_accents`: MULLER finds MÜLLER. `procedure_id_finds_accession`: an accession number that a barcode reader
    has put into RequestedProcedureID is found. `issuer_of_patient_id`: such as NHS; empty for none.
    """

    folds_accents: bool = False
    procedure_id_finds_accession: bool = False
    issuer_of_patient_id: str = ""


class Matching(Enum):
    """How a key is held against a stored value (PS3.4 section C.2.2.2)."""

    NONE = "not matched"
    NEVER = "no key"
    TEXT = "single value, wild card"
    NHS_NUMBER = "single value, wild card; spaces inside an NHS number do not count"
    NAME = "single value, wild card; not case-sensitive"
    DATE = "single value, range"
    TIME = "single value, range; with a date range one period"
    UID = "single value, list"
    STATUS = "single value, wild card; IN PROGRESS is found as STARTED, too"
    SEQUENCE = "sequence, of a single item"


class WhenUnknown(Enum):
    """What becomes of an attribute that is asked for and of which the item has no value."""

    ZERO_LENGTH = "zero-length"
    LEFT_OUT = "left out"
    WARNED = "left out, and FF01"
    NOT_SHOWN = "the item is not shown"
    WHOLE_OR_NONE = "no item of the sequence"  # in a code: the item is there with all of these, or it is not there


@dataclass(frozen=True)
class Attribute:
    """One row of the table. `field` is the worklist item's; empty for what the gateway never knows.

    `stand_ins` are sources of which the first that is not empty is shown where `field` is. `also` are fields in which
    a site may let the key be looked for, too. A sequence has its own rows as `children`.
    """

    keyword: str
    return_type: str
    field: str = ""
    matching: Matching = Matching.NONE
    required: bool = False  # a required matching key of table K.6-1
    empty_matches: bool = False  # an item without a value is found by any
    stand_ins: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    constant: str | int | None = None  # the same for every item
    when_unknown: WhenUnknown = WhenUnknown.ZERO_LENGTH
    children: tuple["Attribute", ...] = ()

    @cached_property
    def tag(self) -> BaseTag:
        """The attribute's tag."""
        return Tag(tag_for_keyword(self.keyword) or 0)

    @cached_property
    def vr(self) -> str:
        """The attribute's value representation."""
        return dictionary_VR(self.tag)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Where the value comes from: the first of these that is not empty."""
        return tuple(name for name in (self.field, *self.stand_ins) if name)


def _code(prefix: str) -> tuple[Attribute, ...]:
    """The code macro (PS3.3 table 8.8-1, 8-2a): a whole coded concept, or none."""
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
        stand_ins=(CALLING_AE_TITLE,),
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
        stand_ins=("protocol_code_meaning", "modality"),
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
    Attribute("SpecificCharacterSet", "1C", matching=Matching.NEVER, when_unknown=WhenUnknown.LEFT_OUT),
    Attribute("TimezoneOffsetFromUTC", "1C", matching=Matching.NEVER, when_unknown=WhenUnknown.LEFT_OUT),
    Attribute("PatientName", "1", "patient_name", Matching.NAME, required=True, when_unknown=NOT_SHOWN),
    Attribute("PatientID", "1", "patient_id", Matching.NHS_NUMBER, required=True, when_unknown=NOT_SHOWN),
    Attribute("IssuerOfPatientID", "3", stand_ins=(ISSUER_OF_PATIENT_ID,), when_unknown=WARNED),
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
        also=("accession_number",),
        when_unknown=NOT_SHOWN,
    ),
    Attribute(
        "RequestedProcedureDescription",
        "1C",
        "study_description",
        stand_ins=("procedure_code_meaning", "modality"),
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
    Attribute("PregnancyStatus", "2", constant=4),  # PS3.3 section C.2.3: unknown
    Attribute("MedicalAlerts", "2"),
    Attribute("Allergies", "2"),
    Attribute("SpecialNeeds", "2"),
    Attribute("PertinentDocumentsSequence", "3", when_unknown=WARNED),
    Attribute("ScheduledSpecimenSequence", "3", when_unknown=WARNED),
    Attribute("BarcodeValue", "3", when_unknown=WARNED),
    Attribute(STEP_SEQUENCE, "1", matching=Matching.SEQUENCE, required=True, children=STEP),
)


def rows(table: Iterable[Attribute] = ROOT, depth: int = 0) -> Iterator[tuple[int, Attribute]]:
    """The whole table, from top to bottom: how deep in sequences a row stands, and the row."""
    for row in table:
        yield depth, row
        yield from rows(row.children, depth + 1)


#: In a request these say how to read it, not what to look for.
NO_KEYS = frozenset({"QueryRetrieveLevel", *(row.keyword for row in ROOT if row.matching is Matching.NEVER)})
#: Attributes of the scheduled step: misplaced at the root they are noise.
MISPLACED = frozenset(row.keyword for row in STEP)

#: Status in the database → the words by which it is found; the first goes out. PS3.3 section C.4.10 has no IN PROGRESS
#: for a scheduled step.
STATUS_WORDS: dict[str, tuple[str, ...]] = {
    **{status.value: (status.value,) for status in ItemStatus},
    ItemStatus.IN_PROGRESS.value: ("STARTED", "IN PROGRESS"),
}
#: Done: not shown unless they are asked for by a status.
FINAL_STATES = frozenset({ItemStatus.COMPLETED.value, ItemStatus.DISCONTINUED.value})
