"""Compare answers with those of DCMTK's worklist server; where they differ, quote the standard for this gateway's.

wlmscpfs answers from files, which are made of the responses of this gateway.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import date
from datetime import time as clock
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from tests.dicom.requests import CALLED, PATIENCE, Unit, dataset, request
from tests.factories import WorklistItemFactory
from tests.processes import free_ports
from tests.waiting import eventually
from worklist.models import WorklistItem
from worklist.query.response import ResponseOptions, response_for

#: Accession number → fields that differ from the factory's.
ITEMS: dict[str, dict[str, Any]] = {
    "A1": {"patient_name": "SMITH^JANE", "patient_id": "9990000001", "scheduled_time": clock(9)},
    "A2": {"patient_name": "SMITH^MARY^ANN", "patient_id": "9990000002", "scheduled_time": clock(9, 30)},
    "A3": {"patient_name": "SMYTHE^JANE", "patient_id": "9990000003", "scheduled_time": clock(10)},
    "A4": {"patient_name": "JONES^ALICE", "patient_id": "9990000004", "station_ae_title": "MAMMO2"},
    "A5": {"patient_name": "JONES^ANN", "patient_id": "9990000005", "modality": "US"},
    "A6": {"patient_name": "LEE^ANN", "patient_id": "9990000006", "scheduled_date": date(2026, 3, 11)},
    "A7": {"patient_name": "LEE^BEA", "patient_id": "9990000007", "scheduled_date": date(2026, 3, 12)},
    "A8": {"patient_name": "O'BRIEN^ZOE", "patient_id": "99", "scheduled_time": clock(23, 59, 30)},
}


def step(**keys: Any) -> Dataset:
    """Return a query by attributes of the scheduled step."""
    return request(dataset(**keys), AccessionNumber="")


def period(day: str, at: str) -> Dataset:
    """Return a query by start date and start time."""
    return step(ScheduledProcedureStepStartDate=day, ScheduledProcedureStepStartTime=at)


#: Queries that both must answer alike.
ALIKE: dict[str, Dataset] = {
    "everything": request(AccessionNumber=""),
    "a zero-length step": request(dataset(Modality=""), AccessionNumber=""),
    "an accession number": request(AccessionNumber="A3"),
    "an accession number that nobody has": request(AccessionNumber="A33"),
    "a patient's number": request(AccessionNumber="", PatientID="9990000002"),
    "part of a number": request(AccessionNumber="", PatientID="999"),
    "a whole name": request(AccessionNumber="", PatientName="SMITH^JANE"),
    "a name with a star": request(AccessionNumber="", PatientName="SMITH*"),
    "a name with a query mark": request(AccessionNumber="", PatientName="SM?TH^JANE"),
    "a star in the middle": request(AccessionNumber="", PatientName="J*ANN"),
    "a lone star": request(AccessionNumber="", PatientName="*"),
    "a family name without a star": request(AccessionNumber="", PatientName="SMITH"),
    "a station": step(ScheduledStationAETitle="MAMMO1"),
    "a station in other letters": step(ScheduledStationAETitle="mammo1"),
    "a modality": step(Modality="US"),
    "a date": step(ScheduledProcedureStepStartDate="20260310"),
    "a range of dates": step(ScheduledProcedureStepStartDate="20260310-20260311"),
    "dates until": step(ScheduledProcedureStepStartDate="-20260310"),
    "dates from": step(ScheduledProcedureStepStartDate="20260311-"),
    "a time": step(ScheduledProcedureStepStartTime="093000"),
    "a range of times": step(ScheduledProcedureStepStartTime="090000-093000"),
    "times from": step(ScheduledProcedureStepStartTime="100000-"),
    "a morning": period("20260310", "090000-100000"),
    "a time without seconds": step(ScheduledProcedureStepStartTime="0930"),
    "times over midnight": step(ScheduledProcedureStepStartTime="220000-060000"),
    "times until": step(ScheduledProcedureStepStartTime="-0930"),
    "a period": period("20260310-20260311", "093000-100000"),
    "a period from": period("20260310-", "140000-"),
    "a period until": period("-20260310", "-093000"),
    "a night": period("20260310-20260311", "220000-060000"),
    "a time on either day": period("20260310-20260311", "143000"),
    "an evening": period("20260310", "220000-"),
    "a date of birth": request(AccessionNumber="", PatientBirthDate="19700321"),
    "a description with a star": step(ScheduledProcedureStepDescription="Screening*"),
    "brackets": request(AccessionNumber="", PatientName="[SJ]*"),
    "a percent sign": request(AccessionNumber="", PatientName="SMITH%"),
    "broad": step(ScheduledStationAETitle="MAMMO1", ScheduledProcedureStepStartDate="20260310", Modality="MG"),
}
#: Query, this gateway's answer, DCMTK's answer, and why the standard allows this gateway's.
DIFFERENT: dict[str, tuple[Dataset, list[str], list[str], str]] = {
    "a day's times to the minute": (
        step(ScheduledProcedureStepStartTime="0900-2359"),
        ["A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8"],
        ["A1", "A2", "A3", "A4", "A5", "A6", "A7"],
        "PS3.4 C.2.2.2.5.1 leaves open how precise the end of a range is; declared: 2359 is up to 23:59:59.999999",
    ),
    "dates closed, times open to the end": (
        period("20260310-20260311", "140000-"),
        ["A4", "A5", "A6", "A8"],
        ["A4", "A5", "A8"],
        "PS3.4 C.2.2.2.5.4: one period only where both ranges are of one form; else each for itself, on either day",
    ),
    "dates closed, times open to the beginning": (
        period("20260310-20260311", "-093000"),
        ["A1", "A2"],
        ["A1", "A2", "A3", "A4", "A5", "A8"],
        "PS3.4 C.2.2.2.5.4, as before: 10:00 is not before 09:30 on either day",
    ),
    "a name in small letters": (
        request(AccessionNumber="", PatientName="smith*"),
        ["A1", "A2"],
        [],
        "PS3.4 C.2.2.2.1 and K.6.1.3.2: names may be matched whatever their case, and that is declared",
    ),
    "a name with empty components": (
        request(AccessionNumber="", PatientName="SMITH^JANE^^^"),
        ["A1"],
        [],
        "PS3.5 6.2.1.1: trailing empty components and their delimiters may be left out; the name is the same",
    ),
    "a number with spaces": (
        request(AccessionNumber="", PatientID="999 000 0001"),
        ["A1"],
        [],
        "declared in the conformance statement, as PS3.2 asks for extensions: spaces in an NHS number do not count",
    ),
    "a number with a star": (
        request(AccessionNumber="", PatientID="999*"),
        ["A1", "A2", "A3", "A4", "A5", "A6", "A7"],
        [],
        "PS3.4 C.2.2.2.4: an LO takes wild cards; table K.6-1 asks for single value only, more is declared",
    ),
}


#: The queries of ALIKE that find nothing. All others must find something, or they would prove nothing.
WITHOUT_MATCH = [
    "an accession number that nobody has",
    "part of a number",
    "a family name without a star",
    "a station in other letters",
    "times over midnight",
    "brackets",
    "a percent sign",
]


class OtherServer:
    """A running wlmscpfs."""

    def __init__(self, folder: Path, port: int) -> None:
        self.unit = Unit(port)
        self._process = subprocess.Popen(
            ["wlmscpfs", "--disable-file-reject", "--data-files-path", str(folder), str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        eventually(listens)

    def end(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)


def write_file(folder: Path, item: WorklistItem) -> None:
    """Write an item as wlmscpfs reads it."""
    whole = response_for(item, Dataset(), ResponseOptions("MAMMO1", timezone.get_default_timezone()))
    whole.file_meta = FileMetaDataset()
    whole.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole.file_meta.MediaStorageSOPClassUID = ModalityWorklistInformationFind
    whole.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    whole.save_as(folder / f"{item.accession_number}.wl", enforce_file_format=True)


@pytest.fixture
def other(unit: Unit, tmp_path: Path) -> Iterator[OtherServer]:
    """DCMTK's server with the same items as the database."""
    if not shutil.which("wlmscpfs"):
        reason = "DCMTK's wlmscpfs is not installed: apt-get install dcmtk"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    folder = tmp_path / CALLED
    folder.mkdir()
    (folder / "lockfile").touch()
    for accession_number, values in ITEMS.items():
        day = {"scheduled_date": date(2026, 3, 10), **values}
        write_file(folder, WorklistItemFactory.create(accession_number=accession_number, **day))
    server = OtherServer(tmp_path, *free_ports(1))
    yield server
    server.end()


def find(unit: Unit, identifier: Dataset) -> list[str]:
    """Query successfully, and return the sorted accession numbers."""
    answer = unit.ask(identifier)
    assert answer.statuses[-1] == 0x0000
    return sorted(answer.accession_numbers)


class TestWlmscpfs:
    def test_answers_these_queries_alike(self, unit: Unit, other: OtherServer) -> None:
        ours = {query: find(unit, identifier) for query, identifier in ALIKE.items()}
        theirs = {query: find(other.unit, identifier) for query, identifier in ALIKE.items()}
        assert ours == theirs
        assert [query for query, found in ours.items() if not found] == WITHOUT_MATCH

    def test_answers_these_queries_differently(self, unit: Unit, other: OtherServer) -> None:
        for query, (identifier, ours, theirs, section) in DIFFERENT.items():
            assert (find(unit, identifier), find(other.unit, identifier)) == (ours, theirs), (query, section)
