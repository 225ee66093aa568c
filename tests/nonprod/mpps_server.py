"""A server of worklist and MPPS that keeps what it is told and answers what a test wants: pynetdicom's own."""

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

BREAKS = -1


@dataclass
class Told:
    """One request of the MPPS SOP class."""

    request: str
    uid: str
    attributes: Dataset
    calling_ae_title: str


@dataclass
class MppsServer:
    """Rows to be found, by accession number where one is asked for; the answers that come before 0000."""

    port: int = 0
    rows: list[Dataset] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    comment: str = ""
    asked: list[Dataset] = field(default_factory=list)
    associations: int = 0

    def modality(self, ae_title: str = "MAMMO1") -> ModalityEmulator:
        """One that asks this server."""
        return ModalityEmulator("127.0.0.1", self.port, CALLED, ae_title)

    def forget(self, *rows: Dataset) -> None:
        """Be as new, with these rows on the list."""
        self.rows, self.told, self.answers, self.asked = list(rows), [], [], []
        self.comment, self.associations = "", 0

    @property
    def requests(self) -> list[str]:
        """N-CREATE, N-SET and the status in each, in their order."""
        return [f"{one.request} {one.attributes.PerformedProcedureStepStatus}" for one in self.told]

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Answer a query."""
        self.asked.append(event.identifier)
        wanted = event.identifier.get("AccessionNumber")
        for row in self.rows:
            if not wanted or row.AccessionNumber == wanted:
                yield 0xFF00, row

    def create(self, event: evt.Event) -> tuple[Dataset, None]:
        """Answer an N-CREATE: 0111 where it came before."""
        uid = event.request.AffectedSOPInstanceUID  # type: ignore[union-attr]
        is_known = str(uid) in {one.uid for one in self.told}
        self._note("N-CREATE", str(uid), event.attribute_list, event)
        return self._answer(event, 0x0111 if is_known else 0x0000), None

    def set(self, event: evt.Event) -> tuple[Dataset, None]:
        """Answer an N-SET."""
        uid = event.request.RequestedSOPInstanceUID  # type: ignore[union-attr]
        self._note("N-SET", str(uid), event.modification_list, event)
        return self._answer(event, 0x0000), None

    def _note(self, request: str, uid: str, attributes: Dataset, event: evt.Event) -> None:
        attributes.decode()
        self.told.append(Told(request, uid, attributes, str(event.assoc.requestor.ae_title).strip()))

    def _answer(self, event: evt.Event, otherwise: int) -> Dataset:
        status = self.answers.pop(0) if self.answers else otherwise
        if status == BREAKS:
            event.assoc.abort()
        return dataset(Status=max(status, 0), **({"ErrorComment": self.comment} if self.comment else {}))

    def count(self, event: evt.Event) -> None:
        """One association more."""
        self.associations += 1


@contextmanager
def mpps_server(*rows: Dataset, takes_steps: bool = True) -> Iterator[MppsServer]:
    """A running one, on a free port."""
    played = MppsServer(rows=list(rows))
    entity = AE(ae_title=CALLED)
    classes = [ModalityWorklistInformationFind, Verification, *([ModalityPerformedProcedureStep] * takes_steps)]
    for sop_class in classes:
        entity.add_supported_context(sop_class)
    handlers: list[Any] = [
        (evt.EVT_C_ECHO, lambda _: 0x0000),
        (evt.EVT_C_FIND, played.find),
        (evt.EVT_N_CREATE, played.create),
        (evt.EVT_N_SET, played.set),
        (evt.EVT_ACCEPTED, played.count),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server
    played.port = int(server.server_address[1])
    try:
        yield played
    finally:
        server.shutdown()


def row(**changes: Any) -> Dataset:
    """A worklist row as this gateway would send it."""
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
