"""The state machine's limits of time and length; each row of PS3.8 table 9-10 is in test_table_9_10.py."""

import pytest

from dicom.upper_layer.acceptor import AssociationAborted, AssociationRequested, Event, Limits, State, UpperLayer
from dicom.upper_layer.negotiation import Implementation, Offer, negotiate
from tests.dicom import raw

ECHO = raw.message(raw.ECHO_CONTEXT, raw.echo_request())
ABORT_OF_PROVIDER = raw.abort(2, 6)


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def layer(clock: Clock) -> UpperLayer:
    """An upper layer with an association."""
    layer = UpperLayer(clock, Limits(artim=10, idle=60, patience=5, bytes_per_second=100, pdu_length=2000))
    (requested,) = layer.receive_data(raw.association_request())
    assert isinstance(requested, AssociationRequested)
    layer.accept(negotiate(requested.request, [Offer(raw.VERIFICATION, [raw.IMPLICIT])], Implementation("1.2", "T")))
    layer.data_to_send()
    return layer


def why(events: list[Event]) -> str:
    """Why the association was aborted, which is all that has happened."""
    (aborted,) = events
    assert isinstance(aborted, AssociationAborted)
    return aborted.why


class TestTime:
    def test_an_association_request_must_come_before_artim_expires(self, clock: Clock) -> None:
        layer = UpperLayer(clock, Limits(artim=10))
        assert layer.receive_data(b"\1") == []
        clock.now = layer.deadline or 0
        assert clock.now == 10
        assert why(layer.expire()) == "did not request an association in time"
        assert layer.is_closed

    def test_a_connection_without_a_byte_ends_with_artim(self, clock: Clock) -> None:
        layer = UpperLayer(clock)
        clock.now = 10
        assert why(layer.expire()) == "did not request an association in time"
        assert layer.is_closed

    def test_nothing_is_said_of_a_load_balancer_that_only_connects(self, clock: Clock) -> None:
        layer = UpperLayer(clock)
        assert layer.receive_data(b"") == []
        assert layer.is_closed

    def test_an_abort_before_any_request_ends_the_connection(self, clock: Clock) -> None:
        layer = UpperLayer(clock)
        assert why(layer.receive_data(raw.abort())) == "aborted the association (source 0, reason 0)"
        assert layer.is_closed

    def test_silence_ends_an_association_and_each_message_starts_it_anew(self, layer: UpperLayer, clock: Clock) -> None:
        clock.now = 59
        layer.receive_data(ECHO)
        assert layer.deadline == 119
        layer.send_message(raw.ECHO_CONTEXT, b"\0\0")
        clock.now = 119
        assert why(layer.expire()) == "was silent for too long"
        assert layer.state is State.AWAITING_CLOSE

    def test_a_pdu_that_dribbles_is_too_slow_although_each_byte_is_in_time(
        self, layer: UpperLayer, clock: Clock
    ) -> None:
        events: list[Event] = []
        for byte in ECHO:
            clock.now += 1
            events = layer.receive_data(bytes([byte])) or layer.expire()
            if events:
                break
        assert why(events) == "sent a PDU too slowly"
        assert clock.now < 8

    def test_the_connection_is_closed_at_the_end_even_if_the_other_end_keeps_it(
        self, layer: UpperLayer, clock: Clock
    ) -> None:
        layer.receive_data(raw.release_request())
        layer.release()
        assert (layer.state, layer.is_closed) == (State.AWAITING_CLOSE, False)
        clock.now = layer.deadline or 0
        assert layer.expire() == []
        assert layer.is_closed


class TestLength:
    def test_of_a_pdu_is_limited_before_it_comes(self, layer: UpperLayer) -> None:
        events = layer.receive_data(b"\x04\x00\x00\x00\x07\xd1")
        assert why(events) == "sent what is no PDU: it is too long"
        assert layer.data_to_send() == ABORT_OF_PROVIDER

    def test_nothing_is_read_behind_what_is_no_pdu(self, layer: UpperLayer) -> None:
        layer.receive_data(b"GET / HTTP/1.1\r\n\r\n")
        assert layer.data_to_send() == raw.abort(2, 1)
        assert layer.receive_data(raw.association_request() * 3) == []
        assert layer.data_to_send() == b""


def test_what_is_left_to_send_may_be_sent_after_the_release_was_requested(layer: UpperLayer) -> None:
    layer.receive_data(raw.release_request())
    layer.send_message(raw.ECHO_CONTEXT, b"\0\0")
    layer.release()
    assert layer.data_to_send() == raw.data(raw.ECHO_CONTEXT, 0b11, b"\0\0") + raw.pdu(raw.RELEASED, bytes(4))


def test_room_for_several_long_pdus_is_made_when_the_first_of_them_comes(clock: Clock) -> None:
    layer = UpperLayer(clock, Limits(maximum_length=1 << 17))
    assert len(layer.room()) <= 4096
    layer.receive_data(raw.pdu(4, bytes(1 << 17))[:5000])
    assert len(layer.room()) > 3 << 17


def test_what_is_received_into_the_room_of_the_layer_may_be_longer_than_was_asked_for(clock: Clock) -> None:
    layer = UpperLayer(clock, Limits(maximum_length=100))
    sent = raw.association_request(behind=raw.item(0x99, bytes(5000))) + raw.release_request()
    assert len(sent) > len(layer.room())
    events: list[Event] = []
    while sent:
        room = layer.room()
        count = min(len(room), len(sent), 50)
        room[:count], sent = sent[:count], sent[count:]
        events += layer.received(count)
    assert [type(event) for event in events] == [AssociationRequested, AssociationAborted]
