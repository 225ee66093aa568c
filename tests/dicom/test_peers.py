"""DCMTK's programs as modalities that want what the gateway does not have, or want it over TLS.

test_associations.py and test_find_with_dcmtk.py have what they get; pynetdicom's SCU is in requests.py.
"""

import subprocess
from pathlib import Path

import pytest
import trustme
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom.tls import server_context
from tests.dicom.requests import CALLED, PATIENCE, dataset
from tests.dicom.serving import port_of, rejection, serving
from tests.factories import WorklistItemFactory
from tests.worklist_fixtures import LogLines

pytestmark = [pytest.mark.usefixtures("findscu"), pytest.mark.django_db(transaction=True), pytest.mark.once]


def run(program: str, *arguments: str) -> tuple[int, str]:
    """Run a program of DCMTK; return its exit status and what it prints."""
    done = subprocess.run([program, *arguments], capture_output=True, timeout=PATIENCE, check=False)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", errors="replace")


@pytest.fixture
def image(tmp_path: Path) -> str:
    """A file that could be stored."""
    made = dataset(SOPClassUID=SecondaryCaptureImageStorage, SOPInstanceUID="1.2.3", PatientID="1")
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(tmp_path / "image.dcm", enforce_file_format=True)
    return str(tmp_path / "image.dcm")


@pytest.mark.parametrize(("program", "ending"), [("dcmsend", "Releasing Association"), ("storescu", "")])
def test_an_image_finds_no_context_and_the_association_ends_in_order(
    program: str, ending: str, image: str, log: LogLines
) -> None:
    with serving() as running:
        _, said = run(program, "-v", "-aet", "MAMMO1", "-aec", CALLED, "127.0.0.1", str(port_of(running)), image)
        assert "No Acceptable Presentation Contexts" in said
        assert ending in said
        log.wait_for("association accepted")
        assert rejection(running) is None


@pytest.mark.parametrize("options", [(), ("--propose-implicit",), ("--max-pdu", "4096")])
def test_findscu_gets_its_rows_over_tls(options: tuple[str, ...], tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name in ("server", "mammo1"):
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))
    files = {name: str(tmp_path / name) for name in ("ca.pem", "server.pem", "server.key", "mammo1.pem", "mammo1.key")}
    WorklistItemFactory.create_batch(30)
    tls = server_context(files["server.pem"], files["server.key"], files["ca.pem"])
    with serving(tls) as running:
        secure = ["+tls", files["mammo1.key"], files["mammo1.pem"], "+cf", files["ca.pem"]]
        peer = ["-aet", "MAMMO1", "-aec", CALLED, "127.0.0.1", str(port_of(running))]
        status, said = run("findscu", "-v", "-W", *options, *secure, *peer, "-k", "AccessionNumber")
    assert status == 0, said
    assert said.count("(Pending)") == 30
    assert "Received Final Find Response (Success)" in said
