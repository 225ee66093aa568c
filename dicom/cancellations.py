"""Owns which queries have been cancelled (PS3.7 section 9.3.2.3).

pynetdicom forgets a C-CANCEL that comes before the handler of its C-FIND has begun, and it knows those of ten queries.
"""

import threading
from weakref import WeakKeyDictionary

from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_CANCEL_RQ, C_FIND_RQ
from pynetdicom.events import Event

#: Queries that one association can have cancelled without having asked them.
MOST = 100


class Cancels:
    """Message ids of cancelled queries, association by association."""

    def __init__(self) -> None:
        self._ids: WeakKeyDictionary[Association, set[int]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def note(self, event: Event) -> None:
        """A DIMSE message has come in: a query begins not cancelled, and a C-CANCEL counts from now on."""
        message, commands = event.message, event.message.command_set
        with self._lock:
            ids = self._ids.setdefault(event.assoc, set())
            if isinstance(message, C_FIND_RQ):
                ids.discard(commands.get("MessageID"))
            elif isinstance(message, C_CANCEL_RQ) and len(ids) < MOST:
                ids.add(commands.get("MessageIDBeingRespondedTo"))

    def has(self, association: Association, message_id: int | None) -> bool:
        """Whether this query is cancelled."""
        with self._lock:
            return message_id in self._ids.get(association, ())
