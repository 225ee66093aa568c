"""Work round what pynetdicom 3.0.4 gets wrong as a requestor (SCU), by its private names.

Everything in the project that depends on how pynetdicom is built is in this file. The gateway's own server is built on
`dicom/upper_layer` and does not use pynetdicom.

Before changing PYNETDICOM_VERSION, read the workarounds beside the new version's source and delete those it has made
unnecessary.
"""

from pynetdicom import _config
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider

#: The version whose source these workarounds were written against.
PYNETDICOM_VERSION = "3.0.4"

# Identifiers hold patients' names, and must not be logged.
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
_config.LOG_HANDLER_LEVEL = "none"


def adapt_requestor(association: Association) -> None:
    """Make several requests on an association safe; call it before the first."""
    association.dimse.__class__ = RequestorDimseProvider


class RequestorDimseProvider(DIMSEServiceProvider):
    """Leaves a response to the thread that waits for it.

    The association's own thread looks for requests from the acceptor. It is paused during a request of ours, but after
    the previous request it may not have started again yet, and then it runs once more, and discards our response.
    """

    def get_msg(self, block: bool = False):  # type: ignore[no-untyped-def]
        """Return the response that a request waits for; nothing to the association's thread, which does not wait."""
        return super().get_msg(block=True) if block else (None, None)
