"""Data sets as machines in the field send them: what cannot be read is refused, and never makes an answer wider.

How data sets are read is tested in test_data_set_reading.py; here the bytes come over a socket. After each test the
fixture `modality` checks that the server is never silent and keeps nothing.
"""

import struct

import pytest

from tests.dicom.odd_modality import OddModality, assert_is_served
from tests.dicom.raw import (
    ERROR_COMMENT,
    EXPLICIT,
    FIND_CONTEXT,
    IMPLICIT,
    MPPS_CONTEXT,
    N_CREATE,
    N_SET,
    Element,
    changed,
    encoded,
    find_request,
    read,
    report_request,
)
from tests.dicom.raw_mpps import END_DATE, END_TIME, NHS_NUMBER, ended, started
from tests.factories import WorklistItemFactory
from worklist.models import MppsException, PerformedProcedureStep, WorklistItem

pytestmark = pytest.mark.once

ACCESSION, STEPS, MODALITY, STATION = 0x00080050, 0x00400100, 0x00080060, 0x00400001
UNREADABLE, DOES_NOT_MATCH, PROCESSING_FAILURE = 0xC310, 0xA900, 0x0110
STEP = [Element(STATION, "AE", "ROOM1"), Element(MODALITY, "CS", "MG")]
KEY = [Element(ACCESSION, "SH"), Element(STEPS, "SQ", [STEP])]


def in_between(vr: bytes, value: bytes = b"G000") -> bytes:
    """(0010,21B0) in explicit VR, which comes before the Scheduled Procedure Step Sequence."""
    return b"\x10\x00\xb0\x21" + vr + struct.pack("<H", len(value)) + value


def broken_identifiers(syntax: str) -> dict[str, bytes]:
    """Identifiers that ask for one room, in which something is wrong."""
    whole = encoded(KEY, syntax)
    accession, steps = encoded(KEY[:1], syntax), encoded(KEY[1:], syntax)
    head = len(steps) - len(encoded(STEP, syntax)) - 8
    items = steps[head:]
    undefined = steps[: head - 4] + b"\xff\xff\xff\xff"
    broken = {
        "its sequence is too long": accession + steps[: head - 4] + struct.pack("<L", len(items) + 20) + items,
        "its sequence is too short": accession + steps[: head - 4] + struct.pack("<L", len(items) - 10) + items,
        "its item is too long": accession + steps[: head + 4] + struct.pack("<L", len(items)) + items[8:],
        "its sequence has no end": accession + undefined + items,
        "its item has no end": accession + undefined + items[:4] + b"\xff\xff\xff\xff" + items[8:],
        "its first element swallows the rest": accession[:-4] + struct.pack("<L", len(steps)) + steps,
        "its sequence comes twice": accession + steps + encoded([Element(STEPS, "SQ")], syntax),
        "its sequence comes first": steps + accession,
        "it holds a command element": encoded([Element(0x00000100, "US", b"\x20\0")], syntax) + whole,
        "it holds an item of nothing": accession + b"\xfe\xff\x00\xe0\0\0\0\0" + steps,
    }
    return broken | {f"it ends after {cut} bytes": whole[:cut] for cut in range(1, len(whole)) if cut != len(accession)}


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT], ids=["implicit", "explicit"])
def test_an_identifier_that_cannot_be_read_is_never_answered_with_other_rooms(
    modality: OddModality, transactional_db: None, syntax: str
) -> None:
    for room in ("ROOM1", "ROOM2", "ROOM3"):
        WorklistItemFactory.create(accession_number=f"IN{room}", station_ae_title=room)
    line = modality.associated(syntax)
    (row, _) = line.ask(FIND_CONTEXT, find_request(), encoded(KEY, syntax))
    assert b"INROOM1" in row.data_set
    for what, identifier in broken_identifiers(syntax).items():
        *rows, last = line.ask(FIND_CONTEXT, find_request(), identifier)
        assert not [each for each in rows if b"INROOM1" not in each.data_set], what
        assert last.status in {0x0000, UNREADABLE, DOES_NOT_MATCH}, what
        assert last.status == 0x0000 or (last.text(ERROR_COMMENT) and not rows), what
    assert_is_served(line)


class TestAnUnknownVr:
    """An element of a VR that DICOM does not have, as `10 00 B0 21 2D 2D 04 00 47 30 30 30`."""

    def test_before_a_key_is_c310_with_a_comment(self, modality: OddModality, transactional_db: None) -> None:
        WorklistItemFactory.create(station_ae_title="ROOM2")
        line = modality.associated(EXPLICIT)
        for vr in (b"--", b"RE", b"  ", b"\0\0", b"??", b"ox", b"\xff\xff"):
            identifier = encoded(KEY[:1], EXPLICIT) + in_between(vr) + encoded(KEY[1:], EXPLICIT)
            (refused,) = line.ask(FIND_CONTEXT, find_request(), identifier)
            assert refused.status == UNREADABLE
            assert 0 < len(refused.text(ERROR_COMMENT)) <= 64
        assert_is_served(line)

    @pytest.mark.parametrize("vr", [b"--", b"  "])
    def test_in_a_report_is_0110_and_nothing_is_stored(
        self, modality: OddModality, transactional_db: None, vr: bytes
    ) -> None:
        WorklistItemFactory.create(accession_number="ACC1", patient_id=NHS_NUMBER)
        report, strange = encoded(started("ACC1"), EXPLICIT), in_between(vr)
        at = report.index(b"\x20\x00\x10\x00")  # Study ID, the next
        line = modality.associated(EXPLICIT)
        (refused,) = line.ask(MPPS_CONTEXT, report_request(N_CREATE, "2.25.1"), report[:at] + strange + report[at:])
        assert (refused.status, bool(refused.text(ERROR_COMMENT))) == (PROCESSING_FAILURE, True)
        assert not PerformedProcedureStep.objects.exists()
        (created,) = line.ask(MPPS_CONTEXT, report_request(N_CREATE, "2.25.1"), report)
        assert created.status == 0x0000
        (refused,) = line.ask(
            MPPS_CONTEXT, report_request(N_SET, "2.25.1"), in_between(vr) + encoded(ended(), EXPLICIT)
        )
        assert (refused.status, bool(refused.text(ERROR_COMMENT))) == (PROCESSING_FAILURE, True)
        assert PerformedProcedureStep.objects.get().status == "IN PROGRESS"
        assert WorklistItem.objects.get().status == "IN PROGRESS"
        assert_is_served(line)


@pytest.mark.parametrize(("tag", "value"), [(END_DATE, "2026.03.17"), (END_TIME, "103209123")])
def test_a_broken_end_is_kept_as_it_came_and_what_had_to_be_assumed_is_marked(
    modality: OddModality, transactional_db: None, tag: int, value: str
) -> None:
    WorklistItemFactory.create(accession_number="ACC1", patient_id=NHS_NUMBER)
    line = modality.associated()
    line.ask(MPPS_CONTEXT, report_request(N_CREATE, "2.25.1"), encoded(started("ACC1")))
    report = changed(ended(), Element(tag, "DA" if tag == END_DATE else "TM", value))
    (answer,) = line.ask(MPPS_CONTEXT, report_request(N_SET, "2.25.1"), encoded(report))
    assert answer.status == 0x0000
    step = PerformedProcedureStep.objects.get()
    assert step.status == "COMPLETED"
    assert value in str(step.data_set)
    assert step.end_is_assumed
    assert MppsException.objects.exists()
    assert_is_served(line)


def test_a_row_is_read_back_as_it_was_asked_for(modality: OddModality, transactional_db: None) -> None:
    WorklistItemFactory.create(accession_number="ACC1", station_ae_title="ROOM1")
    line = modality.associated()
    (row, _) = line.ask(FIND_CONTEXT, find_request(), encoded(KEY))
    assert set(read(row.data_set)) == {ACCESSION, STEPS}
    assert_is_served(line)
