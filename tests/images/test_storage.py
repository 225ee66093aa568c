"""C-STORE: what is kept, what is refused, and that a refusal leaves nothing behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID

from images.models import ReceivedImage
from nonprod.modality_emulator.encodings import TRANSFER_SYNTAXES, encoded
from tests.images.receiving import Receiver, image, receiving

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """An image server."""
    with receiving(tmp_path / "spool") as running:
        yield running


class TestAnImage:
    @pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES.values(), ids=TRANSFER_SYNTAXES)
    def test_is_kept_as_it_is_in_each_transfer_syntax(self, receiver: Receiver, syntax: UID) -> None:
        sent = encoded(image(), syntax)
        answer = receiver.store(sent)
        assert answer.Status == 0x0000
        row = ReceivedImage.objects.get()
        (file,) = receiver.files()
        assert file == receiver.spool.original(row.file)
        kept = dcmread(file)
        assert kept == sent
        assert kept.file_meta.TransferSyntaxUID == syntax
