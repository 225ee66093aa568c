"""Act as a modality: an SCU of Verification, Modality Worklist and Modality Performed Procedure Step.

See PS3.4 Annex A, Annex K and section F.7.
"""

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, DEFAULT_TRANSFER_SYNTAXES
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    Verification,
)

from dicom.pynetdicom_internals import adapt_requestor
from dicom.scu import datasets
from dicom.scu.datasets import UNSPECIFIED, VIEWS, Dose, Reason, Series, exposed

SUCCESS = 0x0000
OPERATOR = "RADIOGRAPHER^ROSE"
TIMEOUT = 10


class RequestFailed(Exception):
    """The worklist server did not answer, or refused the request; the text says which.

    If it answered, `status` is its status and `comment` its Error Comment.
    """

    def __init__(self, text: str, status: int | None = None, comment: str = "") -> None:
        super().__init__(text)
        self.status, self.comment = status, comment


@dataclass(frozen=True)
class ModalityScu:
    """A modality and the worklist server that it queries."""

    host: str
    port: int
    called_ae_title: str
    ae_title: str
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)
    association: Association | None = field(default=None, repr=False, compare=False)

    def echo(self) -> None:
        """Send a C-ECHO; raises RequestFailed unless it succeeds."""
        with self._associated() as association:
            status = association.send_c_echo()
        if status.get("Status") != SUCCESS:
            raise RequestFailed("C-ECHO failed", status.get("Status"))

    def query(self, identifier: Dataset, *, implicit_only: bool = False) -> list[Dataset]:
        """Return the identifiers of all pending responses; raises RequestFailed unless the final status is 0000."""
        found = []
        with self._associated(implicit_only=implicit_only) as association:
            for status, response in association.send_c_find(identifier, ModalityWorklistInformationFind):
                if "Status" not in status:
                    raise RequestFailed("the association broke before the C-FIND was answered")
                if status.Status in (0xFF00, 0xFF01) and response is not None:
                    found.append(response)
                elif status.Status != SUCCESS:
                    comment = str(status.get("ErrorComment", ""))
                    raise RequestFailed(f"C-FIND ended with {status.Status:04X} {comment}", status.Status, comment)
        return found

    def start(
        self, row: Dataset | None = None, *, at: datetime | None = None, operator: str = OPERATOR
    ) -> "PerformedStep":
        """Send the N-CREATE for a worklist row, or for an unscheduled step; raises RequestFailed unless it succeeds."""
        step = self.prepare(row, at=at, operator=operator)
        step.create()
        return step

    def prepare(
        self, row: Dataset | None = None, *, at: datetime | None = None, operator: str = OPERATOR
    ) -> "PerformedStep":
        """Return a step without sending its N-CREATE, so that it can be sent again until it is answered."""
        return PerformedStep(self, datasets.created(row or Dataset(), self.ae_title, at or _now()), operator)

    @contextmanager
    def in_one_association(self) -> Iterator[Self]:
        """Yield this modality with one association for all its requests."""
        with self._associated() as association:
            yield replace(self, association=association)

    @contextmanager
    def _associated(self, *, implicit_only: bool = False) -> Iterator[Association]:
        """Yield the open association, or a new one for this request."""
        if self.association is not None:
            if not self.association.is_established:
                raise RequestFailed("the association has ended")
            yield self.association
            return
        association = self._associate(implicit_only)
        try:
            yield association
        finally:
            association.release()

    def _associate(self, implicit_only: bool) -> Association:
        entity = AE(ae_title=self.ae_title)
        syntaxes = [ImplicitVRLittleEndian] if implicit_only else DEFAULT_TRANSFER_SYNTAXES
        for sop_class in (ModalityWorklistInformationFind, ModalityPerformedProcedureStep, Verification):
            entity.add_requested_context(sop_class, syntaxes)
        entity.connection_timeout = entity.acse_timeout = TIMEOUT
        tls_args = (self.tls, self.host) if self.tls else None
        association = entity.associate(self.host, self.port, ae_title=self.called_ae_title, tls_args=tls_args)
        if not association.is_established:
            raise RequestFailed(f"no association with {self.called_ae_title} at {self.host}:{self.port}")
        adapt_requestor(association)
        return association

    def request_step(self, name: str, send: Callable[[Association], Dataset]) -> None:
        """Send one request of the MPPS SOP class; raises RequestFailed unless its status is 0000."""
        with self._associated() as association:
            if ModalityPerformedProcedureStep not in {
                context.abstract_syntax for context in association.accepted_contexts
            }:
                raise RequestFailed(f"{self.called_ae_title} does not accept performed procedure steps (MPPS)")
            response = send(association)
            if "Status" not in response:
                association.abort()  # send nothing more on it, even if its end has not been noticed yet
                raise RequestFailed(f"the association broke before the {name} was answered")
        if response.Status != SUCCESS:
            comment = str(response.get("ErrorComment", ""))
            text = f"{name} was answered with {response.Status:04X} {comment}".rstrip()
            raise RequestFailed(text, response.Status, comment)


@dataclass
class PerformedStep:
    """A performed step, from its N-CREATE to its final N-SET.

    Each request raises RequestFailed unless it succeeds, and may then be sent again.
    """

    modality: ModalityScu
    attributes: Dataset
    operator: str = OPERATOR
    uid: str = field(default_factory=generate_uid)
    series: list[Series] = field(default_factory=list)

    def create(self) -> None:
        """Send the N-CREATE: IN PROGRESS."""
        self.modality.request_step(
            "N-CREATE",
            lambda association: association.send_n_create(self.attributes, ModalityPerformedProcedureStep, self.uid)[0],
        )

    def expose(self, *views: str) -> list[Series]:
        """Make and return a series with one image for each view, such as `R CC`; the next N-SET reports it."""
        taken = [exposed(view) for view in views]
        self.series += taken
        return taken

    def progress(self) -> None:
        """Send an N-SET: still IN PROGRESS, with the series so far."""
        self._send_n_set(self._modified(datasets.IN_PROGRESS))

    def complete(
        self, series: Sequence[Series] | None = None, *, dose: Dose | None = None, at: datetime | None = None
    ) -> None:
        """Send the N-SET with COMPLETED and the series; if there are none, take the four screening views first."""
        if series is not None:
            self.series = list(series)
        elif not self.series:
            self.expose(*VIEWS)
        changes = self._modified(datasets.COMPLETED)
        datasets.add_end(changes, at or _now(), self.images, dose)
        self._send_n_set(changes)

    def discontinue(
        self, reason: Reason = UNSPECIFIED, *, dose: Dose | None = None, at: datetime | None = None
    ) -> None:
        """Send the N-SET with DISCONTINUED, the reason and the series so far."""
        changes = self._modified(datasets.DISCONTINUED)
        datasets.add_end(changes, at or _now(), self.images, dose)
        changes.PerformedProcedureStepDiscontinuationReasonCodeSequence = [reason.item()]
        self._send_n_set(changes)

    @property
    def images(self) -> int:
        """The number of images so far."""
        return sum(len(one.images) for one in self.series)

    def _modified(self, status: str) -> Dataset:
        series = self.series
        if status == datasets.DISCONTINUED and not series:
            # At least one series, without images if none were taken (PS3.4 table F.7.2-1, note 2).
            series = [Series("None", "None", ())]
        return datasets.modified(status, series, self.operator, datasets.character_sets(self.attributes))

    def _send_n_set(self, changes: Dataset) -> None:
        self.modality.request_step(
            "N-SET",
            lambda association: association.send_n_set(changes, ModalityPerformedProcedureStep, self.uid)[0],
        )


def _now() -> datetime:
    return datetime.now().astimezone()
