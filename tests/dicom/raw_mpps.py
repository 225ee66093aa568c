"""Report as a modality by MPPS, byte by byte (raw.py)."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.dicom.raw import (
    IMPLICIT,
    MPPS_CONTEXT,
    N_CREATE,
    N_SET,
    Answer,
    DataSet,
    Element,
    RawAssociation,
    associated,
    encoded,
    message,
    report_request,
)
from tests.dicom.requests import PATIENCE

#: The patient in each report.
NHS_NUMBER = "9990000018"
#: Bytes of a command set or data set in one P-DATA-TF: few, so that every report is sent in several.
FRAGMENT = 200

# PS3.6: the attributes of a report.
CHARACTER_SET, REFERENCED_STUDIES, MODALITY = 0x00080005, 0x00081110, 0x00080060
CODES, ACCESSION_NUMBER, STUDY_ID, STUDY_UID = 0x00081032, 0x00080050, 0x00200010, 0x0020000D
PATIENT_NAME, PATIENT_ID, BIRTH_DATE, SEX, REFERENCED_PATIENTS = (
    0x00100010,
    0x00100020,
    0x00100030,
    0x00100040,
    0x00081120,
)
STATION_AE_TITLE, STATION_NAME, LOCATION = 0x00400241, 0x00400242, 0x00400243
START_DATE, START_TIME, END_DATE, END_TIME = 0x00400244, 0x00400245, 0x00400250, 0x00400251
PPS_STATUS, PPS_ID, PPS_DESCRIPTION, PPS_TYPE = 0x00400252, 0x00400253, 0x00400254, 0x00400255
PROTOCOLS, STEPS, SERIES = 0x00400260, 0x00400270, 0x00400340
REQUESTED_ID, REQUESTED_DESCRIPTION, STEP_ID, STEP_DESCRIPTION = 0x00401001, 0x00321060, 0x00400009, 0x00400007
SCHEDULED_PROTOCOLS = 0x00400008
PHYSICIAN, OPERATORS, SERIES_DESCRIPTION, RETRIEVE_AE_TITLE = 0x00081050, 0x00081070, 0x0008103E, 0x00080054
PROTOCOL_NAME, SERIES_UID, IMAGES, OTHERS = 0x00181030, 0x0020000E, 0x00081140, 0x00400220
IMAGE_CLASS, IMAGE_UID = 0x00081150, 0x00081155


class ReportingModality:
    """A modality that reports on an open association."""

    def __init__(self, association: RawAssociation) -> None:
        self.association = association
        self._messages = 0

    def create(self, uid: str | bytes, data_set: DataSet | bytes) -> Answer:
        """Send an N-CREATE."""
        return self._ask(N_CREATE, uid, data_set)

    def set(self, uid: str | bytes, data_set: DataSet | bytes) -> Answer:
        """Send an N-SET."""
        return self._ask(N_SET, uid, data_set)

    def _ask(self, field: int, uid: str | bytes, data_set: DataSet | bytes) -> Answer:
        self._messages += 1
        raw = data_set if isinstance(data_set, bytes) else encoded(data_set, self.association.transfer_syntax)
        request = report_request(field, uid, self._messages)
        self.association.send(message(MPPS_CONTEXT, request, raw, FRAGMENT))
        return self.association.answer()


@contextmanager
def reporting(port: int, transfer_syntax: str = IMPLICIT) -> Iterator[ReportingModality]:
    """Open an association for reports; release it unless the block raises."""
    with associated(port, transfer_syntax, patience=2 * PATIENCE) as association:
        yield ReportingModality(association)


# Reports: PS3.4 table F.7.2-1 -----------------------------------------------------------------------------------------


def started(*accession_numbers: str, patient_id: str = NHS_NUMBER, study_uid: str = "2.25.77") -> list[Element]:
    """The data set of an N-CREATE: a step in progress for the items with these accession numbers."""
    return [
        Element(MODALITY, "CS", "MG"),
        Element(CODES, "SQ"),
        Element(REFERENCED_PATIENTS, "SQ"),
        Element(PATIENT_NAME, "PN", "SMITH^JANE"),
        Element(PATIENT_ID, "LO", patient_id),
        Element(BIRTH_DATE, "DA", "19700321"),
        Element(SEX, "CS", "F"),
        Element(STUDY_ID, "SH"),
        Element(STATION_AE_TITLE, "AE", "MAMMO1"),
        Element(STATION_NAME, "SH", "ROOM 1"),
        Element(LOCATION, "SH"),
        Element(START_DATE, "DA", "20261123"),
        Element(START_TIME, "TM", "143005"),
        Element(END_DATE, "DA"),
        Element(END_TIME, "TM"),
        Element(PPS_STATUS, "CS", "IN PROGRESS"),
        Element(PPS_ID, "SH", "PPS1"),
        Element(PPS_DESCRIPTION, "LO"),
        Element(PPS_TYPE, "LO"),
        Element(PROTOCOLS, "SQ"),
        Element(SERIES, "SQ"),
        Element(STEPS, "SQ", [_step(number, study_uid) for number in accession_numbers]),
    ]


def _step(accession_number: str, study_uid: str) -> DataSet:
    return [
        Element(STUDY_UID, "UI", study_uid),
        Element(REFERENCED_STUDIES, "SQ"),
        Element(ACCESSION_NUMBER, "SH", accession_number),
        Element(REQUESTED_ID, "SH"),
        Element(REQUESTED_DESCRIPTION, "LO"),
        Element(STEP_ID, "SH"),
        Element(STEP_DESCRIPTION, "LO"),
        Element(SCHEDULED_PROTOCOLS, "SQ"),
    ]


def ended(status: str = "COMPLETED", description: bytes = b"L MLO") -> list[Element]:
    """The data set of the final N-SET: the end, and one series of one image."""
    return [
        Element(PPS_STATUS, "CS", status),
        Element(END_DATE, "DA", "20261123"),
        Element(END_TIME, "TM", "144210"),
        Element(SERIES, "SQ", [_series(description)]),
    ]


def _series(description: bytes) -> DataSet:
    image = [Element(IMAGE_CLASS, "UI", "1.2.840.10008.5.1.4.1.1.1.2"), Element(IMAGE_UID, "UI", "2.25.9001")]
    return [
        Element(PHYSICIAN, "PN"),
        Element(OPERATORS, "PN", "JONES^PAT"),
        Element(SERIES_DESCRIPTION, "LO", description),
        Element(RETRIEVE_AE_TITLE, "AE"),
        Element(PROTOCOL_NAME, "LO", "SCREENING"),
        Element(SERIES_UID, "UI", "2.25.8001"),
        Element(IMAGES, "SQ", [image]),
        Element(OTHERS, "SQ"),
    ]
