"""The unit's worklist queries, and the table that its console shows. Pure."""

from dataclasses import replace
from datetime import date

from pydicom.dataset import Dataset

from nonprod.device_queries import BROAD, FOR_ONE_STEP, QueryValues


def broad_query(ae_title: str = "", day: date | None = None, modality: str = "MG") -> Dataset:
    """Return the query that a mammography unit sends (IHE RAD-5); an empty value matches any."""
    query = BROAD if day else replace(BROAD, step={**(BROAD.step or {}), "ScheduledProcedureStepStartDate": ""})
    return query.identifier(QueryValues(ae_title, day or date.today(), modality))  # noqa: DTZ011 - not used without a day


def step_query(accession_number: str = "", ae_title: str = "", day: date | None = None, modality: str = "") -> Dataset:
    """Return the query of a unit that reports by MPPS, with all return keys that its N-CREATE copies."""
    step = {**(FOR_ONE_STEP.step or {}), **({} if day else {"ScheduledProcedureStepStartDate": ""})}
    values = QueryValues(ae_title, day or date.today(), modality, accession_number)  # noqa: DTZ011 - not used without a day
    return replace(FOR_ONE_STEP, step=step).identifier(values)


COLUMNS = (("Time", 8), ("Name", 28), ("Patient ID", 12), ("Born", 10), ("Accession", 16), ("Procedure", 24))


def worklist_table(rows: list[Dataset]) -> str:
    """Format worklist rows as the table that the unit's console shows."""
    lines = ["  ".join(title.ljust(width) for title, width in COLUMNS), "  ".join("─" * width for _, width in COLUMNS)]
    lines += [
        "  ".join(text.ljust(width) for text, (_, width) in zip(_cells(row), COLUMNS, strict=True)) for row in rows
    ]
    return "\n".join([*lines, f"{len(rows)} on the list"])


def _cells(row: Dataset) -> tuple[str, ...]:
    steps = row.get("ScheduledProcedureStepSequence")
    at = str((steps[0] if steps else Dataset()).get("ScheduledProcedureStepStartTime") or "")
    born = str(row.get("PatientBirthDate") or "")
    return (
        f"{at[:2]}:{at[2:4]}:{at[4:6]}" if at else "",
        str(row.get("PatientName") or ""),
        str(row.get("PatientID") or ""),
        f"{born[6:]}/{born[4:6]}/{born[:4]}" if born else "",
        str(row.get("AccessionNumber") or ""),
        str(row.get("RequestedProcedureDescription") or ""),
    )
