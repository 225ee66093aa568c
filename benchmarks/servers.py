"""Start the servers that are compared, each as a process of its own: ours, DCMTK's, Orthanc and a plain pynetdicom."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ImplicitVRLittleEndian, generate_uid
from pynetdicom.dsutils import decode

from benchmarks.measuring import OURS, progress
from benchmarks.processes import free_port, python, running, wait_for_port
from benchmarks.raw_dicom import CALLED

PLAIN = "plain pynetdicom"
#: Both C++ servers, as they are installed, and with TCP_NODELAY=1 in their environment.
AT_BEST, AS_INSTALLED = ("wlmscpfs, best", "Orthanc, best"), ("wlmscpfs", "Orthanc")
COLUMNS = (OURS, *AT_BEST, *AS_INSTALLED, PLAIN)
NODELAY = {"TCP_NODELAY": "1"}
#: Where Debian has them.
ORTHANC = Path("/usr/sbin/Orthanc")
ORTHANC_PLUGIN = Path("/usr/share/orthanc/plugins/libModalityWorklists.so")
#: Everything else is as delivered.
GATEWAY_SETTINGS = {
    "MWL_AE_TITLE": CALLED,
    "MWL_TLS_PORT": "0",
    "MWL_MAX_ROWS": "5000",
    "MWL_MAX_ASSOCIATIONS": "1000",
    "MWL_MAX_ASSOCIATIONS_PER_PEER": "1000",
    "MWL_IDLE_SECONDS": "600",
    "LOG_LEVEL": "INFO",
}


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    name: str
    port: int
    pid: int


def gateway(folder: Path, database_url: str, name: str = OURS) -> AbstractContextManager[Server]:
    """Run `manage.py run_mwl_scp` on this database."""
    port = free_port()
    settings = {**GATEWAY_SETTINGS, "DATABASE_URL": database_url, "MWL_PORT": str(port)}
    return serving(name, port, folder, python("manage.py", "run_mwl_scp"), settings)


def peers(folder: Path, rows: list[bytes]) -> list[AbstractContextManager[Server]]:
    """Return the servers to compare with, all of which serve these rows (Implicit VR Little Endian)."""
    files = folder / "worklists" / CALLED
    files.mkdir(parents=True)
    (files / "lockfile").touch()
    for number, row in enumerate(rows):
        _write_worklist_file(
            files / f"{number:06}.wl", decode(BytesIO(row), is_implicit_vr=True, is_little_endian=True)
        )
    all_peers = [plain_pynetdicom(folder, files)]
    for (wlmscpfs, orthanc), environment in ((AT_BEST, NODELAY), (AS_INSTALLED, {})):
        if shutil.which("wlmscpfs"):
            all_peers.append(wlmscpfs_server(wlmscpfs, folder, files, environment))
        else:
            progress(f"skipped: {wlmscpfs} is not installed (apt-get install dcmtk)")
        if ORTHANC.exists() and ORTHANC_PLUGIN.exists():
            all_peers.append(orthanc_server(orthanc, folder, files, environment))
        else:
            progress(f"skipped: {orthanc} is not installed (apt-get install orthanc)")
    return all_peers


def plain_pynetdicom(folder: Path, files: Path) -> AbstractContextManager[Server]:
    """Serve the files by `plain_scp`."""
    port = free_port()
    return serving(PLAIN, port, folder, python("-m", "benchmarks.plain_scp", str(port), str(files)))


def wlmscpfs_server(
    name: str, folder: Path, files: Path, environment: dict[str, str]
) -> AbstractContextManager[Server]:
    """Serve the files by DCMTK's server, which looks for them in a folder of the called AE title's name."""
    port = free_port()
    options = ["--disable-file-reject", "--disable-host-lookup", "--data-files-path", str(files.parent)]
    return serving(name, port, folder, ["wlmscpfs", *options, str(port)], environment)


def orthanc_server(name: str, folder: Path, files: Path, environment: dict[str, str]) -> AbstractContextManager[Server]:
    """Serve the files by Orthanc's sample plugin."""
    port, own = free_port(), folder / file_name(name)
    configuration = own.with_suffix(".json")
    content = {
        "Name": "benchmark",
        "StorageDirectory": str(own),
        "IndexDirectory": str(own),
        "Plugins": [str(ORTHANC_PLUGIN)],
        "HttpServerEnabled": False,
        "DicomAet": CALLED,
        "DicomPort": port,
        "DicomAlwaysAllowFindWorklist": True,
        "Worklists": {"Enable": True, "Database": str(files)},
    }
    configuration.write_text(json.dumps(content))
    return serving(name, port, folder, [str(ORTHANC), str(configuration)], environment)


@contextmanager
def serving(
    name: str, port: int, folder: Path, command: list[str], environment: Mapping[str, str] = {}
) -> Iterator[Server]:
    """Run a server, and wait until it listens."""
    log = folder / f"{file_name(name)}.log"
    with running(command, log, environment) as pid:
        wait_for_port(port, log)
        yield Server(name, port, pid)


def file_name(name: str) -> str:
    """Return the name of a server as that of its files."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _write_worklist_file(path: Path, row: Dataset) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.31")
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    FileDataset(path, row, preamble=bytes(128), file_meta=meta).save_as(path, enforce_file_format=True)
