"""Messages as machines in the field send them: out of turn, cut off, cancelled, or released too early (PS3.7, PS3.8).

After each test the fixture `modality` checks that the server is never silent and keeps nothing.
"""

import struct
import time

import pytest
from pytest_django import Settings

from dicom.server import STOP_SECONDS, stop_server
from tests.dicom.odd_modality import OddModality, assert_is_served, found, refusal, statuses
from tests.dicom.raw import (
    ABORT,
    ACCEPT,
    AFFECTED_CLASS,
    C_CANCEL,
    CLOSED,
    COMMAND_FIELD,
    DATA,
    DATA_SET_TYPE,
    ECHO_CONTEXT,
    ERROR_COMMENT,
    EXPLICIT,
    FIND_CONTEXT,
    GROUP_LENGTH,
    IMPLICIT,
    IS_COMMAND,
    IS_LAST,
    MESSAGE_ID,
    MPPS_CONTEXT,
    N_CREATE,
    N_SET,
    PENDING,
    PRIORITY,
    RELEASED,
    REQUESTED_CLASS,
    Answer,
    AssociationEnded,
    DataSet,
    Element,
    RawAssociation,
    abort,
    association_request,
    cancel_request,
    changed,
    command_set,
    data,
    echo_request,
    encoded,
    find_request,
    message,
    pdu,
    read,
    release_request,
    report_request,
    us,
)
from tests.dicom.raw_mpps import NHS_NUMBER, ReportingModality, ended, started
from tests.dicom.serving import port_of, serving
from tests.factories import WorklistItemFactory
from worklist.models import Delivery, PerformedProcedureStep, WorklistItem
from worklist.query.delivery_log import DeliveryLog

pytestmark = pytest.mark.once

ACCESSION = 0x00080050
KEYS = [Element(ACCESSION, "SH"), Element(0x00100020, "LO")]
ENCODED_KEYS = encoded(KEYS)
SYNTAXES = pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT], ids=["implicit", "explicit"])


def make_items(number: int, **values: str) -> list[WorklistItem]:
    """Create items in one INSERT."""
    return WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(number, **values))


def end_of(line: RawAssociation) -> list[Answer] | tuple[int, int, int, int]:
    """Return all responses to the request that was sent, or the refusal that ended the association."""
    try:
        return line.answers()
    except AssociationEnded as error:
        return error.last.kind, *error.last.content[1:]


class TestCommandSets:
    """PS3.7 annex E.1 and table 9.3-1."""

    @pytest.mark.parametrize(
        "command",
        [
            pytest.param(changed(find_request(), Element(PRIORITY, "US", b"")), id="an empty Priority"),
            pytest.param(changed(find_request(), without=[PRIORITY]), id="no Priority"),
            pytest.param(changed(find_request(), us(PRIORITY, 5)), id="Priority 5"),
            pytest.param(changed(find_request(), us(PRIORITY, 0, 2)), id="two Priorities"),
            pytest.param(changed(find_request(), us(MESSAGE_ID, 1, 9)), id="two Message IDs"),
            pytest.param(changed(find_request(), us(MESSAGE_ID, 0)), id="Message ID 0"),
            pytest.param(changed(find_request(), us(DATA_SET_TYPE, 0)), id="Data Set Type 0000"),
            pytest.param(changed(find_request(), us(DATA_SET_TYPE, 0x0102)), id="Data Set Type 0102"),
            pytest.param(changed(find_request(), us(0x00000999, 7)), id="an unknown element"),
            pytest.param(changed(find_request(), Element(0x00000004, "UN", b"x" * 500)), id="a long unknown element"),
            pytest.param(
                changed(find_request(), Element(AFFECTED_CLASS, "UI", "1.2.840.10008.5.1.4.31 ")),
                id="a class and space",
            ),
        ],
    )
    def test_that_differ_in_what_does_not_matter_are_answered(self, modality: OddModality, command: DataSet) -> None:
        line = modality.associated()
        line.send(message(FIND_CONTEXT, command, ENCODED_KEYS))
        assert statuses(line.answers()) == [0x0000]
        assert_is_served(line)

    @pytest.mark.parametrize(
        "command",
        [
            pytest.param(changed(find_request(), without=[AFFECTED_CLASS]), id="no class"),
            pytest.param(changed(find_request(), Element(AFFECTED_CLASS, "UI")), id="an empty class"),
            pytest.param(changed(find_request(), Element(AFFECTED_CLASS, "UI", "1.2.3")), id="another class"),
            pytest.param(changed(find_request(), Element(AFFECTED_CLASS, "UI", b"\xff\xfe")), id="no UID as class"),
            pytest.param(changed(find_request(), without=[MESSAGE_ID]), id="no Message ID"),
            pytest.param(changed(find_request(), without=[COMMAND_FIELD]), id="no Command Field"),
            pytest.param(changed(find_request(), without=[DATA_SET_TYPE]), id="no Data Set Type"),
            pytest.param(changed(find_request(), us(COMMAND_FIELD, 0x8888)), id="Command Field 8888"),
            pytest.param(changed(find_request(), us(COMMAND_FIELD, 0x0777)), id="Command Field 0777"),
            pytest.param(changed(find_request(), us(COMMAND_FIELD, 0x8020)), id="a C-FIND-RSP"),
            pytest.param(changed(find_request(), us(COMMAND_FIELD, 0x0001)), id="a C-STORE"),
            pytest.param(changed(find_request(), us(COMMAND_FIELD, 0x0021)), id="a C-MOVE"),
            pytest.param(changed(find_request(), us(COMMAND_FIELD, 0x0110)), id="an N-GET"),
            pytest.param(changed(find_request(), us(COMMAND_FIELD, N_CREATE)), id="an N-CREATE"),
            pytest.param([], id="nothing"),
        ],
    )
    def test_without_what_is_mandatory_fail_or_end_it(self, modality: OddModality, command: DataSet) -> None:
        line = modality.associated()
        line.send(message(FIND_CONTEXT, command, ENCODED_KEYS))
        outcome = end_of(line)
        if isinstance(outcome, list):
            (refused,) = outcome
            assert refused.status in (0x0118, 0x0119, 0x0122, 0x0211, 0x0212, 0xA900, 0xC000)
            assert_is_served(line)
        else:
            assert outcome[0] == ABORT

    @pytest.mark.parametrize("length", [0, 1, 4, 0xFFFF, 0xFFFFFFFF, None])
    def test_whose_group_length_lies_or_is_missing_are_answered_or_end_the_association(
        self, modality: OddModality, length: int | None
    ) -> None:
        first = b"" if length is None else encoded([Element(GROUP_LENGTH, "UL", struct.pack("<L", length))])
        line = modality.associated()
        line.send(data(FIND_CONTEXT, IS_COMMAND | IS_LAST, first + encoded(find_request())))
        line.send(data(FIND_CONTEXT, IS_LAST, ENCODED_KEYS))
        outcome = end_of(line)
        assert outcome[0] == ABORT or statuses(outcome) == [0x0000]  # type: ignore[arg-type]

    @pytest.mark.parametrize("cut", [1, 7, 8, 11, 20, 40])
    def test_that_are_cut_off_end_the_association(self, modality: OddModality, cut: int) -> None:
        line = modality.associated()
        line.send(data(FIND_CONTEXT, IS_COMMAND | IS_LAST, command_set(find_request())[:cut]))
        assert refusal(line)[:3] == (ABORT, 0, 2)

    @pytest.mark.parametrize("field", [0x0001, 0x0010, 0x0100, 0x0110, 0x0130, 0x0150, 0x0777])
    def test_of_an_operation_that_is_not_served_are_refused_with_0211(self, modality: OddModality, field: int) -> None:
        line = modality.associated()
        (refused,) = line.ask(MPPS_CONTEXT, changed(report_request(N_SET, "2.25.1"), us(COMMAND_FIELD, field)), b"")
        assert refused.status == 0x0211
        assert refused.number(0x00000120) == 1, "the Message ID Being Responded To"
        assert_is_served(line)


class TestFragments:
    """PS3.8 annex E: the fragments of one message follow one another, on one context."""

    @SYNTAXES
    @pytest.mark.parametrize("size", [1, 2, 7, 100])
    def test_of_any_size_make_up_a_message(self, modality: OddModality, size: int, syntax: str) -> None:
        line = modality.associated(syntax)
        line.send(message(FIND_CONTEXT, find_request(), encoded(KEYS, syntax), size))
        assert statuses(line.answers()) == [0x0000]
        assert_is_served(line)

    def test_may_share_a_p_data_tf(self, modality: OddModality) -> None:
        """The whole message is one PDU, and its last fragments are empty."""
        parts = [(1, command_set(find_request())), (3, b""), (0, ENCODED_KEYS), (2, b"")]
        joined = b"".join(struct.pack(">LBB", len(part) + 2, FIND_CONTEXT, header) + part for header, part in parts)
        line = modality.associated()
        line.send(pdu(DATA, joined))
        assert statuses(line.answers()) == [0x0000]
        assert_is_served(line)

    @pytest.mark.parametrize(
        "sent",
        [
            pytest.param(data(FIND_CONTEXT, IS_LAST, ENCODED_KEYS), id="a data set without a command set"),
            pytest.param(data(9, 3, command_set(echo_request())), id="a context that was not offered"),
            pytest.param(data(2, IS_COMMAND | IS_LAST, command_set(echo_request())), id="an even context id"),
            pytest.param(
                data(FIND_CONTEXT, IS_COMMAND | IS_LAST, command_set(find_request()))
                + data(MPPS_CONTEXT, IS_LAST, ENCODED_KEYS),
                id="a data set on another context",
            ),
            pytest.param(
                data(FIND_CONTEXT, IS_COMMAND, command_set(find_request())[:30])
                + data(ECHO_CONTEXT, IS_COMMAND | IS_LAST, command_set(echo_request())),
                id="a command set within another",
            ),
            pytest.param(
                data(FIND_CONTEXT, IS_COMMAND | IS_LAST, command_set(find_request(1)))
                + data(FIND_CONTEXT, 0, ENCODED_KEYS[: len(ENCODED_KEYS) // 2])
                + message(FIND_CONTEXT, find_request(2), ENCODED_KEYS),
                id="a query within the data set of another",
            ),
            pytest.param(pdu(DATA, b""), id="a P-DATA-TF of nothing"),
            pytest.param(pdu(DATA, b"\0\0\0\1\1"), id="a fragment without a header"),
            pytest.param(pdu(DATA, b"\0\0\1\0\1\3abc"), id="a fragment longer than its PDU"),
            pytest.param(pdu(DATA, struct.pack(">LBB", 5, 1, 3)[:3]), id="half of a fragment's length"),
            pytest.param(pdu(9, b"abc"), id="a PDU of an unknown type"),
            pytest.param(pdu(0, b""), id="a PDU of type 0"),
            pytest.param(association_request(), id="a second A-ASSOCIATE-RQ"),
            pytest.param(pdu(ACCEPT, association_request()[6:]), id="an A-ASSOCIATE-AC"),
            pytest.param(pdu(RELEASED, bytes(4)), id="an A-RELEASE-RP"),
            pytest.param(struct.pack(">BxL", DATA, 1 << 31), id="a PDU of two gigabytes"),
        ],
    )
    def test_out_of_turn_end_the_association_at_once(self, modality: OddModality, sent: bytes) -> None:
        line = modality.associated()
        line.send(sent)
        assert refusal(line)[:3] == (ABORT, 0, 2)

    def test_of_a_message_for_ever_end_the_association(self, modality: OddModality) -> None:
        line = modality.associated()
        line.send(data(FIND_CONTEXT, IS_COMMAND | IS_LAST, command_set(find_request())))
        for _ in range(40):
            line.send(data(FIND_CONTEXT, 0, bytes(1 << 19)))
        assert line.receive().kind in (ABORT, CLOSED)

    def test_a_message_may_be_followed_at_once_by_the_release(
        self, modality: OddModality, transactional_db: None
    ) -> None:
        make_items(3)
        line = modality.associated()
        line.send(message(FIND_CONTEXT, find_request(), ENCODED_KEYS) + release_request())
        answers = line.answers()
        assert statuses(answers) in ([0xFF00] * 3 + [0x0000], [0xFE00]) or answers[-1].status == 0xFE00
        assert line.receive().kind == RELEASED

    def test_messages_may_be_sent_before_the_last_is_answered(
        self, modality: OddModality, transactional_db: None
    ) -> None:
        """One operation at a time is what was negotiated: they are answered in their order."""
        make_items(2)
        line = modality.associated()
        sent = [message(FIND_CONTEXT, find_request(each), ENCODED_KEYS) for each in (1, 2, 3)]
        line.send(*sent, message(ECHO_CONTEXT, echo_request(4)))
        answers = [answer for _ in range(4) for answer in line.answers()]
        assert statuses(answers) == [0xFF00, 0xFF00, 0x0000] * 3 + [0x0000]
        assert [answer.number(0x00000120) for answer in answers] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
        assert_is_served(line)


class TestCancels:
    """PS3.7 section 9.3.2.3."""

    @pytest.mark.parametrize("number", [1, 12, 150])
    def test_of_what_nobody_asked_are_ignored(self, modality: OddModality, number: int) -> None:
        line = modality.associated()
        for each in range(number):
            line.send(message(FIND_CONTEXT, cancel_request(1000 + each)))
        assert statuses(found(line, KEYS, message_id=1)) == [0x0000]
        line.send(*[message(FIND_CONTEXT, cancel_request(each)) for each in range(number)])
        assert statuses(found(line, KEYS, message_id=number)) == [0x0000]
        assert_is_served(line)

    def test_of_another_message_end_no_answer(self, modality: OddModality, transactional_db: None) -> None:
        make_items(60)
        line = modality.associated()
        line.send(message(FIND_CONTEXT, find_request(7), ENCODED_KEYS))
        first = line.answer()
        line.send(*[message(FIND_CONTEXT, cancel_request(each)) for each in range(150) if each != 7])
        assert statuses([first, *line.answers()]) == [0xFF00] * 60 + [0x0000]
        assert_is_served(line)

    @pytest.mark.parametrize("after", [0, 5, 99])
    def test_may_come_at_any_moment_of_an_answer(
        self, modality: OddModality, deliveries: DeliveryLog, after: int
    ) -> None:
        make_items(100)
        line = modality.associated()
        line.send(message(FIND_CONTEXT, find_request(7), ENCODED_KEYS))
        answers = [line.answer() for _ in range(after)]
        line.send(message(FIND_CONTEXT, cancel_request(7)))
        answers += line.answers()
        assert set(statuses(answers[:-1])) <= set(PENDING)
        assert answers[-1].status == 0xFE00 or (answers[-1].status, len(answers)) == (0x0000, 101)
        assert_is_served(line)
        assert_what_went_out_is_kept_as_shown(deliveries, answers)

    def test_may_come_between_a_query_and_its_data_set_only_as_an_end(self, modality: OddModality) -> None:
        line = modality.associated()
        line.send(data(FIND_CONTEXT, IS_COMMAND | IS_LAST, command_set(find_request(7))))
        line.send(message(FIND_CONTEXT, cancel_request(7)))
        assert refusal(line)[:3] == (ABORT, 0, 2)

    def test_with_a_field_missing_end_the_association_or_are_ignored(self, modality: OddModality) -> None:
        line = modality.associated()
        line.send(message(FIND_CONTEXT, [us(COMMAND_FIELD, C_CANCEL), us(DATA_SET_TYPE, 0x0101)]))
        line.send(message(ECHO_CONTEXT, echo_request()))
        outcome = end_of(line)
        assert outcome[0] == ABORT or statuses(outcome) == [0x0000]  # type: ignore[arg-type]


def assert_what_went_out_is_kept_as_shown(deliveries: DeliveryLog, answers: list[Answer]) -> None:
    """Compare the rows with the deliveries in the database."""
    assert deliveries.flush()
    went_out = {read(answer.data_set)[ACCESSION].decode().strip() for answer in answers[:-1]}
    assert set(Delivery.objects.values_list("item__accession_number", flat=True)) == went_out


class TestAReleaseInTheMiddle:
    """A machine that loses patience must not read a part as the whole list."""

    @pytest.fixture(autouse=True)
    def _thousand_items(self, transactional_db: None, settings: Settings) -> None:
        settings.MWL_MAX_ROWS = 5000
        make_items(1000)

    @pytest.mark.parametrize("after", [0, 20, 900])
    def test_of_a_long_answer_gets_the_rest_or_is_told_that_it_is_a_part(
        self, modality: OddModality, deliveries: DeliveryLog, after: int
    ) -> None:
        line = modality.associated()
        line.send(message(FIND_CONTEXT, find_request(), ENCODED_KEYS))
        answers = [line.answer() for _ in range(after)]
        line.send(release_request())
        answers += line.answers()
        assert answers[-1].status == 0xFE00 or (len(answers), answers[-1].status) == (1001, 0x0000)
        assert line.receive().kind == RELEASED
        assert_what_went_out_is_kept_as_shown(deliveries, answers)

    @pytest.mark.parametrize("goes", [abort(), b""], ids=["A-ABORT", "closed"])
    def test_may_be_an_abort(self, modality: OddModality, goes: bytes) -> None:
        line = modality.associated()
        line.send(message(FIND_CONTEXT, find_request(), ENCODED_KEYS))
        line.answer()
        line.send(goes)
        line.close()


class TestTwoReports:
    """One woman's COMPLETED never ends another's step."""

    FIRST, SECOND = "2.25.1001", "2.25.1002"

    @pytest.fixture(autouse=True)
    def _steps(self, transactional_db: None, modality: OddModality) -> None:
        line = modality.associated()
        for number, uid in (("ACC1", self.FIRST), ("ACC2", self.SECOND)):
            WorklistItemFactory.create(accession_number=number, patient_id=NHS_NUMBER)
            assert ReportingModality(line).create(uid, started(number)).status == 0x0000
        line.release()

    def assert_nothing_has_changed(self) -> None:
        assert set(PerformedProcedureStep.objects.values_list("status", flat=True)) == {"IN PROGRESS"}
        assert PerformedProcedureStep.objects.count() == 2
        assert set(WorklistItem.objects.values_list("status", flat=True)) == {"IN PROGRESS"}

    @pytest.mark.parametrize(
        ("field", "part", "syntax"),
        [
            (N_SET, 0.0, IMPLICIT),
            (N_SET, 0.5, IMPLICIT),
            (N_SET, 0.5, EXPLICIT),
            (N_SET, 1.0, IMPLICIT),
            (N_CREATE, 0.5, IMPLICIT),
        ],
    )
    def test_half_of_a_data_set_is_never_joined_with_the_next(
        self, modality: OddModality, field: int, part: float, syntax: str
    ) -> None:
        """PS3.8 annex E.1: no command fragment within a data set."""
        whole = encoded(ended(), syntax)
        half = whole[: int(len(whole) * part) // 2 * 2]
        line = modality.associated(syntax)
        line.send(data(MPPS_CONTEXT, IS_COMMAND | IS_LAST, command_set(report_request(field, self.FIRST, 1))))
        line.send(data(MPPS_CONTEXT, 0, half))
        line.send(message(MPPS_CONTEXT, report_request(N_SET, self.SECOND, 2), whole))
        assert refusal(line)[:3] == (ABORT, 0, 2)
        self.assert_nothing_has_changed()

    def test_half_of_a_query_is_never_joined_with_a_report(self, modality: OddModality) -> None:
        line = modality.associated()
        line.send(data(FIND_CONTEXT, IS_COMMAND | IS_LAST, command_set(find_request())))
        line.send(data(FIND_CONTEXT, 0, ENCODED_KEYS[:4]))
        line.send(message(MPPS_CONTEXT, report_request(N_SET, self.SECOND, 2), encoded(ended())))
        assert refusal(line)[:3] == (ABORT, 0, 2)
        self.assert_nothing_has_changed()

    def test_the_rest_of_a_data_set_on_another_context_is_none(self, modality: OddModality) -> None:
        whole = encoded(ended())
        line = modality.associated()
        line.send(data(MPPS_CONTEXT, IS_COMMAND | IS_LAST, command_set(report_request(N_SET, self.FIRST))))
        line.send(data(MPPS_CONTEXT, 0, whole[:40]), data(FIND_CONTEXT, IS_LAST, whole[40:]))
        assert refusal(line)[:3] == (ABORT, 0, 2)
        self.assert_nothing_has_changed()

    @pytest.mark.parametrize("goes", [abort(), release_request(), b""], ids=["A-ABORT", "A-RELEASE-RQ", "closed"])
    def test_half_of_a_report_and_an_end_store_nothing(self, modality: OddModality, goes: bytes) -> None:
        whole = encoded(ended())
        line = modality.associated()
        line.send(data(MPPS_CONTEXT, IS_COMMAND | IS_LAST, command_set(report_request(N_SET, self.FIRST))))
        line.send(data(MPPS_CONTEXT, 0, whole[:-8]), goes)
        if goes == release_request():
            assert line.receive().kind in (ABORT, RELEASED)
        line.close()
        self.assert_nothing_has_changed()

    def test_a_report_without_its_class_or_instance_is_refused(self, modality: OddModality) -> None:
        for without in (REQUESTED_CLASS, 0x00001001):
            line = modality.associated()
            line.send(
                message(MPPS_CONTEXT, changed(report_request(N_SET, self.FIRST), without=[without]), encoded(ended()))
            )
            outcome = end_of(line)
            assert outcome[0] == ABORT or outcome[-1].status != 0x0000  # type: ignore[union-attr]
        self.assert_nothing_has_changed()


class TestADataSetThatDoesNotCome:
    """It is announced, and never comes or comes cut off: refused, never answered as far as it can be read."""

    @SYNTAXES
    @pytest.mark.parametrize("sent", [None, b"", ENCODED_KEYS[:12]], ids=["never", "empty", "half"])
    def test_of_a_query_is_refused(self, db: None, syntax: str, sent: bytes | None) -> None:
        with serving(data_set_seconds=0.2) as running:
            line = OddModality(port_of(running)).associated(syntax)
            line.send(data(FIND_CONTEXT, IS_COMMAND | IS_LAST, command_set(find_request())))
            if sent is not None:
                line.send(data(FIND_CONTEXT, 0, sent))
            outcome = end_of(line)
            line.close()
        if isinstance(outcome, list):
            (refused,) = outcome
            assert refused.status in (0xA900, 0xC000, 0xC310)
            assert refused.text(ERROR_COMMENT)

    @pytest.mark.parametrize("field", [N_SET, N_CREATE])
    @pytest.mark.parametrize("part", [None, 0.99])
    def test_of_a_report_stores_nothing(self, transactional_db: None, field: int, part: float | None) -> None:
        WorklistItemFactory.create(accession_number="ACC1", patient_id=NHS_NUMBER)
        whole = encoded(started("ACC1"))
        with serving(data_set_seconds=0.2) as running:
            line = OddModality(port_of(running)).associated()
            line.send(data(MPPS_CONTEXT, IS_COMMAND | IS_LAST, command_set(report_request(field, "2.25.5"))))
            if part is not None:
                line.send(data(MPPS_CONTEXT, 0, whole[: int(len(whole) * part)]))
            outcome = end_of(line)
            line.close()
        assert not isinstance(outcome, list) or outcome[0].status in (0x0110, 0x0112, 0x0120)
        assert not PerformedProcedureStep.objects.exists()


class TestSlowRequestors:
    """Bytes a second: each arrives in time, but not all of them."""

    @pytest.mark.parametrize("before", [0, 1], ids=["a request", "a message"])
    def test_are_let_go(self, db: None, monkeypatch: pytest.MonkeyPatch, before: int) -> None:
        monkeypatch.setattr("dicom.server.ARTIM_SECONDS", 0.3)
        with serving(data_set_seconds=0.3) as running:
            line = OddModality(port_of(running)).sends()
            slow = association_request()
            if before:
                line.send(association_request())
                line.accepted()
                slow = message(FIND_CONTEXT, find_request(), bytes(100), 20)
            began = time.monotonic()
            line.socket.settimeout(0.03)
            ended_with = first_pdu_while_dripping(line, slow)
            assert time.monotonic() - began < 5
            assert ended_with in (ABORT, CLOSED)
            assert running.policy.open_associations() == 0
            line.close()


def first_pdu_while_dripping(line: RawAssociation, content: bytes) -> int:
    """Send one byte at each timeout of the socket, and return the type of the first PDU that comes."""
    for byte in content:
        line.send(bytes([byte]))
        try:
            return line.receive().kind
        except TimeoutError:
            continue
    raise AssertionError("the server took all of it")


def test_a_server_stops_within_seconds_whatever_state_its_associations_are_in(transactional_db: None) -> None:
    WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(200, patient_comments="x" * 10000))
    with serving() as running:
        odd = OddModality(port_of(running))
        keys = encoded([Element(0x00104000, "LT")])
        lines = {
            "nothing was sent": odd.sends(),
            "half of a request": odd.sends(association_request()[:50]),
            "no PDU": odd.sends(b"\x47\x45\x54 "),
            "an association": odd.associated(),
            "half of a command set": odd.associated(),
            "half of a data set": odd.associated(),
            "an answer that is not read": odd.associated(),
            "a release that is not closed": odd.associated(),
        }
        lines["half of a command set"].send(data(FIND_CONTEXT, IS_COMMAND, command_set(find_request())[:20]))
        lines["half of a data set"].send(
            data(FIND_CONTEXT, 3, command_set(find_request())), data(FIND_CONTEXT, 0, keys[:4])
        )
        lines["an answer that is not read"].send(message(FIND_CONTEXT, find_request(), keys))
        lines["a release that is not closed"].release()
        began = time.monotonic()
        stop_server(running)
        assert time.monotonic() - began < STOP_SECONDS + 2
        for state in ("an association", "half of a command set", "half of a data set"):
            assert lines[state].receive().kind == ABORT, state
        for line in lines.values():
            line.close()
