"""Worker processes: real ones, with real limits."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEGLosslessSV1

from images.copies import CannotCopy, worker
from images.copies.worker import Worker, Workers, copy_in_process
from tests.images.copies.originals import image_with, with_codestream, written

if sys.platform == "win32":
    pytest.skip("signals, /proc and limits of memory", allow_module_level=True)

#: JPEG Lossless, an image of 60,000 by 60,000 pixels that is not there: 7.2 GB.
BOMB = bytes.fromhex(
    "ffd8 ffc3 000b 10 ea60 ea60 01 01 11 00 ffc4 0014 00 01 00000000000000000000000000000000 00".replace(" ", "")
)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return written(image_with(np.arange(6000, dtype=np.uint16).reshape(100, 60) % 4096), tmp_path / "image.dcm")


@pytest.fixture
def workers() -> Iterator[Workers]:
    workers = Workers()
    yield workers
    workers.close()


def process_of(workers: Workers) -> int:
    """Return the id of the only idle worker."""
    (idle,) = workers._idle
    return idle._process.pid


class TestAWorker:
    def test_makes_the_copy(self, original: Path, tmp_path: Path) -> None:
        copy_in_process(original, tmp_path / "copy.dcm", 50, 15)
        assert dcmread(tmp_path / "copy.dcm").pixel_array.shape == (50, 30)

    def test_serves_one_image_after_the_other(self, workers: Workers, original: Path, tmp_path: Path) -> None:
        workers.copy(original, tmp_path / "one.dcm", 50, 15)
        first = process_of(workers)
        workers.copy(original, tmp_path / "two.dcm", 50, 15)
        assert process_of(workers) == first

    def test_goes_on_after_an_image_of_which_there_is_no_copy(
        self, workers: Workers, original: Path, tmp_path: Path
    ) -> None:
        workers.copy(original, tmp_path / "one.dcm", 50, 15)
        first = process_of(workers)
        (tmp_path / "damaged.dcm").write_bytes(b"\0" * 500)
        with pytest.raises(CannotCopy, match="header of the image cannot be read"):
            workers.copy(tmp_path / "damaged.dcm", tmp_path / "copy.dcm", 50, 15)
        with pytest.raises(FileNotFoundError):
            workers.copy(tmp_path / "missing.dcm", tmp_path / "copy.dcm", 50, 15)
        assert process_of(workers) == first

    def test_is_replaced_after_many_images(
        self, workers: Workers, original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker, "IMAGES_A_WORKER", 1)
        workers.copy(original, tmp_path / "one.dcm", 50, 15)
        assert not workers._idle

    def test_outlives_the_signal_that_ends_its_group(self, workers: Workers, original: Path, tmp_path: Path) -> None:
        workers.copy(original, tmp_path / "one.dcm", 50, 15)
        first = process_of(workers)
        os.kill(first, signal.SIGTERM)
        workers.copy(original, tmp_path / "two.dcm", 50, 15)
        assert process_of(workers) == first

    def test_that_crashed_is_replaced_and_the_image_tried_again(
        self, workers: Workers, original: Path, tmp_path: Path
    ) -> None:
        workers.copy(original, tmp_path / "one.dcm", 50, 15)
        first = process_of(workers)
        os.kill(first, signal.SIGSEGV)
        workers.copy(original, tmp_path / "two.dcm", 50, 15)
        assert process_of(workers) != first

    def test_that_takes_too_long_is_ended(self, workers: Workers, original: Path, tmp_path: Path) -> None:
        workers.copy(original, tmp_path / "one.dcm", 50, 15)
        (idle,) = workers._idle
        idle._seconds = 0.1
        endless = tmp_path / "endless.dcm"
        os.mkfifo(endless)  # nobody writes to it, so opening it takes for ever
        with pytest.raises(CannotCopy, match="the program that decodes it took too long"):
            workers.copy(endless, tmp_path / "two.dcm", 50, 15)
        assert idle._process.returncode == -signal.SIGKILL
        workers.copy(original, tmp_path / "two.dcm", 50, 15)

    @pytest.mark.parametrize(
        ("sent", "told", "words"),
        [
            (signal.SIGSEGV, CannotCopy, "the program that decodes it crashed"),
            (signal.SIGKILL, OSError, "memory may be short"),  # as the kernel does; the image is tried again
        ],
    )
    def test_that_dies_over_an_image_is_told(
        self, workers: Workers, tmp_path: Path, sent: signal.Signals, told: type[Exception], words: str
    ) -> None:
        endless = tmp_path / "endless.dcm"
        os.mkfifo(endless)
        refusals: list[Exception] = []

        def copy() -> None:
            with pytest.raises(told) as refusal:
                workers.copy(endless, tmp_path / "copy.dcm", 50, 15)
            refusals.append(refusal.value)

        thread = threading.Thread(target=copy)
        thread.start()
        with endless.open("wb"):  # returns once the worker has opened the other end
            (child,) = Path(f"/proc/self/task/{thread.native_id}/children").read_text().split()
            os.kill(int(child), sent)
            thread.join()
        assert words in str(refusals[0])

    def test_that_does_not_start_is_not_the_image_s_fault(self, original: Path, tmp_path: Path) -> None:
        workers = Workers(memory_bytes=1 << 20)
        with pytest.raises(OSError, match="does not start"):
            workers.copy(original, tmp_path / "copy.dcm", 50, 15)

    def test_ends_with_the_process_that_started_it(self) -> None:
        started = "from images.copies.worker import Worker; w = Worker(); w._read(); print(w._process.pid, flush=True)"
        parent = subprocess.Popen(
            [sys.executable, "-c", f"{started}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert parent.stdout
        child = int(parent.stdout.readline())
        descriptor = os.pidfd_open(child)
        parent.kill()
        parent.communicate()
        assert select.select([descriptor], [], [], 10)[0]
        os.close(descriptor)

    def test_knows_no_secret(self, original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_KEY", "not for the worker")
        process = Worker()
        process.copy(original, tmp_path / "copy.dcm", 50, 15)
        assert b"SECRET_KEY" not in Path(f"/proc/{process._process.pid}/environ").read_bytes()
        process.end()

    def test_serves_several_threads(self, workers: Workers, original: Path, tmp_path: Path) -> None:
        copies = [tmp_path / f"{number}.copy.dcm" for number in range(8)]
        threads = [threading.Thread(target=workers.copy, args=(original, copy, 50, 15)) for copy in copies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(copy.exists() for copy in copies)
        assert len(workers._idle) <= worker.WORKERS


class TestABomb:
    def test_that_its_header_declares_is_refused_before_decoding(self, workers: Workers, tmp_path: Path) -> None:
        image = with_codestream(image_with(np.zeros((5, 5), np.uint16)), BOMB + b"\xff\xd9", JPEGLosslessSV1)
        image.Rows = image.Columns = 60_000
        with pytest.raises(CannotCopy, match="declares a frame of more than 128 MiB"):
            workers.copy(written(image, tmp_path / "bomb.dcm"), tmp_path / "copy.dcm", 50, 15)

    def test_that_only_its_codestream_declares_is_refused_before_decoding(
        self, workers: Workers, tmp_path: Path
    ) -> None:
        image = with_codestream(image_with(np.zeros((5, 5), np.uint16)), BOMB + b"\xff\xd9", JPEGLosslessSV1)
        with pytest.raises(CannotCopy, match="another size than its header"):
            workers.copy(written(image, tmp_path / "bomb.dcm"), tmp_path / "copy.dcm", 50, 15)

    def test_does_not_get_more_memory_than_the_limit(self, tmp_path: Path) -> None:
        frame = np.zeros((8000, 8000), np.uint16)
        original = written(image_with(frame), tmp_path / "image.dcm")
        workers = Workers(memory_bytes=300 << 20)
        with pytest.raises(CannotCopy, match=r"too much memory|crashed"):
            workers.copy(original, tmp_path / "copy.dcm", 50, 15)
        assert list(tmp_path.iterdir()) == [original]
        workers.close()


def test_what_a_codec_prints_is_no_answer(original: Path, tmp_path: Path) -> None:
    program = "import os; from images.copies import worker; worker._limit = lambda memory: os.write(1, b'noise'); "
    request = {"original": str(original), "copy": str(tmp_path / "copy.dcm"), "longest_side": 50, "ratio": 15}
    finished = subprocess.run(
        [sys.executable, "-c", f"{program} worker.main('0', '60')"],
        input=f"{json.dumps(request)}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout == '{"ready": true}\n{"done": true}\n'
