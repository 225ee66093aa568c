"""Run a worklist and MPPS server (pynetdicom's) that records requests and answers with the statuses a test chooses."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    Verification,
)

from nonprod.modality_emulator import ModalityEmulator
from tests.dicom.requests import CALLED, dataset

ABORTS = -1


@dataclass
class ReceivedRequest:
    """One request of the MPPS SOP class."""

    request: str
    uid: str
    attributes: Dataset
    calling_ae_title: str


@dataclass
class MppsServer:
    """The worklist rows, the requests received, and the statuses to answer with before 0000."""

    port: int = 0
    rows: list[Dataset] = field(default_factory=list)
    received: list[ReceivedRequest] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    comment: str = ""
    identifiers: list[Dataset] = field(default_factory=list)
    associations: int = 0

    def modality(self, ae_title: str = "MAMMO1") -> ModalityEmulator:
        """Return a modality that queries this server."""
        return ModalityEmulator("127.0.0.1", self.port, CALLED, ae_title)

    def reset(self, *rows: Dataset) -> None:
        """Forget all requests, and put these rows on the worklist."""
        self.rows, self.received, self.answers, self.identifiers = list(rows), [], [], []
        self.comment, self.associations = "", 0

    @property
    def requests(self) -> list[str]:
        """Each N-CREATE and N-SET with its status, in order."""
        return [f"{one.request} {one.attributes.PerformedProcedureStepStatus}" for one in self.received]

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Answer a C-FIND; of its keys, only the accession number is matched."""
        self.identifiers.append(event.identifier)
        wanted = event.identifier.get("AccessionNumber")
        for row in self.rows:
            if not wanted or row.AccessionNumber == wanted:
                yield 0xFF00, row

    def create(self, event: evt.Event) -> tuple[Dataset, None]:
        """Answer an N-CREATE; a known UID is a duplicate (0111)."""
        uid = event.request.AffectedSOPInstanceUID  # type: ignore[union-attr]
        is_known = str(uid) in {one.uid for one in self.received}
        self._record("N-CREATE", str(uid), event.attribute_list, event)
        return self._answer(event, 0x0111 if is_known else 0x0000), None

    def set(self, event: evt.Event) -> tuple[Dataset, None]:
        uid = event.request.RequestedSOPInstanceUID  # type: ignore[union-attr]
        self._record("N-SET", str(uid), event.modification_list, event)
        return self._answer(event, 0x0000), None

    def _record(self, request: str, uid: str, attributes: Dataset, event: evt.Event) -> None:
        attributes.decode()
        self.received.append(ReceivedRequest(request, uid, attributes, str(event.assoc.requestor.ae_title).strip()))

    def _answer(self, event: evt.Event, otherwise: int) -> Dataset:
        status = self.answers.pop(0) if self.answers else otherwise
        if status == ABORTS:
            event.assoc.abort()
        return dataset(Status=max(status, 0), **({"ErrorComment": self.comment} if self.comment else {}))

    def count_association(self, event: evt.Event) -> None:
        self.associations += 1


@contextmanager
def mpps_server(*rows: Dataset, accepts_mpps: bool = True) -> Iterator[MppsServer]:
    """Run a server on a free port."""
    server_state = MppsServer(rows=list(rows))
    entity = AE(ae_title=CALLED)
    classes = [ModalityWorklistInformationFind, Verification, *([ModalityPerformedProcedureStep] * accepts_mpps)]
    for sop_class in classes:
        entity.add_supported_context(sop_class)
    handlers: list[Any] = [
        (evt.EVT_C_ECHO, lambda _: 0x0000),
        (evt.EVT_C_FIND, server_state.find),
        (evt.EVT_N_CREATE, server_state.create),
        (evt.EVT_N_SET, server_state.set),
        (evt.EVT_ACCEPTED, server_state.count_association),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server
    server_state.port = int(server.server_address[1])
    try:
        yield server_state
    finally:
        server.shutdown()


def row(**changes: Any) -> Dataset:
    """Build a worklist row as the gateway sends it."""
    code = dataset(CodeValue="MAMMO", CodingSchemeDesignator="LOCAL", CodeMeaning="Mammography")
    step = dataset(
        ScheduledStationAETitle="MAMMO1",
        ScheduledProcedureStepStartDate="20261123",
        ScheduledProcedureStepStartTime="143000",
        Modality="MG",
        ScheduledProcedureStepID="SP1",
        ScheduledProcedureStepDescription="Both breasts",
        ScheduledProtocolCodeSequence=[code],
    )
    values = {
        "PatientName": "SMITH^JANE",
        "PatientID": "9990000018",
        "PatientBirthDate": "19700321",
        "PatientSex": "F",
        "AccessionNumber": "ACC1",
        "StudyInstanceUID": "2.25.1",
        "RequestedProcedureID": "RP1",
        "RequestedProcedureDescription": "Screening Mammography",
        "RequestedProcedureCodeSequence": [code],
        "ReferencedStudySequence": [],
        "ScheduledProcedureStepSequence": [step],
    }
    return dataset(**{**values, **changes})
