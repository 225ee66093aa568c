"""Drive every row of PS3.8 table 9-10 in each state that an acceptor has which does not itself ask for a release.

The table here is written from the standard (2024e, section 9.2), not from the code.
"""

from collections.abc import Callable

import pytest

from dicom.upper_layer.acceptor import (
    AssociationAborted,
    AssociationRequested,
    DataReceived,
    Event,
    Limits,
    LocalError,
    ReleaseRequested,
    State,
    UpperLayer,
)
from dicom.upper_layer.negotiation import Acceptance, Implementation, Offer, negotiate
from tests.dicom import raw

#: The columns of the table: how the layer comes into the state, and the state.
STATES = {
    "Sta2": State.AWAITING_REQUEST,
    "Sta3": State.AWAITING_LOCAL_ACCEPTANCE,
    "Sta6": State.ESTABLISHED,
    "Sta8": State.AWAITING_LOCAL_RELEASE,
    "Sta13": State.AWAITING_CLOSE,
}
#: PS3.8 table 9-10. A dash is a combination that cannot occur.
TABLE = {
    # event                              Sta2  Sta3  Sta6  Sta8  Sta13
    "Evt3 A-ASSOCIATE-AC":             "AA-1  AA-8  AA-8  AA-8  AA-6",
    "Evt4 A-ASSOCIATE-RJ":             "AA-1  AA-8  AA-8  AA-8  AA-6",
    "Evt6 A-ASSOCIATE-RQ":             "AE-6  AA-8  AA-8  AA-8  AA-7",
    "Evt7 accept":                     "-     AE-7  -     -     -   ",
    "Evt8 reject":                     "-     AE-8  -     -     -   ",
    "Evt9 P-DATA request":             "-     -     DT-1  AR-7  -   ",
    "Evt10 P-DATA-TF":                 "AA-1  AA-8  DT-2  AA-8  AA-6",
    "Evt12 A-RELEASE-RQ":              "AA-1  AA-8  AR-2  AA-8  AA-6",
    "Evt13 A-RELEASE-RP":              "AA-1  AA-8  AA-8  AA-8  AA-6",
    "Evt14 A-RELEASE response":        "-     -     -     AR-4  -   ",
    "Evt15 A-ABORT request":           "-     AA-1  AA-1  AA-1  -   ",
    "Evt16 A-ABORT":                   "AA-2  AA-3  AA-3  AA-3  AA-2",
    "Evt17 connection closed":         "AA-5  AA-4  AA-4  AA-4  AR-5",
    "Evt18 ARTIM expired":             "AA-2  -     -     -     AA-2",
    "Evt19 unrecognized PDU":          "AA-1  AA-8  AA-8  AA-8  AA-7",
    "Evt19 invalid PDU":               "AA-1  AA-8  AA-8  AA-8  AA-7",
}  # fmt: skip
#: PS3.8 tables 9-6 to 9-9: the action → the PDU that it sends, the indication to the service user, and the next state
#: (None: the same).
ACTIONS: dict[str, tuple[int | None, type[Event] | None, State | None]] = {
    "AE-6": (None, AssociationRequested, State.AWAITING_LOCAL_ACCEPTANCE),
    "AE-7": (raw.ACCEPT, None, State.ESTABLISHED),
    "AE-8": (raw.REJECT, None, State.AWAITING_CLOSE),
    "DT-1": (raw.DATA, None, None),
    "DT-2": (None, DataReceived, None),
    "AR-2": (None, ReleaseRequested, State.AWAITING_LOCAL_RELEASE),
    "AR-4": (raw.RELEASED, None, State.AWAITING_CLOSE),
    "AR-5": (None, None, State.IDLE),
    "AR-7": (raw.DATA, None, None),
    "AA-1": (raw.ABORT, AssociationAborted, State.AWAITING_CLOSE),
    "AA-2": (None, None, State.IDLE),
    "AA-3": (None, AssociationAborted, State.IDLE),
    "AA-4": (None, AssociationAborted, State.IDLE),
    "AA-5": (None, None, State.IDLE),
    "AA-6": (None, None, None),
    "AA-7": (raw.ABORT, None, None),
    "AA-8": (raw.ABORT, AssociationAborted, State.AWAITING_CLOSE),
}
ROWS = [
    pytest.param(event, state, action, id=f"{event} in {state}: {action}")
    for event, row in TABLE.items()
    for state, action in zip(STATES, row.split(), strict=True)
]
REQUEST = raw.association_request()
OFFERS = [Offer(raw.VERIFICATION, [raw.IMPLICIT])]
US = Implementation("1.2.3", "TEST")
#: What each event is on the wire.
PDUS = {
    "Evt3": raw.pdu(raw.ACCEPT, REQUEST[6:]),
    "Evt4": raw.pdu(raw.REJECT, b"\0\1\1\1"),
    "Evt6": REQUEST,
    "Evt10": raw.message(raw.ECHO_CONTEXT, raw.echo_request()),
    "Evt12": raw.release_request(),
    "Evt13": raw.pdu(raw.RELEASED, bytes(4)),
    "Evt16": raw.abort(),
    "Evt19 unrecognized PDU": raw.pdu(0x47, b"ET / HTTP"),
    "Evt19 invalid PDU": raw.pdu(raw.DATA, b"\0\0\0\x63\1\3"),
}


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Layer:
    """An upper layer that has come into a state, and what it did last."""

    def __init__(self, state: str) -> None:
        self.clock = Clock()
        self.layer = UpperLayer(self.clock, Limits(artim=10.0))
        if state in {"Sta3", "Sta6", "Sta8"}:
            (requested,) = self.layer.receive_data(REQUEST)
            assert isinstance(requested, AssociationRequested)
            self.acceptance = negotiate(requested.request, OFFERS, US)
        if state in {"Sta6", "Sta8"}:
            self.layer.accept(self.acceptance)
        if state == "Sta8":
            self.layer.receive_data(raw.release_request())
        if state == "Sta13":
            self.layer.receive_data(raw.release_request())  # before an association: AA-1
        self.layer.data_to_send()
        assert self.layer.state is STATES[state]

    def meets(self, event: str) -> list[Event]:
        """Let the event happen, and return the indications."""
        layer, number = self.layer, event.split(maxsplit=1)[0]
        local: dict[str, Callable[[], list[Event] | None]] = {
            "Evt7": lambda: layer.accept(getattr(self, "acceptance", negotiate_nothing())),
            "Evt8": lambda: layer.reject(1, 1, 3),
            "Evt9": lambda: layer.send_message(raw.ECHO_CONTEXT, raw.command_set(raw.echo_request())),
            "Evt14": layer.release,
            "Evt15": lambda: layer.abort("was aborted by the test"),
            "Evt17": lambda: layer.receive_data(b""),
            "Evt18": self._wait,
        }
        if number in local:
            return local[number]() or []
        return layer.receive_data(PDUS.get(event) or PDUS[number])

    def _wait(self) -> list[Event]:
        """Let the time of ARTIM pass."""
        self.clock.now += 10.0
        return self.layer.expire()


def negotiate_nothing() -> Acceptance:
    """An acceptance of a request that was never made."""
    (requested,) = UpperLayer(Clock()).receive_data(REQUEST)
    assert isinstance(requested, AssociationRequested)
    return negotiate(requested.request, [], US)


def sent_pdus(sent: bytes) -> list[raw.Pdu]:
    """Split what the layer sends into PDUs."""
    pdus = []
    while sent:
        length = int.from_bytes(sent[2:6], "big")
        pdus.append(raw.Pdu(sent[0], sent[6 : 6 + length]))
        sent = sent[6 + length :]
    return pdus


@pytest.mark.parametrize(("event", "state", "action"), ROWS)
def test_an_event_has_the_action_of_the_table(event: str, state: str, action: str) -> None:
    reached = Layer(state)
    if action == "-":
        assert_cannot_occur(reached, event, state)
        return
    sends, indicates, becomes = ACTIONS[action]
    indications = reached.meets(event)
    sent = sent_pdus(reached.layer.data_to_send())
    assert [each.kind for each in sent] == ([] if sends is None else [sends])
    assert reached.layer.state is (becomes or STATES[state])
    assert reached.layer.is_closed is (reached.layer.state is State.IDLE)
    if indicates is not None:
        assert [type(each) for each in indications] == [indicates]
    else:  # a layer may still tell its owner what to write in the log
        assert {type(each) for each in indications} <= {AssociationAborted}
    if sends == raw.ABORT:
        assert_is_the_right_abort(event, action, sent[0])
    assert_artim_runs_where_it_must(reached)


def assert_cannot_occur(reached: Layer, event: str, state: str) -> None:
    """Check that a primitive which the state does not allow is refused, or changes nothing and sends nothing."""
    if event.split(maxsplit=1)[0] == "Evt15":  # whoever stops a server need not know the state
        reached.meets(event)
    elif event.split(maxsplit=1)[0] == "Evt18":
        reached.clock.now += 9.0  # less than an idle association may be silent
        assert reached.layer.expire() == []
        assert reached.layer.state is STATES[state]
    else:
        with pytest.raises(LocalError):
            reached.meets(event)
        assert reached.layer.state is STATES[state]
    assert reached.layer.data_to_send() == b""


def assert_is_the_right_abort(event: str, action: str, abort: raw.Pdu) -> None:
    """Check source and reason (PS3.8 table 9-26): reserved bytes are 0, and the reason says what happened.

    AA-8 is the service provider's. AA-1 is the user's, whose reason says nothing; where it is the answer to a PDU, to
    send the provider's reason instead helps the other end.
    """
    reserved, source, reason = abort.content[:2], abort.content[2], abort.content[3]
    assert reserved == b"\0\0"
    if event.startswith("Evt15"):
        assert (source, reason) == (0, 0)
        return
    assert source in ({2} if action == "AA-8" else {0, 2})
    if source == 2:
        expected = {"Evt19 unrecognized PDU": {1}, "Evt19 invalid PDU": {6}}.get(event, {2})
        assert reason in expected | ({0} if action == "AA-7" else set())


def assert_artim_runs_where_it_must(reached: Layer) -> None:
    """Check that Sta13 and Sta2 end by ARTIM, and that no other state has a deadline as short."""
    layer = reached.layer
    if layer.state in {State.AWAITING_REQUEST, State.AWAITING_CLOSE}:
        assert layer.deadline is not None
        assert reached.clock.now < layer.deadline <= reached.clock.now + 10.0
        reached.clock.now = layer.deadline
        layer.expire()
        assert layer.is_closed
        assert layer.data_to_send() == b""
    elif layer.deadline is not None:
        assert layer.deadline > reached.clock.now + 10.0


@pytest.mark.parametrize("state", STATES)
def test_a_closed_connection_is_the_last_that_happens(state: str) -> None:
    reached = Layer(state)
    reached.meets("Evt17 connection closed")
    for event in TABLE:
        if event.split()[0] in PDUS or event in PDUS or event.startswith(("Evt15", "Evt17", "Evt18")):
            assert reached.meets(event) == []
    assert reached.layer.data_to_send() == b""
    assert reached.layer.is_closed
    assert reached.layer.deadline is None


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", [event for event in TABLE if event in PDUS or event.split()[0] in PDUS])
def test_a_pdu_in_single_bytes_has_the_same_action(event: str, state: str) -> None:
    whole, bytewise = Layer(state), Layer(state)
    expected = whole.meets(event)
    content = PDUS.get(event) or PDUS[event.split(maxsplit=1)[0]]
    events = [each for at in range(len(content)) for each in bytewise.layer.receive_data(content[at : at + 1])]
    assert events == expected
    assert bytewise.layer.state is whole.layer.state
    assert bytewise.layer.data_to_send()[:1] == whole.layer.data_to_send()[:1]


def test_an_artim_that_has_not_run_out_ends_nothing() -> None:
    for state in ("Sta2", "Sta13"):
        reached = Layer(state)
        deadline = reached.layer.deadline
        assert deadline is not None
        reached.clock.now = deadline - 0.001
        assert reached.layer.expire() == []
        assert not reached.layer.is_closed


def test_pdus_that_arrive_together_are_taken_one_after_another() -> None:
    """A release behind a request reaches an association that is not yet accepted: Evt12 in Sta3, AA-8."""
    layer = UpperLayer(Clock())
    events = layer.receive_data(REQUEST + raw.release_request())
    assert [type(each) for each in events] == [AssociationRequested, AssociationAborted]
    assert [each.kind for each in sent_pdus(layer.data_to_send())] == [raw.ABORT]
