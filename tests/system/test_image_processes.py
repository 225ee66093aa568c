"""An image that was answered 0000 is safe, and any other is as if it had never come: with real processes.

The image server is killed at each step of a C-STORE; independent clients (DCMTK) send in each transfer syntax; many
large images at once cost no memory, and the worklist answers meanwhile.
"""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Barrier

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from images.models import ReceivedImage
from images.phantoms import Phantom
from nonprod.modality_emulator.encodings import encoded
from tests.dicom.dcmtk import dcmtk
from tests.dicom.raw import AssociationEnded, message
from tests.dicom.requests import Unit, dataset
from tests.factories import WorklistItemFactory
from tests.images.receiving import CALLED, STORE_CONTEXT, data_set_of, image, store, store_request, storing
from tests.processes import PATIENCE, Process, Start, free_ports
from tests.system.dying_image_scp import MOMENTS
from tests.waiting import eventually
from tests.worklist_fixtures import database_down  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True)

#: What the image server may take while it receives, in KiB (issue: 120 MiB).
MOST_MEMORY = 120 << 10


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    return free_ports(1)[0]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Where the images go."""
    return tmp_path / "spool"


def serve(start: Start, port: int, spool: Path, **environment: str) -> Process:
    """The image server, listening."""
    environment = {"IMAGE_PORT": str(port), "IMAGE_SPOOL_DIR": str(spool), "IMAGE_MIN_FREE_BYTES": "0", **environment}
    process = start("run_image_scp", **environment)
    process.wait_for('"listening"')
    return process


class TestDeath:
    @pytest.mark.parametrize("moment", MOMENTS)
    def test_at_any_moment_loses_nothing_and_leaves_nothing_half(
        self, start: Start, port: int, spool: Path, moment: str
    ) -> None:
        environment = {"IMAGE_PORT": str(port), "IMAGE_SPOOL_DIR": str(spool), "IMAGE_MIN_FREE_BYTES": "0"}
        dying = start(moment, program="tests/system/dying_image_scp.py", **environment)
        dying.wait_for('"listening"')
        sent = image()
        with storing(port, sent) as association:
            association.send(message(STORE_CONTEXT, store_request(sent), data_set_of(sent)))
            with pytest.raises(AssociationEnded):
                association.answers()
        dying.exit_status()
        committed = ReceivedImage.objects.count()
        assert committed == int(moment == "after-the-commit")

        serve(start, port, spool)
        eventually(lambda: not list((spool / "incoming").iterdir()))
        assert store(port, sent).Status == 0x0000
        row = ReceivedImage.objects.get()
        assert dcmread(spool / "originals" / row.file) == sent

    def test_of_the_database_is_told_to_the_machine_which_may_send_again(
        self,
        start: Start,
        port: int,
        spool: Path,
        database_down: Callable[[], AbstractContextManager[None]],  # noqa: F811
    ) -> None:
        serve(start, port, spool, DATABASE_WAIT_SECONDS="5")
        sent = image()
        store(port, image())  # the modalities have been read
        with database_down():
            assert store(port, sent).Status == 0xA700
            assert len(list((spool / "originals").iterdir())) == 1
        assert store(port, sent).Status == 0x0000
        assert ReceivedImage.objects.count() == len(list((spool / "originals").iterdir())) == 2

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
    def test_of_the_disk_is_told_to_the_machine_and_leaves_nothing(
        self, start: Start, port: int, spool: Path, tmp_path: Path
    ) -> None:
        limited = tmp_path / "limited.py"
        limited.write_text(
            "import resource, runpy, sys\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
            "sys.argv = ['manage.py', 'run_image_scp']\n"
            "runpy.run_path('manage.py', run_name='__main__')\n"
        )
        environment = {"IMAGE_PORT": str(port), "IMAGE_SPOOL_DIR": str(spool), "IMAGE_MIN_FREE_BYTES": "0"}
        process = start(program=str(limited), PYTHONPATH=".", **environment)
        process.wait_for('"listening"')
        answer = store(port, image(Phantom(rows=1000, columns=1000)))
        assert (answer.Status, answer.ErrorComment) == (0xA700, "Not written to disk: File too large")
        assert [path for path in spool.rglob("*") if path.is_file()] == []
        assert store(port, image()).Status == 0x0000


@pytest.mark.once
@pytest.mark.usefixtures("findscu")
class TestDcmtk:
    @pytest.mark.parametrize(
        ("program", "proposal"),
        [
            ("", "-x="),
            ("implicit", "-xi"),
            ("big-endian", "-xb"),
            ("dcmcjpeg", "-xs"),
            ("dcmcjpls", "-xt"),
            ("jpeg2000", "-xv"),
        ],
    )
    def test_stores_each_transfer_syntax(
        self, start: Start, port: int, tmp_path: Path, program: str, proposal: str
    ) -> None:
        plain, file = tmp_path / "plain.dcm", tmp_path / "sent.dcm"
        others = {"implicit": ImplicitVRLittleEndian, "big-endian": ExplicitVRBigEndian, "jpeg2000": JPEG2000Lossless}
        made = image(Phantom(rows=400, columns=300))
        (encoded(made, others[program]) if program in others else made).save_as(plain, enforce_file_format=True)
        if program.startswith("dcm"):
            dcmtk(program, str(plain), str(file))
        else:
            plain.rename(file)
        serve(start, port, tmp_path / "spool")
        peer = ["-aet", "MAMMO1", "-aec", CALLED, "127.0.0.1", str(port), str(file)]
        dcmtk("storescu", proposal, *peer)
        if program in {"", "dcmcjpeg", "dcmcjpls", "jpeg2000"}:  # dcmsend converts the others for itself
            dcmtk("dcmsend", *peer)
        rows = ReceivedImage.objects.all()
        assert 1 <= len(rows) <= 2  # the two programs may encode the lengths of sequences differently
        for row in rows:
            kept = dcmread(tmp_path / "spool" / "originals" / row.file)
            assert kept == dcmread(file)
            assert kept.file_meta.TransferSyntaxUID == dcmread(file).file_meta.TransferSyntaxUID


@pytest.mark.once
@pytest.mark.alone
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
class TestTwelveImagesOf60MB:
    def test_on_four_associations_leave_memory_flat_and_the_worklist_answering(
        self, start: Start, port: int, spool: Path
    ) -> None:
        process = serve(start, port, spool)
        worklist_port = free_ports(1)[0]
        start("run_mwl_scp", MWL_PORT=str(worklist_port)).wait_for('"listening"')
        WorklistItemFactory.create(accession_number="ACC2")
        large = image(Phantom(rows=6000, columns=5000))
        raw = data_set_of(large)
        own = str(large.SOPInstanceUID).encode()
        halfway, may_go_on = Barrier(5, timeout=PATIENCE), Barrier(5, timeout=PATIENCE)

        def send(number: int) -> None:
            for count in range(3):
                uid = own[:-2] + b"%d" % (number * 10 + count)
                request = store_request(large, sop_instance=uid.decode())
                sent = memoryview(message(STORE_CONTEXT, request, raw.replace(own, uid), fragment=1 << 17))
                with storing(port, large) as association:
                    association.socket.sendall(sent[: len(sent) // 2])
                    halfway.wait()
                    may_go_on.wait()
                    association.socket.sendall(sent[len(sent) // 2 :])
                    (answer,) = association.answers()
                    assert answer.status == 0x0000

        with ThreadPoolExecutor(4) as units:
            senders = [units.submit(send, number) for number in range(1, 5)]
            for _ in range(3):
                halfway.wait()
                assert pss(process) < MOST_MEMORY
                assert Unit(worklist_port).ask(dataset(AccessionNumber="")).accession_numbers == ["ACC2"]
                may_go_on.wait()
                assert Unit(worklist_port).ask(dataset(AccessionNumber="")).accession_numbers == ["ACC2"]
                assert pss(process) < MOST_MEMORY
            for sender in senders:
                sender.result()
        assert ReceivedImage.objects.count() == 12


def pss(process: Process) -> int:
    """Return the proportional set size of a process in KiB."""
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
