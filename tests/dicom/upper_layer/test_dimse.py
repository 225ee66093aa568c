"""Messages from fragments, and the command sets of responses."""

import struct

import pytest

from dicom.upper_layer.acceptor import Limits
from dicom.upper_layer.dimse import (
    Cancel,
    Command,
    CommandField,
    Dimse,
    DimseError,
    Element,
    Message,
    Status,
    decode_command,
    encode_response,
    encode_tags,
    encode_text,
    encode_uid,
    refusal_of,
)
from dicom.upper_layer.negotiation import PresentationContext
from dicom.upper_layer.pdu import PduType, PresentationDataValue, decode_pdu
from tests.dicom import raw
from tests.dicom.raw import ECHO_CONTEXT, FIND_CONTEXT, MPPS_CONTEXT

CONTEXTS = {
    ECHO_CONTEXT: PresentationContext(ECHO_CONTEXT, raw.VERIFICATION, raw.IMPLICIT, {CommandField.C_ECHO_RQ}),
    FIND_CONTEXT: PresentationContext(FIND_CONTEXT, raw.WORKLIST, raw.IMPLICIT, {CommandField.C_FIND_RQ}),
    MPPS_CONTEXT: PresentationContext(
        MPPS_CONTEXT, raw.MPPS, raw.IMPLICIT, {CommandField.N_CREATE_RQ, CommandField.N_SET_RQ}
    ),
}
N_SET_OF_ONE, N_SET_OF_ANOTHER = (raw.report_request(raw.N_SET, f"2.25.{number}") for number in (1, 2))


class Receiver:
    """A Dimse whose clock the test sets."""

    def __init__(self, **limits: int) -> None:
        self.now = 0.0
        self.dimse = Dimse(CONTEXTS, lambda: self.now, Limits(patience=10, **limits))

    def takes(self, pdus: bytes) -> list[Message | Cancel]:
        """Take whole P-DATA-TF PDUs."""
        taken: list[Message | Cancel] = []
        while pdus:
            length = int.from_bytes(pdus[2:6], "big")
            values = decode_pdu(PduType.P_DATA_TF, pdus[6 : 6 + length], 100)
            assert isinstance(values, tuple)
            taken += self.dimse.receive(values)
            pdus = pdus[6 + length :]
        return taken


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


class TestMessages:
    @pytest.mark.parametrize("fragment", [2, 7, 16372])
    def test_are_put_together_from_fragments(self, receiver: Receiver, fragment: int) -> None:
        (message,) = receiver.takes(raw.message(FIND_CONTEXT, raw.find_request(9), b"identifier", fragment))
        assert isinstance(message, Message)
        assert (message.command.field, message.command.message_id, message.data_set) == (0x0020, 9, b"identifier")
        assert message.context is CONTEXTS[FIND_CONTEXT]
        assert receiver.dimse.deadline is None

    def test_may_follow_one_another_with_a_cancel_between(self, receiver: Receiver) -> None:
        echo = raw.message(ECHO_CONTEXT, raw.echo_request())
        taken = receiver.takes(echo + raw.message(FIND_CONTEXT, raw.cancel_request(7)) + echo)
        assert [type(each) for each in taken] == [Message, Cancel, Message]
        assert taken[1] == Cancel(7)

    def test_go_to_a_sink_piece_by_piece(self) -> None:
        pieces: list[bytes] = []

        class Sink:
            def write(self, fragment: bytes | memoryview) -> None:
                pieces.append(bytes(fragment))

            def getvalue(self) -> int:
                return len(pieces)

            def discard(self) -> None:
                pieces.clear()

        dimse = Dimse(CONTEXTS, lambda: 0.0, sink_for=lambda _context, _command: Sink())
        for fragment, header in ((raw.command_set(raw.find_request()), 0b11), (b"ab", 0), (b"cd", 0)):
            value = PresentationDataValue(FIND_CONTEXT, bool(header & 1), bool(header & 2), fragment)
            assert list(dimse.receive([value])) == []
        assert pieces == [b"ab", b"cd"]
        dimse.discard()
        assert pieces == []

    def test_are_given_before_a_fault_in_the_same_pdu(self, receiver: Receiver) -> None:
        """Whoever gets a message has its data set, and with it a file; nobody else would remove it."""
        echo = PresentationDataValue(
            ECHO_CONTEXT, is_command=True, is_last=True, fragment=raw.command_set(raw.echo_request())
        )
        stray = PresentationDataValue(ECHO_CONTEXT, is_command=False, is_last=True, fragment=b"stray")
        taken = receiver.dimse.receive([echo, stray])
        assert isinstance(next(taken), Message)
        with pytest.raises(DimseError, match="stray"):
            next(taken)

    def test_are_limited_in_length(self) -> None:
        with pytest.raises(DimseError, match="too long"):
            Receiver(command_length=20).takes(raw.message(ECHO_CONTEXT, raw.echo_request()))
        with pytest.raises(DimseError, match="too long"):
            Receiver(data_set_length=200).takes(raw.message(FIND_CONTEXT, raw.find_request(), bytes(300)))


class TestWhatIsWithinAMessage:
    """PS3.8 annex E.1: the parts of two messages never become one."""

    half = raw.message(MPPS_CONTEXT, N_SET_OF_ONE) + raw.data(MPPS_CONTEXT, 0, b"half")

    @pytest.mark.parametrize(
        "then",
        [
            raw.message(MPPS_CONTEXT, N_SET_OF_ANOTHER, b"whole"),
            raw.message(FIND_CONTEXT, raw.find_request(), b"whole"),
            raw.data(FIND_CONTEXT, 0b10, b"rest"),
            raw.message(MPPS_CONTEXT, raw.cancel_request(1)),
        ],
    )
    def test_ends_the_association(self, receiver: Receiver, then: bytes) -> None:
        receiver.takes(self.half)
        with pytest.raises(DimseError):
            receiver.takes(then)

    @pytest.mark.parametrize("stray", [raw.data(FIND_CONTEXT, 0b10, b"x"), raw.message(99, raw.echo_request())])
    def test_or_without_one_ends_it_too(self, receiver: Receiver, stray: bytes) -> None:
        with pytest.raises(DimseError):
            receiver.takes(stray)


class TestTime:
    @pytest.mark.parametrize("begun", [b"", raw.data(MPPS_CONTEXT, 0, b"half")])
    def test_a_data_set_that_does_not_come_completes_its_message_without_one(
        self, receiver: Receiver, begun: bytes
    ) -> None:
        receiver.takes(raw.message(MPPS_CONTEXT, N_SET_OF_ONE) + begun)
        receiver.now = receiver.dimse.deadline or 0
        assert 10 < receiver.now < 11
        (message,) = receiver.dimse.expire()
        assert isinstance(message, Message)
        assert message.data_set is None
        with pytest.raises(DimseError, match="stray"):
            receiver.takes(raw.data(MPPS_CONTEXT, 0b10, b"late"))

    def test_a_command_set_that_does_not_come_ends_the_association(self, receiver: Receiver) -> None:
        receiver.takes(raw.data(ECHO_CONTEXT, 0b01, b"\0\0"))
        receiver.now = 9
        assert receiver.dimse.expire() == []
        receiver.now = 11
        with pytest.raises(DimseError, match="too slowly"):
            receiver.dimse.expire()


class TestACommandSet:
    def test_may_lie_about_its_group_length(self) -> None:
        content = raw.command_set(raw.echo_request(5))
        for lying in (content[:8] + b"\xff\xff\xff\xff" + content[12:], content[12:]):
            assert decode_command(lying).message_id == 5

    def test_may_have_a_field_with_two_values(self) -> None:
        command = raw.changed(raw.echo_request(), raw.us(raw.MESSAGE_ID, 5, 6))
        assert decode_command(raw.command_set(command)).message_id == 5

    @pytest.mark.parametrize(
        "content",
        [
            raw.command_set(raw.echo_request())[:-1],
            raw.command_set(raw.echo_request()) + b"\0\0",
            raw.command_set(raw.echo_request()) + raw.encoded([raw.us(raw.MESSAGE_ID, 9)]),
            raw.encoded([raw.us(0x00080000, 1)]),
        ],
    )
    def test_that_is_cut_off_or_ambiguous_ends_the_association(self, content: bytes) -> None:
        with pytest.raises(DimseError):
            decode_command(content)

    @pytest.mark.parametrize("tag", [raw.COMMAND_FIELD, raw.MESSAGE_ID, raw.DATA_SET_TYPE])
    def test_without_what_an_answer_needs_ends_the_association(self, receiver: Receiver, tag: int) -> None:
        for missing in (raw.changed(raw.echo_request(), without=[tag]), raw.changed(raw.echo_request(), raw.us(tag))):
            with pytest.raises(DimseError):
                receiver.takes(raw.message(ECHO_CONTEXT, missing))

    def test_of_a_response_ends_the_association(self, receiver: Receiver) -> None:
        with pytest.raises(DimseError, match="nobody made"):
            receiver.takes(
                raw.message(ECHO_CONTEXT, raw.changed(raw.echo_request(), raw.us(raw.COMMAND_FIELD, 0x8888)))
            )


class TestRefusals:
    @pytest.mark.parametrize(
        ("context", "command", "status"),
        [
            (ECHO_CONTEXT, raw.echo_request(), None),
            (ECHO_CONTEXT, raw.changed(raw.echo_request(), without=[raw.AFFECTED_CLASS]), None),
            (MPPS_CONTEXT, raw.echo_request(), Status.UNRECOGNIZED_OPERATION),
            (FIND_CONTEXT, raw.changed(raw.find_request(), raw.us(raw.COMMAND_FIELD, 0x0777)), 0x0211),
            (FIND_CONTEXT, raw.find_request(), None),
            (FIND_CONTEXT, raw.changed(raw.find_request(), without=[raw.AFFECTED_CLASS]), Status.CLASS_NOT_SUPPORTED),
            (MPPS_CONTEXT, N_SET_OF_ONE, None),
            (
                MPPS_CONTEXT,
                raw.changed(N_SET_OF_ONE, raw.Element(raw.REQUESTED_CLASS, "UI", raw.VERIFICATION)),
                Status.NO_SUCH_CLASS,
            ),
            (MPPS_CONTEXT, raw.report_request(raw.N_CREATE, "MAMMO1"), Status.INVALID_INSTANCE),
            (MPPS_CONTEXT, raw.report_request(raw.N_CREATE, b""), Status.INVALID_INSTANCE),
        ],
    )
    def test_are_of_what_the_presentation_context_does_not_have(
        self, context: int, command: raw.DataSet, status: int | None
    ) -> None:
        assert refusal_of(Message(CONTEXTS[context], decode_command(raw.command_set(command)))) == status


def test_a_response_has_its_elements_in_their_order_behind_their_length() -> None:
    request = decode_command(raw.command_set(raw.report_request(raw.N_SET, "2.25.1", message_id=7)))
    elements = {
        Element.ERROR_COMMENT: encode_text("too lönge " * 10),
        Element.ATTRIBUTE_IDENTIFIER_LIST: encode_tags([0x00400252]),
        Element.AFFECTED_SOP_INSTANCE_UID: encode_uid("2.25.1"),
    }
    response = encode_response(request, 0x0120, elements=elements)
    (length,) = struct.unpack("<L", response[8:12])
    assert length == len(response) - 12
    read = raw.read(response)
    assert list(read) == sorted(read)
    assert read[raw.AFFECTED_CLASS].rstrip(b"\0").decode() == raw.MPPS
    assert Command(read).field == 0x8120
    assert read[raw.STATUS] == b"\x20\x01"
    assert len(read[raw.ERROR_COMMENT]) == 64
    assert read[0x00001005] == b"\x40\x00\x52\x02"
    assert all(len(value) % 2 == 0 for value in read.values())
