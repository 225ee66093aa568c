"""Act as a modality with odd habits, byte by byte."""

from dataclasses import dataclass, field

from tests.dicom.raw import (
    ABORT,
    ECHO_CONTEXT,
    FIND_CONTEXT,
    IMPLICIT,
    REJECT,
    STATUS,
    Answer,
    DataSet,
    RawAssociation,
    association_request,
    echo_request,
    encoded,
    find_request,
    results,
    usual_offers,
)

#: A modality waits 30 seconds or less; an answer, a refusal or an abort comes well before. Seconds.
PROMPTLY = 8.0


@dataclass
class OddModality:
    """Opens connections on which the test writes every byte."""

    port: int
    connections: list[RawAssociation] = field(default_factory=list)

    def sends(self, *pdus: bytes, transfer_syntax: str = IMPLICIT) -> RawAssociation:
        """Connect and send these PDUs."""
        line = RawAssociation.opened(self.port, *pdus, transfer_syntax=transfer_syntax, patience=PROMPTLY)
        self.connections.append(line)
        return line

    def associated(self, transfer_syntax: str = IMPLICIT) -> RawAssociation:
        """Open an association with the usual presentation contexts."""
        line = self.sends(association_request(usual_offers(transfer_syntax)), transfer_syntax=transfer_syntax)
        assert set(results(line.accepted()).values()) == {0}
        return line


def refusal(line: RawAssociation) -> tuple[int, int, int, int]:
    """Return the next PDU, an A-ASSOCIATE-RJ or an A-ABORT, as its type, result (0 for none), source and reason."""
    received = line.receive()
    assert received.kind in (REJECT, ABORT), received
    assert len(received.content) == 4
    return received.kind, *received.content[1:]


def assert_is_served(line: RawAssociation, context_id: int = ECHO_CONTEXT) -> None:
    """Check that a C-ECHO is answered, and that the association ends in order."""
    assert [answer.status for answer in line.ask(context_id, echo_request(77))] == [0x0000]
    line.release()
    line.close()


def found(line: RawAssociation, keys: DataSet, message_id: int = 1) -> list[Answer]:
    """Send a C-FIND, and return all responses."""
    return line.ask(FIND_CONTEXT, find_request(message_id), encoded(keys, line.transfer_syntax))


def statuses(answers: list[Answer]) -> list[int]:
    """The statuses of responses, some of which may lack one."""
    return [answer.status for answer in answers if STATUS in answer.elements]
