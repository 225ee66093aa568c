"""Build requests, and send them as a modality that sees every status of a response, not only the rows."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    Verification,
)

from core import value_representations as vr
from dicom.pynetdicom_internals import adapt_requestor

CALLED = "GATEWAY_MWL"
PATIENCE = 30.0


def dataset(**values: Any) -> Dataset:
    """Build a data set from keywords; the values may be ones that their VR does not allow."""
    made = Dataset()
    with config.disable_value_validation():
        for keyword, value in values.items():
            setattr(made, keyword, value)
    return made


def request(*steps: Dataset, **keys: Any) -> Dataset:
    """Build a C-FIND identifier: the items of its step sequence (none for no sequence), and the keys at its root."""
    made = dataset(**keys)
    if steps:
        made.ScheduledProcedureStepSequence = list(steps)
    return made


def step_of(row: Dataset) -> Dataset:
    """A row's one step."""
    (step,) = row.ScheduledProcedureStepSequence
    assert isinstance(step, Dataset)
    return step


def keywords(made: Dataset) -> set[str]:
    """The keywords of a data set's elements."""
    return {element.keyword for element in made}


#: What PS3.5 table 6.2-1 says of each VR that a response has.
LEGAL: dict[str, Callable[[str], object]] = {
    "AE": vr.is_ae,
    "CS": lambda text: vr.is_cs(text) and len(text) <= 16,
    "DA": vr.parse_da,
    "DS": vr.is_ds,
    "US": lambda text: int(text) < 65536,
    "LO": lambda text: vr.is_text(text) and len(text) <= 64,
    "LT": lambda text: vr.is_long_text(text) and len(text) <= 10240,
    "PN": vr.is_pn,
    "SH": lambda text: vr.is_text(text) and len(text) <= 16,
    "TM": lambda text: vr.parse_tm(text) is not None and len(text) == 6,
    "UI": vr.is_ui,
}


def illegal(response: Dataset) -> list[str]:
    """The keywords of all elements with a value that their VR does not allow."""
    elements = [element for element in response.iterall() if element.VR != "SQ" and element.value]
    assert elements
    return [element.keyword for element in elements if not LEGAL[element.VR](str(element.value))]


@dataclass
class Answer:
    """Every response to one C-FIND."""

    statuses: list[int] = field(default_factory=list)
    rows: list[Dataset] = field(default_factory=list)
    final: Dataset = field(default_factory=Dataset)

    @property
    def accession_numbers(self) -> list[str]:
        """The accession numbers of the rows, in their order."""
        return [str(row.AccessionNumber) for row in self.rows]

    @property
    def pending(self) -> set[int]:
        """The different statuses of the rows."""
        return set(self.statuses[:-1])


@dataclass(frozen=True)
class Unit:
    """A modality (SCU)."""

    port: int
    ae_title: str = "MAMMO1"
    called: str = CALLED

    @contextmanager
    def associated(self, transfer_syntaxes: list[UID] | None = None, max_pdu: int = 16382) -> Iterator[Association]:
        """Open an association; release it if it is still established."""
        entity = AE(ae_title=self.ae_title)
        for sop_class in (ModalityWorklistInformationFind, Verification, ModalityPerformedProcedureStep):
            if transfer_syntaxes:
                entity.add_requested_context(sop_class, transfer_syntaxes)
            else:
                entity.add_requested_context(sop_class)
        handlers: list[Any] = [(evt.EVT_CONN_OPEN, _send_at_once)]
        association = entity.associate(
            "127.0.0.1", self.port, ae_title=self.called, max_pdu=max_pdu, evt_handlers=handlers
        )
        assert association.is_established
        adapt_requestor(association)
        try:
            yield association
        finally:
            if association.is_established:
                association.release()

    def ask(self, identifier: Dataset) -> Answer:
        """Send a C-FIND on its own association."""
        with self.associated() as association:
            return find(association, identifier)

    def create(self, uid: str, report: Dataset) -> Dataset:
        """Send an N-CREATE on its own association."""
        with self.associated() as association:
            return create(association, uid, report)

    def set(self, uid: str, changes: Dataset) -> Dataset:
        """Send an N-SET on its own association."""
        with self.associated() as association:
            return change(association, uid, changes)


def _send_at_once(event: evt.Event) -> None:
    """Set TCP_NODELAY, which saves each query 40 ms."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # type: ignore[union-attr]


def find(association: Association, identifier: Dataset, message_id: int = 1) -> Answer:
    """Send a C-FIND on an open association."""
    answer = Answer()
    for status, row in association.send_c_find(identifier, ModalityWorklistInformationFind, message_id):
        assert "Status" in status, "the association broke"
        answer.statuses.append(status.Status)
        answer.final = status
        if row is not None:
            answer.rows.append(row)
    return answer


def create(association: Association, uid: str, report: Dataset) -> Dataset:
    """Send an N-CREATE on an open association; return the command set of the response."""
    with _answer(association) as answer:
        association.send_n_create(report, ModalityPerformedProcedureStep, uid)
    return answer


def change(association: Association, uid: str, changes: Dataset) -> Dataset:
    """Send an N-SET on an open association; return the command set of the response."""
    with _answer(association) as answer:
        association.send_n_set(changes, ModalityPerformedProcedureStep, uid)
    return answer


def ask_by_hand(association: Association, primitive: Any, *fragments: bytes) -> Dataset:
    """Send a primitive that pynetdicom's methods would not, and these fragments of a data set (PS3.8 annex E.2).

    It is sent in the presentation context of MPPS; the command set of the response is returned.
    """
    (context_id,) = (
        context.context_id
        for context in association.accepted_contexts
        if context.abstract_syntax == ModalityPerformedProcedureStep
    )
    assert context_id
    association._reactor_checkpoint.clear()  # the answer is read here
    with _answer(association) as answer:
        association.dimse.send_msg(primitive, context_id)
        for fragment in fragments:
            pdata = P_DATA()
            pdata.presentation_data_value_list.append((context_id, fragment))
            association.dul.send_pdu(pdata)
        association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return answer


@contextmanager
def _answer(association: Association) -> Iterator[Dataset]:
    """Yield a data set that becomes the whole command set of the response; pynetdicom returns only some elements."""
    answer = Dataset()

    def take(event: evt.Event) -> None:
        answer.update(event.message.command_set)

    association.bind(evt.EVT_DIMSE_RECV, take)
    yield answer
    association.unbind(evt.EVT_DIMSE_RECV, take)
    assert "Status" in answer, "the association broke"
