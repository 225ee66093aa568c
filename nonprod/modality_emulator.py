"""A mammography unit as the gateway sees it: C-ECHO, and the worklist query that it sends (PS3.4 Annex K, SCU)."""

from dataclasses import dataclass, replace
from datetime import date

from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, DEFAULT_TRANSFER_SYNTAXES
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
    Verification,
)

from nonprod.device_queries import BROAD, Console


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

    def query(self, identifier: Dataset, *, implicit_only: bool = False) -> list[Dataset]:
        """The identifiers of all pending responses; NoAnswer unless the last one is a success."""
        association = self._associate(implicit_only=implicit_only)
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

    def _associate(self, *, implicit_only: bool = False) -> Association:
        entity = AE(ae_title=self.ae_title)
        syntaxes = [ImplicitVRLittleEndian] if implicit_only else DEFAULT_TRANSFER_SYNTAXES
        for sop_class in (ModalityWorklistInformationFind, Verification):
            entity.add_requested_context(sop_class, syntaxes)
        entity.connection_timeout = 10
        association = entity.associate(self.host, self.port, ae_title=self.called_ae_title)
        if not association.is_established:
            raise NoAnswer(f"no association with {self.called_ae_title} at {self.host}:{self.port}")
        return association


def broad_query(ae_title: str = "", day: date | None = None, modality: str = "MG") -> Dataset:
    """The query of IHE RAD-5 that a mammography unit sends; what is empty is asked of any."""
    query = BROAD if day else replace(BROAD, step={**(BROAD.step or {}), "ScheduledProcedureStepStartDate": ""})
    return query.identifier(Console(ae_title, day or date.today(), modality))  # noqa: DTZ011 - not used without a day


COLUMNS = (("Time", 8), ("Name", 28), ("Patient ID", 12), ("Born", 10), ("Accession", 16), ("Procedure", 24))


def console(rows: list[Dataset]) -> str:
    """What the unit's console would show, as a table."""
    lines = ["  ".join(title.ljust(width) for title, width in COLUMNS), "  ".join("─" * width for _, width in COLUMNS)]
    lines += [
        "  ".join(text.ljust(width) for text, (_, width) in zip(_cells(row), COLUMNS, strict=True)) for row in rows
    ]
    return "\n".join([*lines, f"{len(rows)} on the list"])


def _cells(row: Dataset) -> tuple[str, ...]:
    """Empty where the query did not ask for it."""
    steps = row.get("ScheduledProcedureStepSequence")
    at = str((steps[0] if steps else Dataset()).get("ScheduledProcedureStepStartTime") or "")
    born = str(row.get("PatientBirthDate") or "")
    return (
        f"{at[:2]}:{at[2:4]}:{at[4:6]}" if at else "",
        str(row.get("PatientName") or ""),
        str(row.get("PatientID") or ""),
        f"{born[6:]}.{born[4:6]}.{born[:4]}" if born else "",
        str(row.get("AccessionNumber") or ""),
        str(row.get("RequestedProcedureDescription") or ""),
    )
