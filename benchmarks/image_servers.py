"""Start the servers that images are sent to, each as a process of its own: ours, DCMTK's and Orthanc.

Ours answers once an image is on the disk; the others do not wait for that.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import OURS, progress
from benchmarks.processes import free_port, python, running
from benchmarks.raw_dicom import CALLED, IMAGE_PDU_LENGTH
from benchmarks.servers import ORTHANC, Server, file_name, serving
from images.spool import ID_FILE

STORESCP, ORTHANC_NAME = "storescp", "Orthanc"
COLUMNS = (OURS, STORESCP, ORTHANC_NAME)


@dataclass(frozen=True)
class ImageServer(Server):
    """A server that runs, and the folder that it writes images to."""

    files: Path

    def forget_images(self) -> None:
        """Delete the images that it has written, so that none goes to the disk while another is measured."""
        for path in self.files.rglob("*"):
            if path.is_file() and path.name != ID_FILE:  # without it, the gateway would not know its spool again
                path.unlink()


@contextmanager
def image_server(
    name: str, files: Path, port: int, command: Sequence[str], environment: Mapping[str, str] = {}
) -> Iterator[ImageServer]:
    """Run a server that writes images to a folder."""
    files.mkdir(exist_ok=True)
    with serving(f"{name} images", port, files.parent, [*command], environment) as server:
        yield ImageServer(name, port, server.pid, files)


def image_gateway(folder: Path, database_url: str) -> AbstractContextManager[ImageServer]:
    """Run `manage.py run_image_scp` on this database."""
    port, spool = free_port(), folder / "spool"
    settings = {
        "DATABASE_URL": database_url,
        "IMAGE_PORT": str(port),
        "IMAGE_TLS_PORT": "0",
        "IMAGE_SPOOL_DIR": str(spool),
        "IMAGE_MIN_FREE_BYTES": "0",
        "LOG_LEVEL": "INFO",
    }
    return image_server(OURS, spool, port, python("manage.py", "run_image_scp"), settings)


@contextmanager
def uploading(folder: Path, database_url: str, spool: Path) -> Iterator[None]:
    """Run `manage.py run_image_uploader` on this database, which sends to the emulated Manage of a web server."""
    port = free_port()
    settings = {"DATABASE_URL": database_url, "WEB_PORT": str(port), "IMAGE_SPOOL_DIR": str(spool)}
    uploader = python("manage.py", "run_image_uploader")
    with (
        serving("web", port, folder, python("manage.py", "run_web"), settings),
        running(uploader, folder / "uploader.log", {**settings, "IMAGE_MIN_FREE_BYTES": "0"}),
    ):
        yield


def peers(folder: Path) -> Iterator[AbstractContextManager[ImageServer]]:
    """Yield the servers to compare with that are installed."""
    if shutil.which("storescp"):
        yield storescp(folder)
    else:
        progress("skipped: storescp is not installed (apt-get install dcmtk)")
    if ORTHANC.exists():
        yield orthanc(folder)
    else:
        progress("skipped: Orthanc is not installed (apt-get install orthanc)")


def storescp(folder: Path) -> AbstractContextManager[ImageServer]:
    """Run DCMTK's server, with a process for each association."""
    port, files = free_port(), folder / STORESCP
    options = ["--fork", "--max-pdu", str(IMAGE_PDU_LENGTH), "--output-directory", str(files)]
    return image_server(STORESCP, files, port, ["storescp", *options, str(port)])


def orthanc(folder: Path) -> AbstractContextManager[ImageServer]:
    """Run Orthanc, which does not sync its files either."""
    port, files = free_port(), folder / ORTHANC_NAME
    configuration = folder / f"{file_name(ORTHANC_NAME)}.json"
    content = {
        "Name": "benchmark",
        "StorageDirectory": str(files),
        "IndexDirectory": str(folder / "index"),
        "SyncStorageArea": False,
        "HttpServerEnabled": False,
        "DicomAet": CALLED,
        "DicomPort": port,
        "MaximumPduLength": IMAGE_PDU_LENGTH,
        "Plugins": [],
    }
    configuration.write_text(json.dumps(content))
    return image_server(ORTHANC_NAME, files, port, [str(ORTHANC), str(configuration)])


@contextmanager
def all_servers(folder: Path, database_url: str) -> Iterator[list[ImageServer]]:
    """Run ours and those to compare with."""
    with ExitStack() as stack:
        yield [stack.enter_context(each) for each in (image_gateway(folder, database_url), *peers(folder))]
