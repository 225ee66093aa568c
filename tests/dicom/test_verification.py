"""An odd server is described by what it answered: in one error, with its numbers, and without a library's traceback.

Each server here is a socket that sends given bytes; most were seen on machines in the field.
"""

import logging
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dicom.verification import VerificationFailed, VerificationScu

PATIENCE = 1.0


def pdu(pdu_type: int, body: bytes) -> bytes:
    """Return a PDU of PS3.8 section 9.3."""
    return struct.pack(">BBL", pdu_type, 0, len(body)) + body


def item(item_type: int, body: bytes) -> bytes:
    return struct.pack(">BBH", item_type, 0, len(body)) + body


def context(context_id: int, result: int, *transfer_syntaxes: bytes) -> bytes:
    """Return a presentation context item of an A-ASSOCIATE-AC."""
    syntaxes = b"".join(item(0x40, uid) for uid in transfer_syntaxes)
    return item(0x21, bytes((context_id, 0, result, 0)) + syntaxes)


def accept(*items: bytes, titles: bytes = b"MAMMO1".ljust(16) + b"GATEWAY_MWL".ljust(16)) -> bytes:
    """Return an A-ASSOCIATE-AC with these items instead of the usual one."""
    application_context = item(0x10, b"1.2.840.10008.3.1.1.1")
    user_information = item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3"))
    contexts = b"".join(items) or context(1, 0, b"1.2.840.10008.1.2")
    return pdu(0x02, b"\0\1\0\0" + titles + bytes(32) + application_context + contexts + user_information)


def command(*elements: tuple[int, bytes]) -> bytes:
    """Return the bytes of a command set, without its group length."""
    return b"".join(struct.pack("<HHL", 0, number, len(value)) + value for number, value in elements)


def data(value: bytes, header: int = 0b11) -> bytes:
    """Return a P-DATA-TF of one command fragment."""
    return pdu(0x04, struct.pack(">LBB", len(value) + 2, 1, header) + value)


ECHO_RESPONSE = command(
    (0x0002, b"1.2.840.10008.1.1\0"),
    (0x0100, b"\x30\x80"),
    (0x0120, b"\1\0"),
    (0x0800, b"\1\1"),
    (0x0900, b"\0\0"),
)
SUCCESS = data(ECHO_RESPONSE)
RELEASED = pdu(0x06, bytes(4))


@contextmanager
def odd_server(*answers: bytes, closes: bool = True, received: list[bytes] | None = None) -> Iterator[int]:
    """Serve one connection: answer each PDU with the next of these, then close, or receive until the client closes."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, connection.makefile("rb") as stream:
            for answer in answers:
                (length,) = struct.unpack(">2xL", stream.read(6))
                stream.read(length)
                connection.sendall(answer)
            if not closes:
                rest = stream.read()
                if received is not None:
                    received.append(rest)

    thread = threading.Thread(target=serve)
    thread.start()
    with listening:
        yield int(listening.getsockname()[1])
        thread.join(10 * PATIENCE)
    assert not thread.is_alive()


@pytest.fixture(autouse=True)
def silent_libraries(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing reaches the log or the terminal but what the command prints."""
    caplog.set_level(logging.DEBUG)
    yield
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def scu(port: int) -> VerificationScu:
    return VerificationScu("127.0.0.1", port, "MAMMO1", "GATEWAY_MWL", PATIENCE)


def verify(*answers: bytes, closes: bool = True) -> list[str]:
    """Return the phases that succeeded with a server of these answers."""
    phases: list[str] = []
    with odd_server(*answers, closes=closes) as port:
        scu(port).verify(lambda line: phases.append(line.partition(":")[0]))
    return phases


def failure(*answers: bytes, closes: bool = True) -> str:
    """Return the error with a server of these answers."""
    with pytest.raises(VerificationFailed) as caught:
        verify(*answers, closes=closes)
    return str(caught.value)


ALL_PHASES = ["TCP", "Association", "C-ECHO"]


class TestOddServersThatAnswer:
    @pytest.mark.parametrize(
        "acceptance",
        [
            accept(),
            accept(context(1, 0, b"1.2.840.10008.1.2"), context(3, 3)),
            accept(context(3, 4), context(1, 0, b"1.2.840.10008.1.2")),
            accept(context(1, 0)),
            accept(titles=b"\xc0\xb3\x60\x49\xfc\x7f" + bytes(26)),
            accept(titles=bytes(32)),
            accept(context(1, 0, b"1.2.840.10008.1.2"), item(0x7F, b"?")),
        ],
    )
    def test_an_oddity_in_the_acceptance_is_no_failure(self, acceptance: bytes) -> None:
        assert verify(acceptance, SUCCESS, RELEASED) == ALL_PHASES

    @pytest.mark.parametrize("released", [b"", pdu(0x07, bytes(4)), b"?", RELEASED])
    def test_an_echo_counts_whatever_follows(self, released: bytes) -> None:
        assert verify(accept(), SUCCESS, released) == ALL_PHASES

    def test_a_response_may_come_in_fragments(self) -> None:
        fragments = data(ECHO_RESPONSE[:30], 0b01) + data(ECHO_RESPONSE[30:])
        assert verify(accept(), fragments, RELEASED) == ALL_PHASES


class TestAssociation:
    def test_an_unknown_rejection_is_told_with_its_numbers(self) -> None:
        assert failure(pdu(0x03, bytes((0, 2, 3, 56)))) == (
            "Association: rejected: source 3, reason 56, which DICOM does not define. Look in the modality's log"
        )

    def test_a_rejection_may_be_cut_off(self) -> None:
        assert "rejected: source 3, reason 0" in failure(pdu(0x03, bytes((0, 2, 3))))

    def test_an_abort_is_told_with_its_numbers(self) -> None:
        assert failure(pdu(0x07, bytes((0, 0, 2, 1)))).startswith(
            "Association: it aborted the association (source 2, reason 1). "
        )

    @pytest.mark.parametrize("contexts", [(context(1, 3),), (context(3, 0),), (item(0x21, b"\1"),)])
    def test_verification_may_be_rejected(self, contexts: tuple[bytes, ...]) -> None:
        assert failure(accept(*contexts)).startswith("Association: accepted without Verification")

    @pytest.mark.parametrize(
        "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\0\2\2\x28", b"\2\0" + b"\xff" * 9]
    )
    def test_another_protocol_is_recognised(self, answer: bytes) -> None:
        assert failure(answer) == (
            "Association: it answered with something that is not DICOM. Check that this is its DICOM port, without TLS"
        )

    def test_a_pdu_that_does_not_belong_is_named(self) -> None:
        assert "it answered with a PDU of type 06H, which is wrong here" in failure(RELEASED)

    @pytest.mark.parametrize("sent", [3, 6, 60])
    def test_an_answer_may_stop_half_way(self, sent: int) -> None:
        text = failure(accept()[:sent])
        assert text.startswith(f"Association: its answer stops half-way, after {sent} bytes")
        assert ": it closed the connection. " in text

    def test_an_answer_may_stop_and_leave_the_connection_open(self) -> None:
        assert ": nothing more came in time. " in failure(accept()[:60], closes=False)

    def test_silence_is_not_the_end_of_a_connection(self) -> None:
        assert failure(b"") == (
            "Association: it closed the connection without an answer. Check that this is its DICOM port, without TLS"
        )
        assert failure(b"", closes=False) == (
            "Association: it sent nothing within 1 s. Check that this is its DICOM port, without TLS"
        )


class TestEcho:
    @pytest.mark.parametrize(
        ("answer", "problem"),
        [
            (b"", "it closed the connection without an answer"),
            (SUCCESS[:40], "its answer stops half-way, after 40 bytes of a PDU of "),
            (data(ECHO_RESPONSE, 0b01), "its answer stops half-way, after 0 bytes: it closed the connection"),
            (pdu(0x07, bytes(4)), "it aborted the association (source 0, reason 0)"),
            (pdu(0x05, bytes(4)), "it released the association without an answer"),
            (data(b"?" * 40), "its answer has no status, or cannot be read"),
            (pdu(0x04, b"\0\0\0\0" * 3), "its answer stops half-way"),
            (data(b"\0" * (1 << 17), 0b01), "its answer has no status, or cannot be read"),
            (data(command((0x0900, b"\x22\x01"))) + RELEASED, "it answered with status 0122"),
        ],
    )
    def test_a_failure_is_told_as_it_was(self, answer: bytes, problem: str) -> None:
        assert failure(accept(), answer).startswith(f"C-ECHO: {problem}")

    def test_an_association_that_fails_is_aborted(self) -> None:
        received: list[bytes] = []
        with (
            odd_server(accept(), RELEASED, closes=False, received=received) as port,
            pytest.raises(VerificationFailed),
        ):
            scu(port).verify(lambda _: None)
        assert received == [pdu(0x07, bytes(4))]
