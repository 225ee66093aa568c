"""Answer C-STORE requests of the image Storage SOP classes (PS3.4 annex B).

0000 is sent only once the file is durable in the spool and its row is committed, in this order. Whatever happens
before leaves nothing behind: the file is deleted, and the machine is told why.
"""

import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone

from core.correlation import correlated, new_correlation_id
from core.database import UNAVAILABLE, in_transaction, serialise_on
from core.tracing import span
from dicom import statuses
from dicom.association import IMPLEMENTATION, ServerContext
from dicom.association_policy import Requestor
from dicom.failures import FailureRow, common_failures, failure_response, failure_row
from dicom.service import Request, Response
from dicom.upper_layer.dimse import Command, DataSetSink, NullSink
from dicom.upper_layer.negotiation import PresentationContext
from images.arrival_rate import ArrivalRate, TooManyImages
from images.header import Header, read_header
from images.items import ImageIdentity, worklist
from images.linking import ACTOR, assign_item, send_anew, store, without_attempts
from images.models import ReceivedImage
from images.queue import OVERCOME_BY_A_NEW_ACTION, action_of, hindrance
from images.spool import CannotStore, DiskFails, IncomingFile, Spool, encode_file_meta, recognise

logger = logging.getLogger(__name__)

State, Reason = ReceivedImage.State, ReceivedImage.Reason
#: States in which an image whose file has gone needs none any more; one that has EXPIRED does, if it comes again.
DONE = frozenset({State.UPLOADED, State.NOT_SENT, State.DISCARDED})
#: States of a version that keep any other from Manage.
AT_MANAGE = frozenset({State.UPLOADED, State.WAITING})


@dataclass(kw_only=True)
class ImageContext(ServerContext):
    """What the handlers of one server share: where images go, how long one may be, and how many may come."""

    spool: Spool
    max_bytes: int
    min_free_bytes: int
    arrivals: ArrivalRate
    last_received_at: datetime | None = None
    #: Why the spool's disk could not be written to when that was last tried; empty if it could.
    disk_problem: str = ""
    #: How many images were refused, by status in hexadecimal digits and reason: `A700 disk`.
    refused: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def check_disk(self) -> bool:
        """If images could not be stored, or if the spool does not look right, try it out; return whether it fails."""
        try:
            recognise(self.spool)
            if not self.disk_problem and self.spool.seems_usable(self.min_free_bytes):
                return False
            self.spool.try_out(self.min_free_bytes)
        except DiskFails as failure:
            if self.disk_problem != str(failure):
                logger.error("no image can be stored", extra={"reason": str(failure)})
            self.disk_problem = str(failure)
            return True
        self.disk_problem = ""
        logger.info("images can be stored again")
        return False


class DataSetMismatch(Exception):
    """The data set is not of the SOP class, or not the instance, that the command names; the text says which."""


def out_of_resources(problem: Exception) -> Response:
    """Return A700 with the text of what is short."""
    return statuses.failure(statuses.OUT_OF_RESOURCES, str(problem))


STORE_FAILURES = (
    FailureRow((DiskFails,), out_of_resources, logging.ERROR, reason="disk"),
    FailureRow((CannotStore,), out_of_resources, logging.ERROR, reason="too_long"),
    FailureRow((TooManyImages,), out_of_resources, logging.WARNING, reason="too_many"),
    FailureRow(
        (DataSetMismatch,),
        lambda problem: statuses.failure(statuses.DATA_SET_DOES_NOT_MATCH, str(problem)),
        reason="mismatch",
    ),
    *common_failures(
        database_unavailable=statuses.OUT_OF_RESOURCES,
        refused=statuses.NOT_AUTHORIZED,
        incomplete=statuses.CANNOT_UNDERSTAND,
        unreadable=statuses.CANNOT_UNDERSTAND,
        internal_error=statuses.PROCESSING_FAILURE,
    ),
)


def receive_into_spool(
    context: PresentationContext, command: Command, requestor: Requestor, server: ImageContext
) -> DataSetSink:
    """Open the file that the data set of a C-STORE is written to while it arrives.

    If its address has sent too many images, none is opened: DICOM has no answer before the end of a data set, but what
    arrives is not kept.
    """
    try:
        server.arrivals.count(requestor.address)
    except TooManyImages as refusal:
        return NullSink(instead=refusal)
    implementation = (IMPLEMENTATION.class_uid, IMPLEMENTATION.version_name)
    file_meta = encode_file_meta(command.sop_class, command.sop_instance, context.transfer_syntax, implementation)
    return IncomingFile(server.spool, file_meta, server.max_bytes, server.min_free_bytes)


def answer_store(request: Request, context: ImageContext) -> Response:
    """Store an image, log it, and return the response."""
    started = time.monotonic()
    requestor = request.requestor
    fields: dict[str, str | int] = {
        "calling_ae_title": requestor.calling_ae_title,
        "address": requestor.address,
        "sop_instance_uid": request.sop_instance,
        "transfer_syntax": request.transfer_syntax,
    }
    with correlated(new_correlation_id()), context.connection(), span("C-STORE") as traced:
        try:
            context.policy.check_request(requestor)
            fields |= _store(request, context)
            response = Response(statuses.SUCCESS)
            context.last_received_at = timezone.now()
        except Exception as error:  # noqa: BLE001 - the outermost edge of a C-STORE
            problem = DiskFails.of(error) if isinstance(error, OSError) else error
            response = failure_response(problem, STORE_FAILURES, requestor)
            if isinstance(problem, DiskFails):
                context.disk_problem = str(problem)
            with context.lock:
                context.refused[f"{response.status:04X} {failure_row(problem, STORE_FAILURES).reason}"] += 1
        finally:
            if isinstance(request.data_set, IncomingFile):
                request.data_set.discard()
        fields |= {
            "status": f"{response.status:04X}",
            "comment": response.comment,
            "ms": int((time.monotonic() - started) * 1000),
        }
        traced.set(**fields)
        logger.info("image received" if response.status == statuses.SUCCESS else "image refused", extra=fields)
    return response


def _store(request: Request, context: ImageContext) -> dict[str, str | int]:
    """Check the data set, make its file durable and commit its row; return what the log says about it."""
    received = request.whole_data_set()
    if isinstance(received, TooManyImages):
        raise received
    if not isinstance(received, IncomingFile):  # none was announced
        raise DataSetMismatch("There is no data set")
    received.check()
    header = read_header(received.path, received.data_set_at, request.transfer_syntax)
    if header.sop_class_uid != request.sop_class:
        raise DataSetMismatch("The SOP Class UID is not that of the command")
    if not request.sop_instance or header.sop_instance_uid != request.sop_instance:
        raise DataSetMismatch("The SOP Instance UID is not that of the command")
    received.keep()
    image, is_new = _commit(request, context, received, header)
    if image.file == received.name:
        received.hand_over()
    return {"bytes": received.size, "state": image.state, "repeated": int(not is_new), "version": image.version}


def _commit(
    request: Request, context: ImageContext, received: IncomingFile, header: Header
) -> tuple[ReceivedImage, bool]:
    """Commit the row of a received image; return it, and whether it is a new one.

    If the connection breaks during the COMMIT, look up whether it has succeeded. If the database stays away, nobody
    knows: the file is kept, as a row without its file would be worse than a file without a row, which is deleted later.
    The machine is told to send again.
    """
    is_complete = False

    def write() -> tuple[ReceivedImage, bool]:
        nonlocal is_complete
        written = _write_row(request, context, received, header)
        is_complete = True
        return written

    try:
        return in_transaction(write)
    except UNAVAILABLE:
        if not is_complete:  # there was no COMMIT
            raise
        connection.close_if_unusable_or_obsolete()
        try:
            with transaction.atomic():
                serialise_on(f"image {header.sop_instance_uid}")  # until that transaction has ended
                committed = ReceivedImage.objects.filter(file=received.name).first()
        except UNAVAILABLE:
            received.hand_over()
            raise
        if committed is None:
            raise
        return committed, True


def _write_row(
    request: Request, context: ImageContext, received: IncomingFile, header: Header
) -> tuple[ReceivedImage, bool]:
    """Write the row of a received image, in the caller's transaction; return it, and whether it is a new one.

    The same bytes again are the same image. Where its file has been lost meanwhile, it gets the new one.
    """
    recognise(context.spool, marks=True)
    serialise_on(f"image {header.sop_instance_uid}")
    now = timezone.now()
    # Locked, as an uploader or a person may change one at this moment.
    known = ReceivedImage.objects.select_for_update(no_key=True).filter(sop_instance_uid=header.sop_instance_uid)
    versions = {image.digest: image for image in known}
    image = versions.get(received.digest)
    is_new = image is None
    if image is None:
        image = _image(
            request, received, header, version=1 + max((each.version for each in versions.values()), default=0)
        )
    elif image.file and context.spool.original(image.file).exists():
        _take_note_again(image, header.identity, list(versions.values()), now)
        return image, False
    elif image.state in DONE and image.reason != Reason.EXPIRED:
        return image, False
    former_item_id, image.received_at, image.decided_at = image.item_id, now, None
    image.file, image.size, image.deleted_at = received.name, received.data_set_at + received.size, None
    assign_item(image, header.identity, now)
    for name, value in without_attempts(is_of_another_item=image.item_id not in {None, former_item_id}).items():
        setattr(image, name, value)
    image.save()
    _tell_worklist(image, now)
    return image, is_new


def _tell_worklist(image: ReceivedImage, now: datetime) -> None:
    if image.item_id is not None:
        worklist().image_received(image.item_id, now)


def _take_note_again(
    image: ReceivedImage, identity: ImageIdentity, versions: list[ReceivedImage], now: datetime
) -> None:
    """Do what follows from the same bytes again, for an image that is locked and has its file.

    One that waits for a person is kept for as long as if it had just come, and goes to its item if that has come.
    """
    if image.state in {State.FAILED, State.NOT_SENT} and not any(each.state in AT_MANAGE for each in versions):
        _send_again(image, now)
    elif image.state == State.HELD:
        image.received_at = now
        image.save()
    elif image.state == State.UNLINKED:
        assign_item(image, identity, now)
        if image.state != State.UNLINKED:
            store(image, ACTOR)
        image.received_at = now
        image.save()
        _tell_worklist(image, now)


def _send_again(image: ReceivedImage, now: datetime) -> None:
    """Have an image that only its action, or the want of one, kept from Manage go there if its item now has another."""
    item = worklist().item(image.item_id) if image.item_id else None
    if not item or image.reason not in {*OVERCOME_BY_A_NEW_ACTION, Reason.NO_ACTION}:
        return
    hindered = hindrance(image, action_of(image, now), now)
    if hindered and hindered.state != State.WAITING:
        return
    image.received_at = now
    send_anew(image, item, ACTOR)


def _image(request: Request, received: IncomingFile, header: Header, version: int) -> ReceivedImage:
    identity = header.identity
    return ReceivedImage(
        sop_instance_uid=header.sop_instance_uid,
        version=version,
        digest=received.digest,
        sop_class_uid=header.sop_class_uid,
        transfer_syntax_uid=request.transfer_syntax,
        study_instance_uid=header.study_instance_uid,
        series_instance_uid=header.series_instance_uid,
        accession_number="".join(identity.accession_numbers[:1]),
        further_accession_numbers=list(identity.accession_numbers[1:]),
        patient_id=identity.patient_id[:64],
        study_date=identity.study_date,
        image_laterality=header.image_laterality[:16],
        view_position=header.view_position[:16],
        calling_ae_title=request.requestor.calling_ae_title,
        address=request.requestor.address,
    )
