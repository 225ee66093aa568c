"""Work through a test item as a mammography machine does, and report each step: the test machine GATEWAY_TEST.

Everything that a machine does goes over DICOM to the servers of this gateway: C-FIND, N-CREATE, four phantoms by
C-STORE, N-SET. Then it looks in the database for what has become of the images, up to Manage's answer.
"""

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from django.conf import settings

from core.correlation import correlated
from core.wording import count_of
from dicom.modality_directory import FRESH_SECONDS
from dicom.models import Modality
from dicom.scu import VIEWS, ModalityScu, PerformedStep, RequestFailed, StorageScu, step_identifier
from dicom.tls import client_context
from images.copies import CannotCopy
from images.copies.worker import copy_in_process
from images.items import Item, worklist
from images.linking import ACTOR
from images.models import ReceivedImage, WholeWayTest
from images.phantoms import image_of_series
from images.spool import spool
from images.whole_way import add_step, end_test

logger = logging.getLogger(__name__)

AE_TITLE, NAME, OPERATOR = "GATEWAY_TEST", "Test machine of the gateway", "TEST^MACHINE"
#: How soon a server knows a new test machine.
KNOWN_WITHIN = 3 * FRESH_SECONDS
#: Manage's answer takes a second. If it is away, the images go later, but the test has failed.
UPLOADED_WITHIN = 120.0
POLL_SECONDS = 0.5
#: The size of an image: enough for legible letters, little for the disk.
ROWS, COLUMNS = 1147, 957
ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 - nothing listens here

State = ReceivedImage.State
Scu = TypeVar("Scu", ModalityScu, StorageScu)


class StepFailed(Exception):
    """A step of the test failed; the text says why."""


class LeftOut(Exception):
    """A step cannot be tested this time; the text says why."""


@dataclass
class TestMachine:
    """One test: the machine, the servers that it speaks to, and what it has found so far."""

    __test__ = False  # no test of pytest's

    test: WholeWayTest
    stopping: threading.Event
    modality: ModalityScu = field(init=False)
    images: StorageScu = field(init=False)
    step: PerformedStep = field(init=False)

    def run(self) -> None:
        """Take all steps until one fails, and report each."""
        for name, step in self.steps():
            try:
                add_step(self.test, name, WholeWayTest.State.PASSED, step())
            except LeftOut as reason:
                add_step(self.test, name, WholeWayTest.LEFT_OUT, str(reason))
            except (StepFailed, RequestFailed) as problem:
                add_step(self.test, name, WholeWayTest.State.FAILED, str(problem))
                return
            except Exception as error:  # the outermost edge of this test, which must end in any case
                logger.exception("test of the whole way failed", extra={"item": str(self.test.item_id)})
                add_step(self.test, name, WholeWayTest.State.FAILED, f"A fault in the gateway: {type(error).__name__}")
                return
        end_test(self.test)

    def steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield what each step proves, and the step, which returns what was found."""
        yield "The worklist shows the test item to a test machine (C-FIND)", self.find
        yield "The machine begins the examination (MPPS, N-CREATE)", self.begin
        yield "The machine sends four images (C-STORE)", self.send_images
        yield "The machine ends the examination (MPPS, N-SET)", self.complete
        yield "The images belong to the test item", self.check_link
        yield "A copy for Manage can be made of each image, and can be read", self.check_copies
        yield "Manage has taken the images", self.check_upload

    def find(self) -> str:
        self.modality, self.images = client_of("MWL", ModalityScu), client_of("IMAGE", StorageScu)
        Modality.register_test_machine(AE_TITLE, NAME, ACTOR)
        deadline = time.monotonic() + KNOWN_WITHIN
        while True:
            try:
                rows = self.modality.query(step_identifier(self.test.accession_number))
                problem = "The test item is not on the list of the test machine"
            except RequestFailed as failure:
                rows, problem = [], str(failure)
            if rows:
                self.step = self.modality.prepare(rows[0], operator=OPERATOR)
                return f"{self.test.accession_number}, as {rows[0].PatientName}"
            if time.monotonic() > deadline or self.stopping.wait(POLL_SECONDS):
                raise StepFailed(problem)

    def begin(self) -> str:
        self.step.create()
        return f"Performed procedure step {self.step.uid}"

    def send_images(self) -> str:
        series = self.step.expose(*VIEWS)
        started = time.monotonic()
        images = [
            image_of_series(self.step.attributes, one, number, rows=ROWS, columns=COLUMNS)
            for number, one in enumerate(series, start=1)
        ]
        self.images.send(images)
        return f"{count_of(len(images), 'image')} in {time.monotonic() - started:.1f} s"

    def complete(self) -> str:
        self.step.complete()
        return f"{count_of(self.step.images, 'image')} reported"

    def check_link(self) -> str:
        received = self._received()
        wrong = [image for image in received if image.item_id != self.test.item_id]
        if wrong:
            raise StepFailed(f"{_count(wrong)}: {_why(wrong[0])}")
        if len(received) != len(VIEWS):
            raise StepFailed(f"{_count(received)} of {len(VIEWS)} found")
        return f"{_count(received)} of {self.test.accession_number}"

    def check_copies(self) -> str:
        images = self._received()
        with TemporaryDirectory(prefix="whole-way-test-") as folder:
            for image in images:
                try:
                    copy_in_process(
                        spool().original(image.file),
                        Path(folder) / f"{image.pk}.dcm",
                        settings.IMAGE_PREVIEW_PIXELS,
                        settings.IMAGE_PREVIEW_RATIO,
                    )
                except (CannotCopy, OSError) as reason:
                    raise StepFailed(f"{image}: {getattr(reason, 'strerror', None) or reason}") from None
        return f"Made of {_count(images)}"

    def check_upload(self) -> str:
        started = time.monotonic()
        while True:
            images = self._received()
            found = {image.state for image in images}
            if found == {State.UPLOADED}:
                return f"{_count(images)} under the action {images[0].action_id}"
            if found == {State.NOT_SENT} and not self._item().action_id:
                raise LeftOut("The test was started in the gateway, so Manage has no action to which images could go")
            if ended := [image for image in images if image.state not in (State.UPLOADED, State.WAITING)]:
                raise StepFailed(f"{_count(ended)}: {_why(ended[0])}")
            if time.monotonic() - started > UPLOADED_WITHIN or self.stopping.wait(POLL_SECONDS):
                waiting = [image for image in images if image.state == State.WAITING]
                raise StepFailed(f"{_count(waiting)} still waiting. {_why(waiting[0])}")

    def _received(self) -> list[ReceivedImage]:
        uids = [uid for series in self.step.series for uid in series.images]
        return list(ReceivedImage.objects.filter(sop_instance_uid__in=uids))

    def _item(self) -> Item:
        item = worklist().item(self.test.item_id)
        if item is None:
            raise StepFailed("The test item is gone")
        return item


def work_through(test: WholeWayTest, stopping: threading.Event) -> None:
    """Work through a test item with the servers of this gateway, as the settings say."""
    item = worklist().item(test.item_id)
    with correlated(item.correlation_id if item else ""):
        extra = {"item": str(test.item_id), "calling_ae_title": AE_TITLE}
        logger.info("test of the whole way started", extra=extra)
        TestMachine(test, stopping).run()
        logger.info("test of the whole way ended", extra={**extra, "state": test.state, "steps": len(test.steps)})


def client_of(prefix: str, scu: Callable[..., Scu]) -> Scu:
    """Return the test machine as a client of a server: over TLS, if both have a certificate.

    `prefix` is what the names of the server's settings begin with: MWL or IMAGE.
    """

    def setting(name: str) -> Any:
        return getattr(settings, f"{prefix}_{name}")

    host = getattr(settings, f"TEST_MACHINE_{prefix}_HOST") or setting("HOST")
    has_certificate = bool(settings.TEST_MACHINE_TLS_CERTIFICATE_PATH)
    tls_port = getattr(settings, f"TEST_MACHINE_{prefix}_TLS_PORT") or setting("TLS_PORT")
    tls = _tls() if tls_port and has_certificate else None
    port = tls_port if tls else setting("PORT")
    if not port:
        raise StepFailed(f"{prefix}_PORT is 0, and the test machine has no certificate for TLS: see TEST_MACHINE_TLS_…")
    return scu("127.0.0.1" if host in ANY_ADDRESS else host, port, setting("AE_TITLE"), AE_TITLE, tls)


def _tls() -> ssl.SSLContext:
    try:
        return client_context(
            settings.TEST_MACHINE_TLS_CERTIFICATE_PATH,
            settings.TEST_MACHINE_TLS_KEY_PATH,
            settings.TEST_MACHINE_TLS_SERVER_CA_PATH,
        )
    except OSError as error:
        raise StepFailed(f"The files of TEST_MACHINE_TLS_… cannot be used: {error.strerror or error}") from None


def _count(images: list[ReceivedImage]) -> str:
    return count_of(len(images), "image")


def _why(image: ReceivedImage) -> str:
    """Return the state of an image in words: its reason, and the last answer of Manage."""
    last = f"Manage’s last answer: {image.last_status} {image.last_error}" if image.last_status else image.last_error
    return ". ".join(filter(None, (image.get_reason_display() or image.get_state_display(), last)))
