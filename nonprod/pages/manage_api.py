"""The emulated Manage's endpoints for images: its answers and its faults, as docs/manage-images.md describes them."""

import json
import time
from collections.abc import Iterator
from datetime import date, datetime
from io import BytesIO
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import F
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

from nonprod.manage_emulator import CONFIRMED
from nonprod.manage_pictures import picture_of
from nonprod.models import Appointment, ManageFailure, ManageFault, ManageImage
from nonprod.pages.access import only_with_emulated_relay
from nonprod.pages.appointments import State, state_of
from nonprod.pages.gateway import read_changes
from relay.models import ReceivedAction
from worklist.models import WorklistItem

MOST_BYTES = 100 * 1024 * 1024
PATIENT_ID_LENGTH = ManageImage._meta.get_field("patient_id").max_length or 0
#: The states in which Manage takes images: the clinician is with the woman, or was.
BEGUN = frozenset({State.IN_PROGRESS, State.DONE, State.STOPPED})
BEGUN_STATUSES = frozenset({"IN PROGRESS", "COMPLETED", "DISCONTINUED"})


class SentAction(NamedTuple):
    """What Manage knows of an action that it has sent: its day, whether it is confirmed, and how far the woman is."""

    day: date
    is_confirmed: bool
    is_in_progress: bool


def sent_action(action_id: str) -> SentAction | None:
    """Find an action by its id: of this clinic, or sent by a command and so known to the gateway alone."""
    appointment = Appointment.objects.filter(action__action_id=action_id).first()
    if appointment and appointment.action:
        if state_of(appointment) is State.CONFIRMED:  # no page may be open that reads the gateway's changes
            read_changes([appointment])
            appointment.refresh_from_db()
        made_at = datetime.fromisoformat(appointment.action["timestamp"])
        confirmed = (appointment.reply or {}).get("status") in CONFIRMED
        return SentAction(timezone.localdate(made_at), confirmed, state_of(appointment) in BEGUN)
    received = ReceivedAction.objects.filter(action_id=action_id).first()
    if not received:
        return None
    item = WorklistItem.objects.filter(accession_number=received.accession_number).first()
    in_progress = item is not None and item.status in BEGUN_STATUSES
    return SentAction(timezone.localdate(received.received_at), received.outcome in CONFIRMED, in_progress)


def problem(status: int, title: str, detail: str = "") -> JsonResponse:
    """Return an error as Manage does."""
    return JsonResponse({"title": title, "status": status, "detail": detail or title}, status=status)


def internal_error() -> JsonResponse:
    """Return the answer that says nothing of its cause."""
    return problem(500, "Internal Server Error")


def refusal(request: HttpRequest, action_id: str) -> HttpResponseBase | None:
    """Return the answer of a fault on demand, or to a request that Manage does not let in; None lets it in."""
    fault = ManageFault.objects.filter(times__gt=0).first()
    if fault and ManageFault.objects.filter(pk=fault.pk, times=fault.times).update(times=F("times") - 1):
        time.sleep(fault.delay_seconds)
        if fault.disconnect:
            return StreamingHttpResponse(_broken(), status=103)
        if fault.status:
            return problem(fault.status, "A fault on demand")
    if request.headers.get("Authorization") != f"Bearer {settings.MANAGE_API_TOKEN}":
        return JsonResponse({"detail": "Unauthorized"}, status=401)
    action = sent_action(action_id)
    if action is None and request.method == "PATCH":
        return problem(404, "Not Found", "Unknown action")
    if action is None or not action.is_confirmed or action.day != timezone.localdate():
        return problem(403, "Forbidden")
    return None


def _broken() -> Iterator[bytes]:
    """Make the server close the connection: an interim response has begun, and no other follows."""
    raise ConnectionAbortedError
    yield b""


@csrf_exempt
@only_with_emulated_relay
@require_http_methods(["PUT"])
def put_image(request: HttpRequest, action_id: str) -> HttpResponseBase:
    """Take one image of an action: PUT dicom/{action_id}."""
    refused = refusal(request, action_id)
    if refused:
        return refused
    if ManageFailure.objects.filter(action_id=action_id).exists():
        return problem(403, "Forbidden")
    try:
        _, files = MultiPartParser(request.META, request, request.upload_handlers, request.encoding).parse()
        file: Any = files["file"]
    except (MultiPartParserError, KeyError):
        missing = {"type": "missing", "loc": ["file", "file"], "msg": "Field required"}
        return JsonResponse({"detail": [missing]}, status=422)
    return take(action_id, file.read())


def take(action_id: str, file: bytes) -> HttpResponse:
    """Keep an image, and make its picture.

    Where the picture cannot be made, Manage answers 500 but keeps the row; the repetition is then answered 201.
    """
    if len(file) > MOST_BYTES:
        return problem(400, "Bad Request", "The file is too large")
    try:
        dataset = dcmread(BytesIO(file))
        uids = [str(dataset[keyword].value) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    except (InvalidDicomError, KeyError, EOFError):
        return problem(400, "Bad Request", "Not a DICOM file, or a UID is missing")
    found = ManageImage.objects.filter(sop_instance_uid=uids[2])
    if found.update(times_received=F("times_received") + 1):
        return _created(found.get())
    action = sent_action(action_id)
    image = _row(action_id, uids, dataset)
    if not (action and action.is_in_progress) or len(image.patient_id) > PATIENT_ID_LENGTH or not _fits(image):
        return internal_error()
    image.attributes = [element.keyword for element in dataset]
    image.save()
    try:
        image.picture = picture_of(file)
    except Exception:  # noqa: BLE001 - the trap: whatever goes wrong in a codec, the row stays
        return internal_error()
    image.save(update_fields=["picture"])
    return _created(image)


def _row(action_id: str, uids: list[str], dataset: FileDataset) -> ManageImage:
    return ManageImage(
        action_id=action_id,
        study_instance_uid=uids[0],
        series_instance_uid=uids[1],
        sop_instance_uid=uids[2],
        patient_id=str(dataset.get("PatientID", "")),
        laterality=str(dataset.get("ImageLaterality", "")),
        view_position=str(dataset.get("ViewPosition", "")),
    )


def _fits(image: ManageImage) -> bool:
    """Tell whether the Study is known under this action alone, and the Series with this laterality and view alone."""
    others = ManageImage.objects.all()
    if others.filter(study_instance_uid=image.study_instance_uid).exclude(action_id=image.action_id).exists():
        return False
    of_series = others.filter(series_instance_uid=image.series_instance_uid)
    return not of_series.exclude(laterality=image.laterality, view_position=image.view_position).exists()


def _created(image: ManageImage) -> JsonResponse:
    uids = ("study_instance_uid", "series_instance_uid", "sop_instance_uid")
    answer: dict[str, Any] = {name: getattr(image, name) for name in uids}
    return JsonResponse({**answer, "instance_id": str(image.pk)}, status=201)


@csrf_exempt
@only_with_emulated_relay
@require_http_methods(["PATCH"])
def report_failure(request: HttpRequest, action_id: str) -> HttpResponseBase:
    """Record that an action's images have failed: PATCH dicom/{action_id}/failure."""
    refused = refusal(request, action_id)
    if refused:
        return refused
    try:
        error = json.loads(request.body)["error"]
    except (ValueError, KeyError, TypeError):
        return JsonResponse({"detail": [{"type": "missing", "loc": ["body", "error"]}]}, status=422)
    ManageFailure.objects.update_or_create(action_id=action_id, defaults={"error": str(error)})
    return JsonResponse({"status": "failure recorded"})


@csrf_exempt
@only_with_emulated_relay
@require_http_methods(["POST", "DELETE"])
def faults(request: HttpRequest) -> HttpResponse:
    """Order a fault, or remove all: `{"times": 3, "status": 500, "delay_seconds": 2, "disconnect": false}`."""
    if request.method == "DELETE":
        ManageFault.objects.all().delete()
        return HttpResponse(status=204)
    names = {"times", "status", "delay_seconds", "disconnect"}
    try:
        ordered = json.loads(request.body)
        fault = ManageFault(**{name: value for name, value in ordered.items() if name in names})
        fault.full_clean()
    except (ValueError, AttributeError, ValidationError) as error:
        return problem(400, "Bad Request", str(error))
    fault.save()
    return HttpResponse(status=204)
