"""A mammography unit as the gateway sees it: C-ECHO, and the worklist query that it sends (PS3.4 Annex K, SCU)."""

from dataclasses import dataclass
from datetime import date

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
    Verification,
)

RETURN_KEYS = (
    "AccessionNumber",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
)
STEP_RETURN_KEYS = (
    "ScheduledProcedureStepStartTime",
    "ScheduledPerformingPhysicianName",
    "ScheduledProcedureStepDescription",
    "ScheduledProcedureStepID",
    "ScheduledStationName",
    "ScheduledProcedureStepLocation",
)


class NoAnswer(Exception):
    """The worklist server did not do what was asked; the text says what it did."""


@dataclass(frozen=True)
class Modality:
    """A modality and the worklist server it asks."""

    host: str
    port: int
    called_ae_title: str
    ae_title: str = "MAMMO1"

    def echo(self) -> None:
        """C-ECHO; NoAnswer unless it succeeds."""
        association = self._associate()
        try:
            status = association.send_c_echo()
        finally:
            association.release()
        if status.get("Status") != 0x0000:
            raise NoAnswer("C-ECHO failed")

    def query(self, identifier: Dataset) -> list[Dataset]:
        """The identifiers of all pending responses; NoAnswer unless the last one is a success."""
        association = self._associate()
        found = []
        try:
            for status, response in association.send_c_find(identifier, ModalityWorklistInformationFind):
                if "Status" not in status:
                    raise NoAnswer("the association broke before the C-FIND was answered")
                if status.Status in (0xFF00, 0xFF01) and response is not None:
                    found.append(response)
                elif status.Status != 0x0000:
                    raise NoAnswer(f"C-FIND ended with {status.Status:04X} {status.get('ErrorComment', '')}")
        finally:
            association.release()
        return found

    def _associate(self) -> Association:
        entity = AE(ae_title=self.ae_title)
        for sop_class in (ModalityWorklistInformationFind, Verification):
            entity.add_requested_context(sop_class)
        entity.connection_timeout = 10
        association = entity.associate(self.host, self.port, ae_title=self.called_ae_title)
        if not association.is_established:
            raise NoAnswer(f"no association with {self.called_ae_title} at {self.host}:{self.port}")
        return association


def broad_query(ae_title: str = "", day: date | None = None, modality: str = "MG") -> Dataset:
    """The query of IHE RAD-5 that a mammography unit sends: AE title, date and modality; the rest are return keys."""
    step = Dataset()
    step.ScheduledStationAETitle = ae_title
    step.ScheduledProcedureStepStartDate = f"{day:%Y%m%d}" if day else ""
    step.Modality = modality
    for keyword in STEP_RETURN_KEYS:
        setattr(step, keyword, "")
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    for keyword in RETURN_KEYS:
        setattr(identifier, keyword, "")
    identifier.ScheduledProcedureStepSequence = Sequence([step])
    return identifier


COLUMNS = (("Time", 8), ("Name", 28), ("Patient ID", 12), ("Born", 10), ("Accession", 16), ("Procedure", 24))


def console(rows: list[Dataset]) -> str:
    """What the unit's console would show, as a table."""
    lines = ["  ".join(title.ljust(width) for title, width in COLUMNS), "  ".join("─" * width for _, width in COLUMNS)]
    lines += [
        "  ".join(text.ljust(width) for text, (_, width) in zip(_cells(row), COLUMNS, strict=True)) for row in rows
    ]
    return "\n".join([*lines, f"{len(rows)} on the list"])


def _cells(row: Dataset) -> tuple[str, ...]:
    step = row.ScheduledProcedureStepSequence[0]
    at, born = str(step.ScheduledProcedureStepStartTime), str(row.PatientBirthDate)
    return (
        f"{at[:2]}:{at[2:4]}:{at[4:6]}",
        str(row.PatientName),
        str(row.PatientID),
        f"{born[6:]}.{born[4:6]}.{born[:4]}",
        str(row.AccessionNumber),
        str(row.RequestedProcedureDescription),
    )
