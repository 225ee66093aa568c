"""Owns the answers to N-CREATE and N-SET of Modality Performed Procedure Step (PS3.4 section F.7.2).

What is decided is decided in worklist.services; here it becomes a status.
"""

import logging
import time
from collections.abc import Callable

from django.db import OperationalError, transaction
from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import N_CREATE
from pynetdicom.events import Event

from core.correlation import correlated, new_correlation_id
from core.database import borrowed_connection
from core.tracing import span
from dicom import statuses
from dicom.failures import UNREADABLE, Failure, UnreadableDataSet, common_failures, failure_response
from dicom.server import ServerContext, requestor_of
from worklist.performed_step.create_and_set import Sender, StepIsFinal, StepIsKnown, StepIsUnknown
from worklist.performed_step.report import Fault, Objection
from worklist.services import ChangeProcedureStep, StartProcedureStep

logger = logging.getLogger(__name__)

Answer = tuple[Dataset, None]
Operation = Callable[[str, Dataset, Sender], None]

STATUS_OF = {
    Fault.MISSING: statuses.MISSING_ATTRIBUTE,
    Fault.WITHOUT_VALUE: statuses.MISSING_ATTRIBUTE_VALUE,
    Fault.INVALID: statuses.INVALID_ATTRIBUTE_VALUE,
    Fault.UNKNOWN: statuses.NO_SUCH_ATTRIBUTE,
}
#: Of these the attributes are listed (PS3.7 sections C.5.12 and C.5.7).
LISTED = frozenset({Fault.MISSING, Fault.UNKNOWN})
#: PostgreSQL's SQLSTATEs of a transaction that is ended for another one's sake.
DEADLOCK_OR_SERIALIZATION = frozenset({"40P01", "40001"})
IS_FINAL = "Performed Procedure Step Object may no longer be updated"

#: Exception → the response that reports it.
FAILURES = (
    Failure(
        (Objection,),
        lambda objection: statuses.failure(
            STATUS_OF[objection.fault],
            str(objection),
            attributes=objection.tags if objection.fault in LISTED else (),
        ),
    ),
    Failure(
        (StepIsKnown,), lambda _: statuses.failure(statuses.DUPLICATE_INSTANCE, "This SOP Instance UID has come before")
    ),
    Failure(
        (StepIsUnknown,),
        lambda _: statuses.failure(statuses.NO_SUCH_INSTANCE, "This SOP Instance UID has not been created"),
    ),
    Failure(
        (StepIsFinal,),
        lambda _: statuses.failure(statuses.PROCESSING_FAILURE, IS_FINAL, error_id=statuses.MAY_NO_LONGER_BE_UPDATED),
    ),
    *common_failures(
        database_away=statuses.PROCESSING_FAILURE,
        refused=statuses.NOT_AUTHORIZED,
        unreadable=statuses.PROCESSING_FAILURE,
        internal_error=statuses.PROCESSING_FAILURE,
    ),
)


def answer_create(event: Event, context: ServerContext) -> Answer:
    """A step begins."""
    uid = event.request.AffectedSOPInstanceUID  # type: ignore[union-attr]
    return _answer(event, context, "N-CREATE", str(uid), StartProcedureStep()), None


def answer_set(event: Event, context: ServerContext) -> Answer:
    """A step goes on, or ends."""
    uid = event.request.RequestedSOPInstanceUID  # type: ignore[union-attr]
    return _answer(event, context, "N-SET", str(uid), ChangeProcedureStep()), None


def _answer(event: Event, context: ServerContext, name: str, uid: str, operation: Operation) -> Dataset:
    """The status, which says 0000 only when everything is stored; and a line in the log."""
    started = time.monotonic()
    requestor = requestor_of(event)
    with correlated(new_correlation_id()), borrowed_connection(), span(name) as traced:
        try:
            context.policy.check_request(requestor)
            policy = context.policy.modalities.policy_for(requestor.calling_ae_title)
            received = _data_set(event)
            sender = Sender(requestor.calling_ae_title, requestor.address, policy.is_strict)
            _once_more_if_in_the_way(lambda: operation(uid, received, sender))
            status = _success()
        except Exception as error:  # noqa: BLE001 - the outermost edge of a report
            status = failure_response(error, FAILURES, requestor)
        fields = {
            "operation": name,
            "calling_ae_title": requestor.calling_ae_title,
            "address": requestor.address,
            "sop_instance_uid": uid,
            "status": f"{status.Status:04X}",
            "comment": status.get("ErrorComment", ""),
            "ms": int((time.monotonic() - started) * 1000),
        }
        traced.set(**fields)
        logger.info("procedure step reported", extra=fields)
    return status


def _once_more_if_in_the_way(report: Callable[[], None]) -> None:
    """In a transaction; a second one where the database has ended the first for somebody else's sake: many modalities
    do not try again."""
    try:
        with transaction.atomic():
            report()
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") not in DEADLOCK_OR_SERIALIZATION:
            raise
        with transaction.atomic():
            report()


def _data_set(event: Event) -> Dataset:
    """The request's data set; its elements are read one by one later on, as one that is broken costs only itself."""
    try:
        return event.attribute_list if isinstance(event.request, N_CREATE) else event.modification_list
    except UNREADABLE as error:
        raise UnreadableDataSet("The data set cannot be read") from error


def _success() -> Dataset:
    status = Dataset()
    status.Status = statuses.SUCCESS
    return status
