"""Owns the Modality Worklist Information Model (PS3.4 table K.6-1): what is matched, returned, and from where. Pure.

One table, read by matching.py, datasets.py, the models and docs/conformance.md.
"""

from dataclasses import dataclass
from enum import Enum

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.tag import BaseTag, Tag

STEP_SEQUENCE = "ScheduledProcedureStepSequence"


class Matching(Enum):
    """How a key is held against a stored value (PS3.4 section C.2.2.2)."""

    NONE = "not matched"
    TEXT = "single value, wild card"
    NHS_NUMBER = "single value, wild card; spaces inside an NHS number do not count"
    NAME = "single value, wild card; not case-sensitive"
    DATE = "single value, range"
    TIME = "single value, range; with a date range one period"
    UID = "single value, list"
    STATUS = "single value, wild card; IN PROGRESS is found as STARTED, too"


@dataclass(frozen=True)
class Attribute:
    """One row of the table. `field` is the worklist item's; empty for what is always returned empty.

    `stand_ins` are fields of which the first that is not empty is shown where `field` is.
    """

    keyword: str
    return_type: str
    field: str = ""
    matching: Matching = Matching.NONE
    required: bool = False  # a required matching key of table K.6-1
    empty_matches: bool = False  # an item without a value is found by any
    stand_ins: tuple[str, ...] = ()

    @property
    def tag(self) -> BaseTag:
        """The attribute's tag."""
        return Tag(tag_for_keyword(self.keyword) or 0)

    @property
    def vr(self) -> str:
        """The attribute's value representation."""
        return dictionary_VR(self.tag)


@dataclass(frozen=True)
class CodeSequence:
    """A sequence of at most one coded concept (PS3.3 table 8.8-1): whole, or zero-length."""

    keyword: str
    code_field: str
    scheme_field: str
    meaning_field: str


STEP = (
    Attribute("ScheduledStationAETitle", "1", "station_ae_title", Matching.TEXT, required=True, empty_matches=True),
    Attribute("ScheduledProcedureStepStartDate", "1", "scheduled_date", Matching.DATE, required=True),
    Attribute("ScheduledProcedureStepStartTime", "1", "scheduled_time", Matching.TIME, required=True),
    Attribute("Modality", "1", "modality", Matching.TEXT, required=True),
    Attribute("ScheduledPerformingPhysicianName", "2", "performing_physician_name", Matching.NAME, required=True),
    Attribute(
        "ScheduledProcedureStepDescription",
        "1C",
        "study_description",
        Matching.TEXT,
        stand_ins=("protocol_code_meaning", "modality"),
    ),
    Attribute("ScheduledProcedureStepID", "1", "scheduled_procedure_step_id", Matching.TEXT),
    Attribute("ScheduledStationName", "2", "station_name"),
    Attribute("ScheduledProcedureStepLocation", "2", "location"),
    Attribute("PreMedication", "2C"),
    Attribute("RequestedContrastAgent", "2C"),
    Attribute("ScheduledProcedureStepStatus", "3", "status", Matching.STATUS),
)

ROOT = (
    Attribute("PatientName", "1", "patient_name", Matching.NAME, required=True),
    Attribute("PatientID", "1", "patient_id", Matching.NHS_NUMBER, required=True),
    Attribute("PatientBirthDate", "2", "patient_birth_date", Matching.DATE),
    Attribute("PatientSex", "2", "patient_sex", Matching.TEXT),
    Attribute("PatientWeight", "2", "patient_weight"),
    Attribute("PatientSize", "3"),
    Attribute("PatientAddress", "3", "patient_address"),
    Attribute("PatientComments", "3", "patient_comments"),
    Attribute("AccessionNumber", "2", "accession_number", Matching.TEXT),
    Attribute("RequestedProcedureID", "1", "requested_procedure_id", Matching.TEXT),
    Attribute(
        "RequestedProcedureDescription", "1C", "study_description", stand_ins=("procedure_code_meaning", "modality")
    ),
    Attribute("StudyInstanceUID", "1", "study_instance_uid", Matching.UID),
    Attribute("ReferencedStudySequence", "2"),
    Attribute("RequestedProcedurePriority", "2"),
    Attribute("PatientTransportArrangements", "2"),
    Attribute("RequestingPhysician", "2"),
    Attribute("ReferringPhysicianName", "2"),
    Attribute("AdmissionID", "2"),
    Attribute("IssuerOfAdmissionIDSequence", "3"),
    Attribute("CurrentPatientLocation", "2"),
    Attribute("ReferencedPatientSequence", "2"),
    Attribute("ConfidentialityConstraintOnPatientDataDescription", "2"),
    Attribute("PatientState", "2"),
    Attribute("PregnancyStatus", "2"),
    Attribute("MedicalAlerts", "2"),
    Attribute("Allergies", "2"),
    Attribute("SpecialNeeds", "2"),
)

REQUESTED_PROCEDURE_CODE = CodeSequence(
    "RequestedProcedureCodeSequence", "procedure_code", "procedure_coding_scheme", "procedure_code_meaning"
)
SCHEDULED_PROTOCOL_CODE = CodeSequence(
    "ScheduledProtocolCodeSequence", "protocol_code", "protocol_coding_scheme", "protocol_code_meaning"
)

#: In a request these say how to read it, not what to look for.
NO_KEYS = frozenset({"SpecificCharacterSet", "TimezoneOffsetFromUTC", "QueryRetrieveLevel"})
#: More attributes of the scheduled step: misplaced at the root they are noise, like those of the table.
OTHER_STEP_KEYWORDS = frozenset(
    {"ScheduledProcedureStepEndDate", "ScheduledProcedureStepEndTime", "CommentsOnTheScheduledProcedureStep"}
)
#: Status in the database → the words by which it is found; the first goes out. PS3.3 section C.4.10 has no IN PROGRESS
#: for a scheduled step.
STATUS_WORDS = {
    "SCHEDULED": ("SCHEDULED",),
    "IN PROGRESS": ("STARTED", "IN PROGRESS"),
    "COMPLETED": ("COMPLETED",),
    "DISCONTINUED": ("DISCONTINUED",),
}
