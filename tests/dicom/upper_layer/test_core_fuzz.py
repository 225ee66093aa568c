"""Feed the upper layer what no modality should send.

It raises nothing but its own, comes to an end, and keeps no more than its limits. `recorded` holds what DCMTK's echoscu
and findscu, pynetdicom and the reports of raw_mpps.py sent to a server. `make test-long` plays 100,000 mutated
associations; the number of each is its seed.
"""

import gc
import random
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom.upper_layer.acceptor import (
    AssociationRequested,
    DataReceived,
    Event,
    Limits,
    ReleaseRequested,
    State,
    UpperLayer,
)
from dicom.upper_layer.dimse import Cancel, CommandField, Dimse, DimseError, Message, encode_response, refusal_of
from dicom.upper_layer.negotiation import Implementation, Offer, negotiate, rejection_of
from tests.conftest import ORDINARY
from tests.dicom import raw
from tests.dicom.malformed import mutated

pytestmark = pytest.mark.once

#: How many mutated associations are played, usually and in `make test-long`.
USUALLY, LONG = 1500, 100_000
RECORDED = [file.read_bytes() for file in sorted((Path(__file__).parent / "recorded").glob("*.bin"))]
SEEDS = [
    *RECORDED,
    raw.association_request(
        user=[
            raw.longest(31),
            raw.item(raw.CLASS, raw.IMPLEMENTATION),
            raw.item(raw.OPERATIONS_WINDOW, b"\0\5\0\5"),
            raw.item(raw.ROLES, b"\0\x16" + raw.WORKLIST.encode() + b"\1\0"),
            raw.item(raw.VERSION, b"ACME"),
            raw.item(raw.EXTENDED, b"\0\x16" + raw.WORKLIST.encode() + b"\1\1\1"),
            raw.item(raw.IDENTITY, b"\2\1\0\1a\0\1b"),
        ]
    )
    + raw.message(raw.FIND_CONTEXT, raw.find_request(), bytes(40), 14)
    + raw.message(raw.FIND_CONTEXT, raw.cancel_request(1)) * 3
    + raw.release_request()
    + raw.abort(2, 6),
]
LIMITS = Limits(pdu_length=2000, items=50, command_length=600, data_set_length=3000)
#: What may be kept of one association: a PDU and a message, each copied as it grows. Bytes.
MOST_KEPT = 40_000
OFFERS = [
    Offer(raw.VERIFICATION, [raw.EXPLICIT, raw.IMPLICIT], {CommandField.C_ECHO_RQ}),
    Offer(raw.WORKLIST, [raw.EXPLICIT, raw.IMPLICIT], {CommandField.C_FIND_RQ}, b"\1\1\0\0"),
    Offer(raw.MPPS, [raw.EXPLICIT, raw.IMPLICIT], {CommandField.N_CREATE_RQ, CommandField.N_SET_RQ}),
]
US = Implementation("1.2.3", "TEST")


class Acceptor:
    """An upper layer with a service above it that answers every request with 0000."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.layer = UpperLayer(lambda: self.now, LIMITS)
        self.dimse: Dimse | None = None
        self.sent: list[raw.Pdu] = []
        self.longest = 0
        self.messages = 0

    def receives(self, data: bytes) -> None:
        """Take bytes, and do what a server does with the events."""
        for event in self.layer.receive_data(data):
            self._take(event)
        self._send()

    def waits(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.layer.expire()
        if self.dimse and self.layer.is_established:
            try:
                self._answer(self.dimse.expire())
            except DimseError as error:
                self.layer.abort(str(error))
        self._send()

    def _take(self, event: Event) -> None:
        match event:
            case AssociationRequested(request) if self.layer.state is State.AWAITING_LOCAL_ACCEPTANCE:
                if rejection := rejection_of(request):
                    self.layer.reject(rejection.result, rejection.source, rejection.reason)
                    return
                acceptance = negotiate(request, OFFERS, US)
                self.longest = request.maximum_length or 0
                self.dimse = Dimse(acceptance.contexts, lambda: self.now, LIMITS)
                self.layer.accept(acceptance)
            case DataReceived(values) if self.dimse and self.layer.is_established:
                try:
                    self._answer(self.dimse.receive(values))
                except DimseError as error:
                    self.layer.abort(str(error))
            case ReleaseRequested() if self.layer.state is State.AWAITING_LOCAL_RELEASE:
                self.layer.release()

    def _answer(self, completed: Iterable[Message | Cancel]) -> None:
        for each in completed:
            if isinstance(each, Message) and self.layer.is_established:
                self.messages += 1
                response = encode_response(each.command, refusal_of(each) or 0x0000)
                self.layer.send_message(each.context.id, response)

    def _send(self) -> None:
        """Read what goes out: whole PDUs of known types."""
        out = self.layer.data_to_send()
        while out:
            length = int.from_bytes(out[2:6], "big")
            assert len(out) >= 6 + length
            assert raw.ACCEPT <= out[0] <= raw.ABORT
            assert out[0] != raw.DATA or not self.longest or length <= self.longest
            self.sent.append(raw.Pdu(out[0], out[6 : 6 + length]))
            out = out[6 + length :]


def kept(*owners: object) -> int:
    """The size of all bytes and containers that these objects keep. Bytes."""
    seen, waiting, size = set(), [vars(owner) for owner in owners if owner], 0
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, bytes | bytearray | list | tuple | dict | str):
            size += sys.getsizeof(each)
        if isinstance(each, list | tuple | dict) or type(each).__module__.startswith("dicom.upper_layer"):
            waiting += [part for part in gc.get_referents(each) if not isinstance(part, type)]
    return size


def played(chunks: Iterable[bytes], pauses: Iterable[float] = ()) -> Acceptor:
    """Play an association to its end; raise what the core raises."""
    acceptor = Acceptor()
    for chunk, pause in zip(chunks, [*pauses, *[0.0] * 100_000], strict=False):
        acceptor.receives(chunk)
        if pause:
            acceptor.waits(pause)
    assert kept(acceptor.layer, acceptor.dimse) < MOST_KEPT
    return acceptor


def assert_ends(acceptor: Acceptor) -> None:
    """Check that a requestor which says no more is let go."""
    for _ in range(5):
        if acceptor.layer.is_closed:
            return
        assert acceptor.layer.deadline is not None
        acceptor.waits(max(acceptor.layer.deadline - acceptor.now, 0.0))
    assert acceptor.layer.is_closed


def split_request(content: bytes) -> tuple[bytes, bytes]:
    """Return the A-ASSOCIATE-RQ, and what follows it: a requestor waits for the answer in between."""
    length = 6 + int.from_bytes(content[2:6], "big")
    return content[:length], content[length:]


@pytest.fixture
def trials() -> int:
    """How many associations to play."""
    return LONG if hypothesis.settings().max_examples > ORDINARY else USUALLY


def test_mutated_associations_are_answered_refused_or_aborted(trials: int) -> None:
    ends, messages = Counter[int](), 0
    for trial in range(trials):
        chance = random.Random(trial)
        content = chance.choice(SEEDS)
        request, rest = split_request(content)
        is_requested = trial % 4  # most requests stay as they were, so that messages are reached
        chunks = [request, mutated(chance, rest)] if is_requested else [mutated(chance, request), rest]
        size = chance.choice((13, 100, 10_000, 10_000))
        pieces = [chunk[at : at + size] for chunk in chunks for at in range(0, len(chunk), size)]
        acceptor = played(pieces, [chance.choice((0.0, 0.0, 1.0))] * 3)
        ends[acceptor.sent[-1].kind if acceptor.sent else raw.CLOSED] += 1
        messages += acceptor.messages
        assert_ends(acceptor)
    assert messages > trials / 10
    assert {raw.RELEASED, raw.ABORT, raw.REJECT, raw.ACCEPT, raw.DATA} <= set(ends), ends


LYING_PDU = st.builds(
    lambda kind, length, content: bytes([kind, 0]) + length.to_bytes(4, "big") + content,
    st.integers(0, 9),
    st.integers(0, 3000),
    st.binary(max_size=200),
)
PDU = st.builds(raw.pdu, st.integers(0, 9), st.binary(max_size=200))
VALUE = st.builds(
    raw.data,
    st.sampled_from([1, 3, 5, 7, 2]),
    st.sampled_from([0, 1, 2, 3, 3, 0xFF]),
    st.binary(max_size=300)
    | st.sampled_from([raw.command_set(raw.find_request()), raw.command_set(raw.cancel_request(1))]),
)
TAGS = [*(each.tag for each in raw.find_request()), raw.STATUS, raw.RESPONDED_TO, raw.REQUESTED_UID]
COMMAND = st.builds(
    lambda elements: raw.data(raw.FIND_CONTEXT, 3, raw.command_set(elements)),
    st.lists(
        st.builds(
            raw.Element,
            st.sampled_from(TAGS),
            st.just("UN"),
            st.binary(max_size=12) | st.sampled_from([b"\x20\0", b"\x01\x01", raw.WORKLIST.encode()]),
        ),
        max_size=8,
    ),
)


@given(
    st.lists(PDU | LYING_PDU | VALUE | COMMAND | st.sampled_from(SEEDS), max_size=12),
    st.lists(st.floats(0, 30), max_size=12),
    st.booleans(),
)
def test_whatever_comes_after_a_request_ends_or_is_answered(
    pdus: list[bytes], pauses: list[float], is_requested: bool
) -> None:
    acceptor = played([raw.association_request()] * is_requested + pdus, pauses)
    assert_ends(acceptor)


@given(st.lists(st.binary(max_size=400), max_size=20))
def test_any_bytes_end_or_are_answered(chunks: list[bytes]) -> None:
    assert_ends(played(chunks))


@given(st.sampled_from(RECORDED), st.data())
def test_how_the_bytes_are_split_changes_nothing(content: bytes, data: st.DataObject) -> None:
    request, rest = split_request(content)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rest) - 1), max_size=8)))
    pieces = [rest[start:end] for start, end in zip([0, *cuts], [*cuts, len(rest)], strict=True)]
    assert played([request, *pieces]).sent == played([request, rest]).sent


class TestWhatIsKept:
    """A requestor that never comes to an end costs no more than the limits."""

    def kept_after(self, part: bytes, times: int = 10_000) -> Acceptor:
        return played([raw.association_request(), *[part] * times])

    @pytest.mark.parametrize(
        "part",
        [
            pytest.param(raw.data(raw.FIND_CONTEXT, raw.IS_COMMAND, b""), id="empty fragments of a command set"),
            pytest.param(raw.data(raw.FIND_CONTEXT, raw.IS_COMMAND, bytes(10)), id="a command set without an end"),
            pytest.param(b"\x04\0\0\0\x07\xd0" + bytes(10), id="a PDU without an end"),
            pytest.param(raw.message(raw.FIND_CONTEXT, raw.cancel_request(5)), id="C-CANCELs of nothing"),
        ],
    )
    def test_of_what_has_no_end_is_limited(self, part: bytes) -> None:
        self.kept_after(part)

    @pytest.mark.parametrize("fragment", [b"", bytes(10)], ids=["empty fragments", "a data set without an end"])
    def test_of_a_data_set_without_an_end_is_limited(self, fragment: bytes) -> None:
        announced = raw.message(raw.FIND_CONTEXT, raw.find_request())
        played([raw.association_request(), announced, *[raw.data(raw.FIND_CONTEXT, 0, fragment)] * 10_000])

    def test_of_too_many_items_is_nothing(self) -> None:
        acceptor = played([raw.association_request([raw.offer(1, raw.VERIFICATION)] * 60)])
        assert [each.kind for each in acceptor.sent] == [raw.ABORT]
        values = b"".join([b"\0\0\0\2\3\1"] * 60)
        acceptor = played([raw.association_request(), raw.pdu(raw.DATA, values)])
        assert [each.kind for each in acceptor.sent] == [raw.ACCEPT, raw.ABORT]

    def test_of_a_pdu_that_is_announced_as_too_long_is_nothing(self) -> None:
        for length in (2001, 1 << 31, 0xFFFFFFFF):
            head = b"\x01\0" + length.to_bytes(4, "big")
            assert [each.kind for each in played([head]).sent] == [raw.ABORT]


class TestSlowRequestors:
    """PS3.8 leaves it to the acceptor how long a PDU or a message may take."""

    @pytest.mark.parametrize("seconds", [0.5, 1.0, 5.0])
    def test_of_an_association_have_as_long_as_artim(self, seconds: float) -> None:
        acceptor = Acceptor()
        for byte in raw.association_request():
            acceptor.receives(bytes([byte]))
            acceptor.waits(seconds)
        assert acceptor.layer.is_closed
        assert acceptor.now <= 1000 + LIMITS.artim + len(raw.association_request()) * seconds
        assert acceptor.messages == 0

    @pytest.mark.parametrize("seconds", [0.1, 1.0, 9.0])
    def test_of_a_message_are_let_go(self, seconds: float) -> None:
        acceptor = Acceptor()
        acceptor.receives(raw.association_request())
        message = raw.message(raw.FIND_CONTEXT, raw.find_request(), bytes(2000), 50)
        for byte in message:
            acceptor.receives(bytes([byte]))
            acceptor.waits(seconds)
            if len(acceptor.sent) > 1:
                break
        assert acceptor.now < 1000 + 2 * LIMITS.patience + 2
        assert acceptor.sent[-1].kind in (raw.ABORT, raw.DATA)
