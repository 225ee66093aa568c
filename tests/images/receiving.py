"""Run an image server on a spool of its own, and send it images as a mammography unit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pynetdicom import AE

from dicom.association_policy import AssociationPolicy
from dicom.modality_directory import ModalityDirectory
from dicom.server import DicomServer, stop_server
from images.arrival_rate import ArrivalRate
from images.configuration import server_config
from images.models import ReceivedImage
from images.phantoms import Phantom, image_of
from images.scp import start_image_server
from images.spool import ID_FILE, Spool
from images.storage import ImageContext
from tests.dicom.raw import (
    AFFECTED_CLASS,
    AFFECTED_UID,
    COMMAND_FIELD,
    DATA_FOLLOWS,
    DATA_SET_TYPE,
    MESSAGE_ID,
    PRIORITY,
    Answer,
    Element,
    RawAssociation,
    association_request,
    message,
    offer,
    us,
)
from tests.dicom.serving import all_ended

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

    def __init__(self, server: DicomServer, context: ImageContext) -> None:
        self.server, self.context, self.spool = server, context, context.spool

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def files(self) -> list[Path]:
        """Return every file in the spool but the one with its id."""
        return [path for path in self.spool.root.rglob("*") if path.is_file() and path.name != ID_FILE]

    def store(self, made: Dataset, **names: Any) -> Dataset:
        """Send an image with pynetdicom; return the response."""
        return store(self.port, made, **names)

    def store_raw(self, raw: bytes, made: Dataset, **names: str) -> Answer:
        """Send these bytes as the data set of an image, under the names of the image unless others are given."""
        with storing(self.port, made) as association:
            association.send(message(STORE_CONTEXT, store_request(made, **names), raw))
            (answer,) = association.answers()
            association.release()
        return answer

    def assert_keeps_nothing(self) -> None:
        """Assert that there is no row and no file, once every association has ended."""
        all_ended(self.server)
        assert self.files() == []
        assert not ReceivedImage.objects.exists()


@contextmanager
def receiving(
    root: Path,
    *,
    max_bytes: int = 1 << 30,
    min_free_bytes: int = 0,
    arrivals: ArrivalRate | None = None,
    **config: Any,
) -> Iterator[Receiver]:
    """Run an image server that reads the modalities anew for each association."""
    spool = Spool(root)
    spool.prepare()
    policy = AssociationPolicy(replace(server_config(), **config), ModalityDirectory(0))
    context = ImageContext(
        policy,
        spool=spool,
        max_bytes=max_bytes,
        min_free_bytes=min_free_bytes,
        arrivals=arrivals or ArrivalRate(1000),
    )
    server = start_image_server("127.0.0.1", 0, context)
    try:
        yield Receiver(server, context)
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


#: The presentation context of `storing`, and the command field of a C-STORE-RQ.
STORE_CONTEXT, C_STORE = 1, 0x0001


@contextmanager
def storing(port: int, made: Dataset) -> Iterator[RawAssociation]:
    """Open an association for images as this one; close the connection after the block."""
    offers = [offer(STORE_CONTEXT, made.SOPClassUID, made.file_meta.TransferSyntaxUID)]
    association = RawAssociation.opened(port, association_request(offers, called=CALLED.encode()))
    with association.socket:
        association.accepted()
        yield association


def store_request(made: Dataset, sop_class: str = "", sop_instance: str = "") -> list[Element]:
    """Return the command set of a C-STORE-RQ."""
    return [
        Element(AFFECTED_CLASS, "UI", sop_class or made.SOPClassUID),
        us(COMMAND_FIELD, C_STORE),
        us(MESSAGE_ID, 1),
        us(PRIORITY, 0),
        us(DATA_SET_TYPE, DATA_FOLLOWS),
        Element(AFFECTED_UID, "UI", sop_instance or made.SOPInstanceUID),
    ]


def data_set_of(made: Dataset) -> bytes:
    """Encode the data set of an image in its transfer syntax, without what a file has before it."""
    buffer = BytesIO()
    dcmwrite(buffer, made, enforce_file_format=True)
    written = buffer.getvalue()
    return written[144 + int.from_bytes(written[140:144], "little") :]
