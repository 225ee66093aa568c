"""A unit sends images of the views that it reports, in any transfer syntax."""

from collections.abc import Iterator

import pytest

from dicom.scu import RequestFailed
from nonprod.modality_emulator import VIEWS, Exposure
from nonprod.modality_emulator.encodings import TRANSFER_SYNTAXES
from tests.nonprod.mpps_server import MppsServer, row
from tests.nonprod.storage_server import StorageServer, storage_server

SIZE = (201, 155)


@pytest.fixture
def images() -> Iterator[StorageServer]:
    with storage_server() as running:
        yield running


class TestExposure:
    @pytest.mark.parametrize("name", TRANSFER_SYNTAXES)
    def test_four_images_arrive_as_the_n_set_reports_them(
        self, name: str, images: StorageServer, module_server: MppsServer
    ) -> None:
        module_server.reset(row())
        step = module_server.modality().start(row())
        sent = Exposure(images.sender(), TRANSFER_SYNTAXES[name], *SIZE).send(step, step.expose(*VIEWS))
        step.complete()
        assert sent == 4
        assert [f"{one.ImageLaterality} {one.ViewPosition}" for one in images.received] == list(VIEWS)
        assert {one.file_meta.TransferSyntaxUID for one in images.received} == {TRANSFER_SYNTAXES[name]}
        assert {(one.AccessionNumber, one.PatientID) for one in images.received} == {("ACC1", "9990000018")}
        reported = module_server.received[-1].attributes.PerformedSeriesSequence
        assert [(one.SeriesInstanceUID, one.SOPInstanceUID) for one in images.received] == [
            (series.SeriesInstanceUID, series.ReferencedImageSequence[0].ReferencedSOPInstanceUID)
            for series in reported
        ]

    def test_sent_again_the_images_are_the_same(self, images: StorageServer, module_server: MppsServer) -> None:
        module_server.reset(row())
        step = module_server.modality().start(row())
        exposure = Exposure(images.sender(), TRANSFER_SYNTAXES["explicit"], *SIZE)
        taken = step.expose("L CC")
        exposure.send(step, taken)
        exposure.send(step, taken)
        first, second = images.received
        assert first == second

    def test_a_failure_is_told_with_its_status(self, images: StorageServer, module_server: MppsServer) -> None:
        module_server.reset(row())
        step = module_server.modality().start(row())
        images.answers = [0x0000, 0xA700]
        with pytest.raises(RequestFailed, match="C-STORE was answered with A700") as refusal:
            Exposure(images.sender(), TRANSFER_SYNTAXES["explicit"], *SIZE).send(step, step.expose(*VIEWS))
        assert refusal.value.status == 0xA700

    def test_a_transfer_syntax_that_is_not_accepted_is_told(self, module_server: MppsServer) -> None:
        module_server.reset(row())
        step = module_server.modality().start(row())
        with storage_server("explicit") as images, pytest.raises(RequestFailed, match=r"does not accept .* in JPEG-LS"):
            Exposure(images.sender(), TRANSFER_SYNTAXES["jpeg-ls"], *SIZE).send(step, step.expose("L CC"))

    def test_a_server_that_is_away_is_told(self, module_server: MppsServer) -> None:
        module_server.reset(row())
        step = module_server.modality().start(row())
        with storage_server() as images:
            sender = images.sender()
        with pytest.raises(RequestFailed, match="no association with IMAGES"):
            Exposure(sender, TRANSFER_SYNTAXES["explicit"], *SIZE).send(step, step.expose("L CC"))
