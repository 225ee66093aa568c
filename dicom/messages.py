"""Owns how messages are put together where a peer breaks off in the middle of one (PS3.7 section 6.3, PS3.8 annex E).

Some clients, pynetdicom's own among them, announce a data set and, as it is empty, send no part of it. pynetdicom would
wait for it without an end, and the modality for its answer.
"""

import threading
import time

from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

IS_COMMAND, IS_LAST = 0b01, 0b10


class Messages(DIMSEServiceProvider):
    """Takes a data set that is announced and does not come for one that is empty."""

    def __init__(self) -> None:
        """Never called: an association's own provider becomes one of these, by `take_over`."""
        raise NotImplementedError

    @classmethod
    def take_over(cls, provider: DIMSEServiceProvider, patience: float) -> None:
        """Make one of these of an association's provider; pynetdicom offers no other way to say which."""
        provider.__class__ = cls
        assert isinstance(provider, cls)  # noqa: S101 - it is now
        provider._patience = patience
        provider._command_at = None
        provider._receiving = threading.Lock()

    _patience: float
    _command_at: float | None
    _receiving: threading.Lock

    def receive_primitive(self, primitive: P_DATA) -> None:
        """A part of a message has come; one of a data set that nobody waits for any more ends the association."""
        with self._receiving:
            if self.message is None and _begins_with_data(primitive):
                self.dul.event_queue.put("Evt19")  # an unexpected PDU: PS3.8 table 9-10
                return
            self._receive(primitive)

    def get_msg(self, block: bool = False):  # type: ignore[no-untyped-def]
        """The next message, also when it will never be whole."""
        with self._receiving:
            if self._command_at is not None and time.monotonic() - self._command_at > self._patience:
                self._receive(self._empty_end())
        return super().get_msg(block)

    def _receive(self, primitive: P_DATA) -> None:
        super().receive_primitive(primitive)
        waits = self.message is not None and self.message.context_id is not None
        began = waits and any(not data[0] & IS_COMMAND for _, data in primitive.presentation_data_value_list)
        self._command_at = time.monotonic() if waits and not began else None

    def _empty_end(self) -> P_DATA:
        assert self.message is not None  # noqa: S101 - it has been waited for
        end = P_DATA()
        end.presentation_data_value_list.append((self.message.context_id or 0, bytes([IS_LAST])))
        return end


def _begins_with_data(primitive: P_DATA) -> bool:
    values = primitive.presentation_data_value_list
    return bool(values) and not values[0][1][0] & IS_COMMAND
