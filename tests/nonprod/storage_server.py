"""Run a Storage SCP (pynetdicom's) that keeps the images it gets, and answers with the statuses a test chooses."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation
from pynetdicom import AE, evt

from dicom.scu import StorageScu
from nonprod.modality_emulator.encodings import TRANSFER_SYNTAXES

CALLED = "IMAGES"


@dataclass
class StorageServer:
    """The images received, and the statuses to answer with before 0000."""

    port: int = 0
    received: list[Dataset] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def sender(self, ae_title: str = "MAMMO1") -> StorageScu:
        """Return a modality that sends to this server."""
        return StorageScu("127.0.0.1", self.port, CALLED, ae_title)

    def store(self, event: evt.Event) -> int:
        if self.answers:
            return self.answers.pop(0)
        image = event.dataset
        image.file_meta = event.file_meta
        self.received.append(image)
        return 0x0000


@contextmanager
def storage_server(*transfer_syntaxes: str) -> Iterator[StorageServer]:
    """Run a server on a free port that accepts these transfer syntaxes, or all."""
    state = StorageServer()
    entity = AE(ae_title=CALLED)
    accepted = [TRANSFER_SYNTAXES[name] for name in transfer_syntaxes or TRANSFER_SYNTAXES]
    entity.add_supported_context(DigitalMammographyXRayImageStorageForPresentation, accepted)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, state.store)])
    assert server
    state.port = int(server.server_address[1])
    try:
        yield state
    finally:
        server.shutdown()
