"""Send images as a modality does: an SCU of the Storage service class (PS3.4 annex B)."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE

from dicom.scu.modality import SUCCESS, TIMEOUT, RequestFailed

#: The server writes the image to disk, and makes sure of it, before it answers.
ANSWER_SECONDS = 60


@dataclass(frozen=True)
class StorageScu:
    """A modality and the server to which it sends its images."""

    host: str
    port: int
    called_ae_title: str
    ae_title: str
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

    def send(self, images: Sequence[Dataset]) -> None:
        """Send images in one association, each in the transfer syntax of its file meta information.

        Raises RequestFailed at the first that is not answered with 0000; those before it have arrived.
        """
        entity = AE(ae_title=self.ae_title)
        for sop_class, transfer_syntax in {(image.SOPClassUID, image.file_meta.TransferSyntaxUID) for image in images}:
            entity.add_requested_context(sop_class, transfer_syntax)  # each pair alone, so that it is what is accepted
        entity.connection_timeout = entity.acse_timeout = TIMEOUT
        entity.dimse_timeout = ANSWER_SECONDS
        tls_args = (self.tls, self.host) if self.tls else None
        association = entity.associate(self.host, self.port, ae_title=self.called_ae_title, tls_args=tls_args)
        for refused in association.rejected_contexts:  # if all are, there is no association
            abstract_syntax, transfer_syntax = UID(refused.abstract_syntax or ""), refused.transfer_syntax[0]
            association.abort()
            raise RequestFailed(
                f"{self.called_ae_title} does not accept {abstract_syntax.name} in {transfer_syntax.name}"
            )
        if not association.is_established:
            raise RequestFailed(f"no association with {self.called_ae_title} at {self.host}:{self.port}")
        try:
            for image in images:
                try:
                    response = association.send_c_store(image)
                except RuntimeError:  # the association has ended
                    response = Dataset()
                if "Status" not in response:
                    raise RequestFailed("the association broke before the C-STORE was answered")
                if response.Status != SUCCESS:
                    comment = str(response.get("ErrorComment", ""))
                    text = f"C-STORE was answered with {response.Status:04X} {comment}".rstrip()
                    raise RequestFailed(text, response.Status, comment)
        finally:
            association.release()
