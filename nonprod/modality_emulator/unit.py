"""Emulate a mammography unit, which also takes images: phantoms, sent in any transfer syntax."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom.scu import ModalityScu, PerformedStep, Series, StorageScu
from nonprod.modality_emulator.encodings import encoded


@dataclass(frozen=True)
class ModalityEmulator(ModalityScu):
    """A unit with an AE title that the emulated clinic knows."""

    ae_title: str = "MAMMO1"


@dataclass(frozen=True)
class Exposure:
    """How a unit takes and sends its images. A real one has some 3,000 by 2,400 pixels."""

    server: StorageScu
    transfer_syntax: UID = ExplicitVRLittleEndian
    rows: int = 1147
    columns: int = 957

    def send(self, step: PerformedStep, series: Iterable[Series]) -> int:
        """Send an image of each of these series of the step; return how many. Raises RequestFailed."""
        from images.phantoms import image_of_series  # noqa: PLC0415 - where images are off, there is no such app

        images = []
        for one in series:
            number = step.series.index(one) + 1
            image = image_of_series(step.attributes, one, number, rows=self.rows, columns=self.columns)
            images.append(encoded(image, self.transfer_syntax))
        self.server.send(images)
        return len(images)
