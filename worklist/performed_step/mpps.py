"""Answer N-CREATE and N-SET requests of the Modality Performed Procedure Step SOP Class (PS3.4 section F.7.2)."""

import logging
import time
from collections.abc import Callable

from pydicom.dataset import Dataset

from core.correlation import correlated, new_correlation_id
from core.database import in_transaction
from core.tracing import span
from dicom import statuses
from dicom.association import ServerContext
from dicom.data_set_reading import read_data_set
from dicom.failures import FailureRow, common_failures, failure_response
from dicom.service import Request, Response
from worklist.performed_step.create_and_set import (
    DuplicateInstance,
    NoSuchInstance,
    ReportingModality,
    StepIsFinal,
    create_performed_procedure_step,
    set_performed_procedure_step,
)
from worklist.performed_step.report import AttributeFault, ReportRefused

logger = logging.getLogger(__name__)

Operation = Callable[[str, Dataset, ReportingModality], None]

STATUS_OF = {
    AttributeFault.MISSING: statuses.MISSING_ATTRIBUTE,
    AttributeFault.WITHOUT_VALUE: statuses.MISSING_ATTRIBUTE_VALUE,
    AttributeFault.INVALID: statuses.INVALID_ATTRIBUTE_VALUE,
    AttributeFault.UNKNOWN: statuses.NO_SUCH_ATTRIBUTE,
}
#: Faults whose responses have an Attribute Identifier List (PS3.7 sections C.5.12 and C.5.7).
LISTED_FAULTS = frozenset({AttributeFault.MISSING, AttributeFault.UNKNOWN})

#: Exception → the response that reports it.
MPPS_FAILURES = (
    FailureRow(
        (ReportRefused,),
        lambda refusal: statuses.failure(
            STATUS_OF[refusal.fault], str(refusal), attributes=refusal.tags if refusal.fault in LISTED_FAULTS else ()
        ),
    ),
    FailureRow(
        (DuplicateInstance,),
        lambda _: statuses.failure(statuses.DUPLICATE_INSTANCE, "This SOP Instance UID exists already"),
    ),
    FailureRow(
        (NoSuchInstance,),
        lambda _: statuses.failure(statuses.NO_SUCH_INSTANCE, "This SOP Instance UID has not been created"),
    ),
    FailureRow(
        (StepIsFinal,),
        lambda _: statuses.failure(  # in the words of PS3.4 table F.7.2-2
            statuses.PROCESSING_FAILURE,
            "Performed Procedure Step Object may no longer be updated",
            error_id=statuses.MAY_NO_LONGER_BE_UPDATED,
        ),
    ),
    *common_failures(
        database_unavailable=statuses.PROCESSING_FAILURE,
        refused=statuses.NOT_AUTHORIZED,
        incomplete=statuses.PROCESSING_FAILURE,
        unreadable=statuses.PROCESSING_FAILURE,
        internal_error=statuses.PROCESSING_FAILURE,
    ),
)


def answer_create(request: Request, context: ServerContext) -> Response:
    """Answer an N-CREATE request: a modality has begun a step."""
    return _answer(request, context, "N-CREATE", create_performed_procedure_step)


def answer_set(request: Request, context: ServerContext) -> Response:
    """Answer an N-SET request: a modality continues or ends a step."""
    return _answer(request, context, "N-SET", set_performed_procedure_step)


def _answer(request: Request, context: ServerContext, name: str, operation: Operation) -> Response:
    """Carry out the operation, log it, and return its response: 0000 only when everything is stored."""
    started = time.monotonic()
    requestor, uid = request.requestor, request.sop_instance
    with correlated(new_correlation_id()), context.connection(), span(name) as traced:
        try:
            policy = context.policy.check_request(requestor)
            # The values are converted later, one by one: a value that cannot be read costs only itself.
            received = read_data_set(request.whole_data_set(), request.transfer_syntax)
            modality = ReportingModality(requestor.calling_ae_title, requestor.address, policy.is_strict)
            in_transaction(lambda: operation(uid, received, modality))
            response = Response(statuses.SUCCESS)
        except Exception as error:  # noqa: BLE001 - the outermost edge of a report
            response = failure_response(error, MPPS_FAILURES, requestor)
        fields: dict[str, str | int] = {
            "operation": name,
            "calling_ae_title": requestor.calling_ae_title,
            "address": requestor.address,
            "sop_instance_uid": uid,
            "status": f"{response.status:04X}",
            "comment": response.comment,
            "ms": int((time.monotonic() - started) * 1000),
        }
        traced.set(**fields)
        # What is refused is nowhere but here: the modality may not send it again.
        level = logging.INFO if response.status == statuses.SUCCESS else logging.WARNING
        logger.log(level, "procedure step reported", extra=fields)
    return response
