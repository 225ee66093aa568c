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
from core.database import UNAVAILABLE, borrowed_connection
from core.tracing import span
from dicom import statuses
from dicom.association_policy import ModalitiesUnknown, RequestRefused
from dicom.server import ServerContext, requestor_of
from worklist.performed_step.create_and_set import DuplicateInstance, NoSuchInstance, ReportingModality, StepIsFinal
from worklist.performed_step.report import AttributeFault, ReportRefused
from worklist.services import CreatePerformedProcedureStep, SetPerformedProcedureStep

logger = logging.getLogger(__name__)

Answer = tuple[Dataset, None]
Operation = Callable[[str, Dataset, ReportingModality], None]

STATUS_OF = {
    AttributeFault.MISSING: statuses.MISSING_ATTRIBUTE,
    AttributeFault.WITHOUT_VALUE: statuses.MISSING_ATTRIBUTE_VALUE,
    AttributeFault.INVALID: statuses.INVALID_ATTRIBUTE_VALUE,
    AttributeFault.UNKNOWN: statuses.NO_SUCH_ATTRIBUTE,
}
#: Of these the attributes are listed (PS3.7 sections C.5.12 and C.5.7).
LISTED = frozenset({AttributeFault.MISSING, AttributeFault.UNKNOWN})
#: PostgreSQL's SQLSTATEs of a transaction that is ended for another one's sake.
DEADLOCK_OR_SERIALIZATION = frozenset({"40P01", "40001"})
IS_FINAL = "Performed Procedure Step Object may no longer be updated"
AWAY = statuses.failure(statuses.PROCESSING_FAILURE, "Database not available, try again")
#: What can come in the way, but for an ReportRefused and for what nobody has thought of → the status.
FAILURES: tuple[tuple[tuple[type[Exception], ...], Dataset], ...] = (
    ((DuplicateInstance,), statuses.failure(statuses.DUPLICATE_INSTANCE, "This SOP Instance UID has come before")),
    ((NoSuchInstance,), statuses.failure(statuses.NO_SUCH_INSTANCE, "This SOP Instance UID has not been created")),
    (
        (StepIsFinal,),
        statuses.failure(statuses.PROCESSING_FAILURE, IS_FINAL, error_id=statuses.MAY_NO_LONGER_BE_UPDATED),
    ),
    ((ModalitiesUnknown, *UNAVAILABLE), AWAY),
)
UNFORESEEN = statuses.failure(statuses.PROCESSING_FAILURE, "Fault in the gateway, see its log")


class _Unreadable(Exception):
    """The bytes of the data set are none."""


def answer_create(event: Event, context: ServerContext) -> Answer:
    """A step begins."""
    uid = event.request.AffectedSOPInstanceUID  # type: ignore[union-attr]
    return _answer(event, context, "N-CREATE", str(uid), CreatePerformedProcedureStep()), None


def answer_set(event: Event, context: ServerContext) -> Answer:
    """A step goes on, or ends."""
    uid = event.request.RequestedSOPInstanceUID  # type: ignore[union-attr]
    return _answer(event, context, "N-SET", str(uid), SetPerformedProcedureStep()), None


def _answer(event: Event, context: ServerContext, name: str, uid: str, operation: Operation) -> Dataset:
    """The status, which says 0000 only when everything is stored; and a line in the log."""
    started = time.monotonic()
    requestor = requestor_of(event)
    with correlated(new_correlation_id()), borrowed_connection(), span(name) as traced:
        try:
            context.policy.check_request(requestor)
            policy = context.policy.modalities.policy_for(requestor.calling_ae_title)
            received = _data_set(event)
            sender = ReportingModality(requestor.calling_ae_title, requestor.address, policy.is_strict)
            _once_more_if_in_the_way(lambda: operation(uid, received, sender))
            status = _success()
        except Exception as error:  # noqa: BLE001 - the edge: pynetdicom would log its words, values and all
            status = _failure(error)
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
    except Exception as error:
        raise _Unreadable from error


def _success() -> Dataset:
    status = Dataset()
    status.Status = statuses.SUCCESS
    return status


def _failure(error: Exception) -> Dataset:
    match error:
        case ReportRefused(fault):
            blamed = error.tags if fault in LISTED else ()
            return statuses.failure(STATUS_OF[fault], str(error), attributes=blamed)
        case RequestRefused():
            return statuses.failure(statuses.NOT_AUTHORIZED, f"Refused: {error}")
        case _Unreadable():
            return statuses.failure(statuses.PROCESSING_FAILURE, "The data set cannot be read")
    for types, status in FAILURES:
        if isinstance(error, types):
            return status
    logger.error("procedure step not stored", exc_info=error)
    return UNFORESEEN
