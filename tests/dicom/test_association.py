"""One association on its socket: what is announced and does not come, and requests before the last is answered."""

import struct
import threading
from collections.abc import Iterator, Sequence
from itertools import chain, repeat

import pytest
from pydicom.dataset import Dataset

from dicom.association import MAX_UNANSWERED, ServerContext
from dicom.association_policy import AssociationPolicy, ServerConfig
from dicom.server import start_server, stop_server
from dicom.service import Batches, Interruption, Request, Response, Service
from dicom.upper_layer.dimse import CommandField
from tests.dicom.odd_modality import OddModality, assert_is_served, refusal, statuses
from tests.dicom.raw import (
    ABORT,
    DATA,
    ECHO_CONTEXT,
    FIND_CONTEXT,
    VERIFICATION,
    WORKLIST,
    Element,
    abort,
    association_request,
    cancel_request,
    echo_request,
    encoded,
    find_request,
    message,
    offer,
    pdu,
)
from tests.dicom.requests import CALLED, PATIENCE, Unit, change, find
from tests.dicom.serving import port_of, serving
from tests.worklist.performed_step.reports import creation
from tests.worklist_fixtures import LogLines
from worklist.models import PerformedProcedureStep, WorklistItem

pytestmark = pytest.mark.once

UID = "1.2.3.4.5"


@pytest.fixture
def impatient_server_unit(transactional_db: None, item: WorklistItem) -> Iterator[Unit]:
    """A modality with a step in progress, at a server that waits 0.2 seconds for a data set."""
    with serving(data_set_seconds=0.2) as running:
        unit = Unit(port_of(running))
        assert unit.create(UID, creation(item)).Status == 0x0000
        yield unit


class TestADataSetThatIsAnnouncedAndNotSent:
    """pynetdicom's own client sends an empty data set in this way."""

    def test_mp38_is_refused_and_leaves_the_step_unchanged(self, impatient_server_unit: Unit) -> None:
        with impatient_server_unit.associated() as association:
            answer = change(association, UID, Dataset())
            assert (answer.Status, answer.ErrorComment) == (0x0110, "The data set announced has not arrived")
            assert association.send_c_echo().Status == 0x0000
        assert PerformedProcedureStep.objects.get().status == "IN PROGRESS"

    def test_of_a_query_is_refused_and_recorded_as_failed(self, impatient_server_unit: Unit, log: LogLines) -> None:
        with impatient_server_unit.associated() as association:
            answer = find(association, Dataset())
        assert (answer.statuses, answer.rows) == ([0xC000], [])
        assert answer.final.ErrorComment == "The data set announced has not arrived"
        outcome = vars(log.wait_for("worklist query ended"))["outcome"]
        assert outcome == "failed with C000: The data set announced has not arrived"

    def test_ends_the_association_if_it_arrives_late(self, impatient_server_unit: Unit) -> None:
        with impatient_server_unit.associated() as association:
            assert change(association, UID, Dataset()).Status == 0x0110
            (context, *_) = association.accepted_contexts
            late = struct.pack(">LBB", 3, context.context_id or 1, 0b10) + b"\0"
            association.dul.socket.send(struct.pack(">BBL", 4, 0, len(late)) + late)  # type: ignore[union-attr]
            association.join(10)
            assert association.is_aborted


def together(messages: Sequence[bytes]) -> bytes:
    """Return one P-DATA-TF with all these messages, so that none arrives before another."""
    return pdu(DATA, b"".join(each[6:] for each in messages))


class TestRequestsBeforeTheLastIsAnswered:
    """One operation at a time is what was negotiated (PS3.7 annex D.3.3.3); a few more do no harm."""

    def test_are_answered_up_to_a_number(self, modality: OddModality) -> None:
        requests = [message(ECHO_CONTEXT, echo_request(each)) for each in range(MAX_UNANSWERED + 1)]
        line = modality.associated()
        line.send(together(requests[1:]))
        assert statuses([line.answer() for _ in requests[1:]]) == [0x0000] * MAX_UNANSWERED
        assert_is_served(line)
        line = modality.associated()
        line.send(together(requests))
        assert refusal(line)[:3] == (ABORT, 0, 2)

    def test_are_answered_up_to_a_length(self, db: None) -> None:
        command, keys = message(FIND_CONTEXT, find_request()), encoded([Element(0x00100020, "LO", b"9" * 600)])
        fragment = struct.pack(">LBB", len(keys) + 2, FIND_CONTEXT, 0b10) + keys
        query = command + pdu(DATA, fragment)
        with serving(max_data_set_bytes=1000) as running:
            line = OddModality(port_of(running)).associated()
            for _ in range(2):
                line.send(query)
                assert statuses(line.answers()) == [0x0000]
            line.send(pdu(DATA, (command[6:] + fragment) * 2))
            assert refusal(line)[:3] == (ABORT, 0, 2)
            line.close()

    def test_are_not_waited_for_where_they_are_too_many(self, db: None) -> None:
        may_answer = threading.Event()

        def slow(_request: Request, _context: ServerContext) -> Response:
            may_answer.wait(PATIENCE)
            return Response(0x0000)

        service = Service(WORKLIST, {CommandField.C_FIND_RQ: slow})
        running = start_server("127.0.0.1", 0, ServerContext(AssociationPolicy(ServerConfig(CALLED))), [service])
        try:
            line = OddModality(port_of(running)).sends(association_request([offer(FIND_CONTEXT, WORKLIST)]))
            line.accepted()
            query = message(FIND_CONTEXT, find_request())[6:] + struct.pack(">LBB", 2, FIND_CONTEXT, 0b10)
            line.send(pdu(DATA, query * (MAX_UNANSWERED + 1)))
            assert refusal(line)[:3] == (ABORT, 0, 2)
        finally:
            may_answer.set()
            stop_server(running)

    @pytest.mark.parametrize("is_cancelled", [True, False], ids=["C-CANCEL", "A-ABORT"])
    def test_hide_no_end_of_the_answer(self, db: None, is_cancelled: bool) -> None:
        ended = threading.Event()

        def never_ending(_request: Request, _context: ServerContext) -> Batches:
            try:
                some = chain(repeat([Response(0xFF00)], 1000), repeat([]))  # the requestor reads none of them
                while (yield next(some)) is not Interruption.CANCELLED:
                    continue
                yield [Response(0xFE00)]
            finally:
                ended.set()

        service = Service(WORKLIST, {CommandField.C_FIND_RQ: never_ending})
        running = start_server("127.0.0.1", 0, ServerContext(AssociationPolicy(ServerConfig(CALLED))), [service])
        try:
            line = OddModality(port_of(running)).sends(
                association_request([offer(ECHO_CONTEXT, VERIFICATION), offer(FIND_CONTEXT, WORKLIST)])
            )
            line.accepted()
            line.send(message(FIND_CONTEXT, find_request(1), b""))
            line.answer()
            waiting = [message(ECHO_CONTEXT, echo_request(each)) for each in range(2, MAX_UNANSWERED + 1)]
            line.send(*waiting)
            line.send(message(FIND_CONTEXT, cancel_request(1)) if is_cancelled else abort())
            if is_cancelled:
                assert line.answers()[-1].status == 0xFE00
                assert statuses([line.answer() for _ in waiting]) == [0x0000] * len(waiting)
                line.release()
            assert ended.wait(PATIENCE)
            line.close()
        finally:
            stop_server(running)
