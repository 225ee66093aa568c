"""Owns what the unit's console asks of the worklist, and how it shows the list. Pure."""

from dataclasses import replace
from datetime import date

from pydicom.dataset import Dataset

from nonprod.device_queries import BROAD, FOR_ONE_STEP, Console


def broad_query(ae_title: str = "", day: date | None = None, modality: str = "MG") -> Dataset:
    """The query of IHE RAD-5 that a mammography unit sends; what is empty is asked of any."""
    query = BROAD if day else replace(BROAD, step={**(BROAD.step or {}), "ScheduledProcedureStepStartDate": ""})
    return query.identifier(Console(ae_title, day or date.today(), modality))  # noqa: DTZ011 - not used without a day


def step_query(accession_number: str = "", ae_title: str = "", day: date | None = None, modality: str = "") -> Dataset:
    """The query of a unit that will report what it performs: with all that its N-CREATE says of what was scheduled."""
    step = {**(FOR_ONE_STEP.step or {}), **({} if day else {"ScheduledProcedureStepStartDate": ""})}
    asker = Console(ae_title, day or date.today(), modality, accession_number)  # noqa: DTZ011 - not used without a day
    return replace(FOR_ONE_STEP, step=step).identifier(asker)


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
