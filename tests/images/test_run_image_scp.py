"""The image server as a process: start, listen, answer, stop."""

import json
import os
import socket
import ssl
import sys
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from core.models import Heartbeat
from images.management.commands.run_image_scp import NICENESS
from nonprod.local_gateway import is_free
from tests.images.receiving import CALLED, image, store
from tests.processes import Start, free_ports
from tests.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The settings of an image server of the test's own."""
    return {
        "IMAGE_PORT": str(free_ports(1)[0]),
        "IMAGE_SPOOL_DIR": str(tmp_path / "spool"),
        "IMAGE_MIN_FREE_BYTES": "0",
    }


class TestRunImageScp:
    def test_receives_images_and_stops_with_0(self, start: Start, environment: dict[str, str], tmp_path: Path) -> None:
        left = tmp_path / "spool" / "incoming" / "left.dcm"
        left.parent.mkdir(parents=True)
        left.write_bytes(b"half an image")
        process = start("run_image_scp", **environment)
        line = json.loads(process.wait_for('"listening"'))
        port = int(environment["IMAGE_PORT"])
        assert (line["port"], line["ae_title"], line["tls"]) == (port, CALLED, False)
        eventually(lambda: not left.exists())
        if sys.platform != "win32":
            assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(
                19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
            )
        beats = Heartbeat.objects.filter(role="image_scp", state="receiving")
        eventually(beats.exists)
        assert store(port, image()).Status == 0x0000
        assert process.stop() == 0
        assert "image SCP stopped" in process.output
        assert is_free(port)
        assert not beats.exists()

    def test_reports_a_port_in_use_and_its_setting_and_leaves_what_another_server_is_receiving(
        self, start: Start, environment: dict[str, str], tmp_path: Path
    ) -> None:
        arriving = tmp_path / "spool" / "incoming" / "arriving.dcm"
        arriving.parent.mkdir(parents=True)
        arriving.touch()
        with socket.create_server(("127.0.0.1", int(environment["IMAGE_PORT"]))):
            process = start("run_image_scp", **environment)
            assert process.exit_status() == 2
        assert "Set IMAGE_PORT to another port" in process.output
        assert arriving.exists()

    def test_reports_a_spool_that_cannot_be_made(
        self, start: Start, environment: dict[str, str], tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("in the way")
        process = start("run_image_scp", **{**environment, "IMAGE_SPOOL_DIR": str(tmp_path / "file" / "spool")})
        assert process.exit_status() == 2
        assert "Set IMAGE_SPOOL_DIR to another folder" in process.output

    def test_can_listen_with_tls_only(
        self, start: Start, environment: dict[str, str], tls_files: dict[str, str]
    ) -> None:
        files = {name.replace("MWL_", "IMAGE_"): path for name, path in tls_files.items()}
        port = free_ports(1)[0]
        process = start("run_image_scp", **{**environment, "IMAGE_PORT": "0", "IMAGE_TLS_PORT": str(port), **files})
        assert json.loads(process.wait_for('"listening"'))["tls"] is True
        context = ssl.create_default_context(cafile=files["IMAGE_TLS_CLIENT_CA_PATH"])
        context.load_cert_chain(files["IMAGE_TLS_CERTIFICATE_PATH"], files["IMAGE_TLS_KEY_PATH"])
        sent = image()
        entity = AE(ae_title="MAMMO1")
        entity.add_requested_context(Verification)
        entity.add_requested_context(sent.SOPClassUID, [sent.file_meta.TransferSyntaxUID])
        association = entity.associate("127.0.0.1", port, ae_title=CALLED, tls_args=(context, "127.0.0.1"))
        assert association.send_c_echo().Status == 0x0000
        assert association.send_c_store(sent).Status == 0x0000
        association.release()

    def test_loads_no_codec(self, start: Start) -> None:
        program = (
            "import django, sys; django.setup(); from images.management.commands import run_image_scp; "
            "print(sorted({'numpy', 'PIL', 'gdcm', 'httpx', 'pydicom'} & set(sys.modules)))"
        )
        process = start(program, program="-c")
        assert process.exit_status() == 0
        assert process.output == "[]\n"
