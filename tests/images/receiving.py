"""Run an image server on a spool of its own, and send it images as a mammography unit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE

from dicom.association_policy import AssociationPolicy
from dicom.modality_directory import ModalityDirectory
from dicom.server import DicomServer, stop_server
from images.configuration import server_config
from images.phantoms import Phantom, image_of
from images.scp import start_image_server
from images.spool import Spool
from images.storage import ImageContext

AT = datetime(2026, 3, 10, 9, 30)
CALLED = "GATEWAY_IMAGES"
SMALL = Phantom(rows=120, columns=100)


def image(phantom: Phantom = SMALL, **values: Any) -> Dataset:
    """Return a phantom of a woman who has an accession number."""
    scheduled = Dataset()
    scheduled.PatientName, scheduled.PatientID, scheduled.AccessionNumber = "SMITH^JANE", "9990000001", "ACC1"
    made = image_of(phantom, scheduled, at=AT)
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


class Receiver:
    """An image server that is running, with its spool."""

    def __init__(self, server: DicomServer, spool: Spool) -> None:
        self.server, self.spool = server, spool

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def files(self) -> list[Path]:
        """Return every file in the spool."""
        return [path for path in self.spool.root.rglob("*") if path.is_file()]

    def store(self, made: Dataset, **names: Any) -> Dataset:
        """Send an image on an association of its own; return the response."""
        return store(self.port, made, **names)


@contextmanager
def receiving(root: Path, *, max_bytes: int = 1 << 30, min_free_bytes: int = 0, **config: Any) -> Iterator[Receiver]:
    """Run an image server that reads the modalities anew for each association."""
    spool = Spool(root)
    spool.prepare()
    policy = AssociationPolicy(replace(server_config(), **config), ModalityDirectory(0))
    server = start_image_server(
        "127.0.0.1", 0, ImageContext(policy, spool=spool, max_bytes=max_bytes, min_free_bytes=min_free_bytes)
    )
    try:
        yield Receiver(server, spool)
    finally:
        stop_server(server)


def store(port: int, made: Dataset, calling: str = "MAMMO1") -> Dataset:
    """Send an image with pynetdicom, in its own transfer syntax only; return the response."""
    entity = AE(ae_title=calling)
    entity.add_requested_context(made.SOPClassUID, [made.file_meta.TransferSyntaxUID])
    association = entity.associate("127.0.0.1", port, ae_title=CALLED)
    assert association.is_established
    try:
        return association.send_c_store(made)
    finally:
        association.release()
