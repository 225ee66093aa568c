"""From the machine to Manage's picture, while server and uploader are killed and Manage fails: nothing is lost.

Nor is anything of the patient in any log, at DEBUG, when Django hands its SQL to it.
"""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from images.models import ReceivedImage
from nonprod.models import ManageImage
from tests.images.receiving import image, store
from tests.images.test_uploader_process import SENT, item_in_progress, let_leases_expire
from tests.images.waiting import order_fault
from tests.processes import KILL
from tests.system.conftest import Gateway

pytestmark = pytest.mark.django_db(transaction=True)

PARTS = ("run_image_scp", "run_image_uploader")
NAME, NUMBER = "SMITH", "9990000018"


def images_of(study_instance_uid: str, count: int) -> list[Dataset]:
    """Return images of one woman, each of a Series of its own."""
    return [
        image(PatientID=NUMBER, StudyInstanceUID=study_instance_uid, SeriesInstanceUID=generate_uid())
        for _ in range(count)
    ]


def test_every_image_that_was_answered_0000_is_a_picture_at_manage(gateway: Gateway, tmp_path: Path) -> None:
    order_fault(disconnect=True)
    order_fault(status=503)
    spool = {"IMAGE_SPOOL_DIR": str(tmp_path / "spool"), "IMAGE_MIN_FREE_BYTES": "0", "IMAGE_RETRY_SECONDS": "1"}
    gateway.run("run_web", *PARTS, **spool, LOG_LEVEL="DEBUG", DEBUG="True")
    processes = list(gateway.processes.values())
    port = int(gateway.environment["IMAGE_PORT"])
    sent = images_of(item_in_progress().study_instance_uid, 4)
    for made in sent[:2]:
        assert store(port, made).Status == 0x0000
    gateway.processes["run_image_uploader"].wait_for("Manage did not answer")
    for name in PARTS:  # at whatever they are doing
        gateway.processes[name].send_signal(KILL)
        gateway.processes[name].exit_status()
    let_leases_expire()
    processes += [gateway.run_one(name) for name in PARTS]
    for made in sent:  # those that the machine is not sure of come again
        assert store(port, made).Status == 0x0000
    while ReceivedImage.objects.exclude(state="uploaded").exists():
        gateway.processes["run_image_uploader"].wait_for(SENT)
    pictures = {row.sop_instance_uid: bool(row.picture) for row in ManageImage.objects.all()}
    assert pictures == {str(made.SOPInstanceUID): True for made in sent}
    assert str(sent[0].PatientName).startswith(NAME)
    assert [word for word in (NAME, NUMBER) for process in processes if word in process.output] == []
