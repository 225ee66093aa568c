"""The worklist queries that real devices send, one for each button of a console.

They come from the devices' conformance statements, logs and manuals. Values in braces are replaced by `QueryValues`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

Keys = Mapping[str, Any]

#: A sequence without an item, as some devices ask for one.
NO_ITEMS: tuple[Keys, ...] = ()


def empty(*keywords: str) -> dict[str, Any]:
    """Return zero-length return keys."""
    return dict.fromkeys(keywords, "")


@dataclass(frozen=True)
class QueryValues:
    """The values that a device fills into its queries."""

    ae_title: str = "MAMMO1"
    day: date = field(default_factory=date.today)
    modality: str = "MG"
    accession_number: str = ""
    name: str = ""

    @property
    def by_name(self) -> dict[str, str]:
        """The values by the name in braces."""
        days = {"today": 0, "tomorrow": 1, "ten_days_ago": -10, "in_ten_days": 10}
        return {
            **{name: f"{self.day + timedelta(days=days_on):%Y%m%d}" for name, days_on in days.items()},
            "ae": self.ae_title,
            "modality": self.modality,
            "accession": self.accession_number,
            "name": self.name,
        }


@dataclass(frozen=True)
class DeviceQuery:
    """One button of one device. If `step` is None, the query has no step sequence; a tuple of keys is a sequence."""

    name: str
    button: str
    root: Keys
    step: Keys | None = None
    implicit_only: bool = False

    def identifier(self, values: QueryValues) -> Dataset:
        """Return the identifier of the C-FIND."""
        identifier = _dataset(self.root, values.by_name)
        if self.step is not None:
            identifier.ScheduledProcedureStepSequence = Sequence([_dataset(self.step, values.by_name)])
        return identifier


def _dataset(keys: Keys, values: Mapping[str, str]) -> Dataset:
    made = Dataset()
    with config.disable_value_validation():
        for keyword, value in keys.items():
            if isinstance(value, tuple):
                setattr(made, keyword, Sequence([_dataset(item, values) for item in value]))
            else:
                setattr(made, keyword, value.format(**values))
    return made


CODE = empty("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
PATIENT = empty("PatientName", "PatientID", "PatientBirthDate", "PatientSex")

GE_ROOT = {
    **PATIENT,
    "PatientName": "{name}",
    **empty("RequestedProcedureID", "RequestedProcedureDescription", "StudyInstanceUID", "AccessionNumber"),
    "RequestedProcedureCodeSequence": (CODE,),
}
GE_STEP = empty("ScheduledProcedureStepStartTime", "ScheduledProcedureStepID", "ScheduledProcedureStepDescription")

AGFA_RETURN = {**PATIENT, **empty("AccessionNumber", "StudyInstanceUID", "RequestedProcedureDescription")}

MODEL_ROOT = {
    **PATIENT,
    **empty("RequestedProcedureID", "RequestedProcedureDescription", "StudyInstanceUID", "RequestedProcedurePriority"),
    **empty("PatientTransportArrangements", "AccessionNumber", "RequestingPhysician", "ReferringPhysicianName"),
    **empty("AdmissionID", "CurrentPatientLocation", "AdmittingDiagnosesDescription", "PatientWeight"),
    **empty("ConfidentialityConstraintOnPatientDataDescription", "PatientState", "MedicalAlerts"),
    **empty("Allergies", "SpecialNeeds"),
    "ReferencedStudySequence": NO_ITEMS,
    "RequestedProcedureCodeSequence": NO_ITEMS,
}
MODEL_STEP = {
    **empty("ScheduledStationAETitle", "ScheduledProcedureStepStartTime", "ScheduledPerformingPhysicianName"),
    **empty("ScheduledProcedureStepDescription", "ScheduledStationName", "ScheduledProcedureStepLocation"),
    **empty("PreMedication", "ScheduledProcedureStepID", "RequestedContrastAgent"),
    "ScheduledProcedureStepStartDate": "{today}",
    "Modality": "{modality}",
    "ScheduledProtocolCodeSequence": NO_ITEMS,
}

SAMSUNG_STEP = {
    **empty("ScheduledStationAETitle", "ScheduledProcedureStepStartTime", "ScheduledProcedureStepEndDate"),
    **empty("ScheduledProcedureStepEndTime", "ScheduledPerformingPhysicianName", "ScheduledProcedureStepDescription"),
    **empty("ScheduledProcedureStepID", "ScheduledStationName", "ScheduledProcedureStepLocation", "PreMedication"),
    **empty("ScheduledProcedureStepStatus", "CommentsOnTheScheduledProcedureStep"),
    "Modality": "{modality}",
    "ScheduledProcedureStepStartDate": "{today}",
    "ScheduledProtocolCodeSequence": ({**CODE, "CodingSchemeVersion": ""},),
}

DCM4CHE_ROOT = {
    **PATIENT,
    **empty("AccessionNumber", "ReferringPhysicianName", "PatientSpeciesDescription", "ResponsiblePerson"),
    **empty(
        "PatientWeight", "MedicalAlerts", "Allergies", "PregnancyStatus", "StudyInstanceUID", "RequestingPhysician"
    ),
    **empty("RequestingService", "RequestedProcedureDescription", "AdmissionID", "SpecialNeeds", "PatientState"),
    **empty("CurrentPatientLocation", "RequestedProcedureID", "RequestedProcedurePriority"),
    **empty("PatientTransportArrangements", "ConfidentialityConstraintOnPatientDataDescription"),
    "IssuerOfAccessionNumberSequence": NO_ITEMS,
    "OtherPatientIDsSequence": NO_ITEMS,
    "RequestedProcedureCodeSequence": NO_ITEMS,
    "IssuerOfAdmissionIDSequence": NO_ITEMS,
    "OrderPlacerIdentifierSequence": NO_ITEMS,
    "OrderFillerIdentifierSequence": NO_ITEMS,
    "ReasonForRequestedProcedureCodeSequence": NO_ITEMS,
}
DCM4CHE_STEP = {
    **empty(
        "Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"
    ),
    **empty("ScheduledPerformingPhysicianName", "ScheduledProcedureStepDescription", "ScheduledProcedureStepID"),
    **empty("ScheduledStationName", "ScheduledProcedureStepLocation", "ScheduledProcedureStepStatus"),
}

DEVICE_QUERIES = (
    DeviceQuery(
        "ge-this-scanner",
        "GE, button This Scanner",
        GE_ROOT,
        {
            **GE_STEP,
            "Modality": "{modality}",
            "ScheduledStationAETitle": "{ae}",
            "ScheduledProcedureStepStartDate": "{today}-{tomorrow}",
        },
    ),
    DeviceQuery(
        "ge-this-modality",
        "GE, button This Modality",
        GE_ROOT,
        {
            **GE_STEP,
            "Modality": "{modality}",
            "ScheduledStationAETitle": "",
            "ScheduledProcedureStepStartDate": "{today}-{tomorrow}",
        },
    ),
    DeviceQuery(
        "ge-all",
        "GE, button All",
        GE_ROOT,
        {
            **GE_STEP,
            "Modality": "",
            "ScheduledStationAETitle": "",
            "ScheduledProcedureStepStartDate": "{today}-{tomorrow}",
        },
    ),
    DeviceQuery(
        "samsung-today",
        "Samsung/Medison, today's list",
        {
            **PATIENT,
            **empty("AccessionNumber", "ReferringPhysicianName", "StudyInstanceUID", "RequestedProcedureDescription"),
            **empty("RequestedProcedureID", "NamesOfIntendedRecipientsOfResults", "RequestedProcedureComments"),
            "RequestedProcedureCodeSequence": NO_ITEMS,
        },
        SAMSUNG_STEP,
        implicit_only=True,
    ),
    DeviceQuery(
        "agfa-broad",
        "Agfa, worklist of this room",
        AGFA_RETURN,
        {
            "ScheduledStationAETitle": "{ae}",
            "ScheduledProcedureStepStartDate": "{today}-{tomorrow}",
            "ScheduledProcedureStepStartTime": "",
            "Modality": "{modality}",
        },
        implicit_only=True,
    ),
    DeviceQuery(
        "agfa-accession",
        "Agfa, by accession number",
        {**AGFA_RETURN, "AccessionNumber": "{accession}"},
        empty("ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime", "Modality"),
        implicit_only=True,
    ),
    DeviceQuery("model-today", "Model modality of PS3.2, modality and today", MODEL_ROOT, MODEL_STEP),
    DeviceQuery(
        "model-own-today",
        "Model modality of PS3.2, own AE title, modality and today",
        MODEL_ROOT,
        {**MODEL_STEP, "ScheduledStationAETitle": "{ae}"},
    ),
    DeviceQuery(
        "radlink-search",
        "Radlink CR Pro, search",
        {
            **PATIENT,
            "PatientName": "{name}",
            "AccessionNumber": "{accession}",
            **empty("StudyInstanceUID", "RequestedProcedureDescription", "AdditionalPatientHistory"),
            **empty("ReasonForTheRequestedProcedure"),
        },
        {
            "Modality": "{modality}",
            "ScheduledProcedureStepStartDate": "{today}",
            "ScheduledProcedureStepStartTime": "",
        },
    ),
    DeviceQuery(
        "dcmtk-afternoon",
        "DCMTK, wlistqry5",
        {"PatientName": ""},
        {
            **empty("Modality", "ScheduledProcedureStepStartDate", "ScheduledPerformingPhysicianName"),
            "ScheduledProcedureStepStartTime": "120000-",
            "ScheduledProcedureStepID": "",
        },
    ),
    DeviceQuery(
        "dcmtk-comments",
        "DCMTK, wlistqry12 with this AE title",
        {"PatientName": ""},
        {
            **empty("Modality", "ScheduledStationName"),
            "ScheduledStationAETitle": "{ae}",
            "CommentsOnTheScheduledProcedureStep": "*",
        },
    ),
    DeviceQuery("dcm4che-all", "dcm4che findscu, everything empty", DCM4CHE_ROOT, DCM4CHE_STEP),
    DeviceQuery(
        "no-return-keys",
        "Software that sends no return keys",
        {"PatientName": "{name}"},
        {
            "Modality": "{modality}",
            "ScheduledProcedureStepStartDate": "{today}",
            "ScheduledProcedureStepStartTime": "000000-",
        },
    ),
    DeviceQuery(
        "prefetch",
        "Console that fetches by night, ten days around",
        {**PATIENT, "SpecificCharacterSet": "ISO_IR 192", **empty("AccessionNumber", "StudyInstanceUID")},
        {
            "ScheduledStationAETitle": "{ae}",
            "Modality": "{modality}",
            "ScheduledProcedureStepStartDate": "{ten_days_ago}-{in_ten_days}",
            "ScheduledProcedureStepStartTime": "",
        },
    ),
)
BROAD = DeviceQuery(
    "broad",
    "IHE RAD-5, by AE title, date and modality",
    {
        **PATIENT,
        "SpecificCharacterSet": "ISO_IR 192",
        **empty("AccessionNumber", "StudyInstanceUID", "RequestedProcedureID", "RequestedProcedureDescription"),
    },
    {
        "ScheduledStationAETitle": "{ae}",
        "ScheduledProcedureStepStartDate": "{today}",
        "Modality": "{modality}",
        **empty("ScheduledProcedureStepStartTime", "ScheduledPerformingPhysicianName", "ScheduledStationName"),
        **empty("ScheduledProcedureStepDescription", "ScheduledProcedureStepID", "ScheduledProcedureStepLocation"),
    },
)
FOR_ONE_STEP = DeviceQuery(
    "for-one-step",
    "Unit that performs a step and reports it by MPPS",
    {
        **BROAD.root,
        "AccessionNumber": "{accession}",
        "RequestedProcedureCodeSequence": NO_ITEMS,
        "ReferencedStudySequence": NO_ITEMS,
        "ReferencedPatientSequence": NO_ITEMS,
    },
    {**(BROAD.step or {}), "ScheduledProtocolCodeSequence": NO_ITEMS},
)
PRESETS = {query.name: query for query in DEVICE_QUERIES}
