"""Owns what all requests of a server share, and who of those that were let in may still ask."""

from dataclasses import dataclass, field
from datetime import datetime

from pynetdicom.events import Event

from worklist.scp.admission import Applicant, Door
from worklist.scp.cancels import Cancels
from worklist.scp.delivery_log import DeliveryLog
from worklist.scp.directory import Directory


class NotNow(Exception):
    """What the asker may do is not known yet: the modalities have not been read."""


class MayNotAsk(Exception):
    """The asker was let in, and may not ask any more; the text says why."""


@dataclass
class Desk:
    """What is known of the askers, what they have cancelled, and where it is kept what they were shown."""

    directory: Directory = field(default_factory=Directory)
    door: Door | None = None
    cancels: Cancels = field(default_factory=Cancels)
    deliveries: DeliveryLog = field(default_factory=DeliveryLog)
    last_query_at: datetime | None = None

    def admit(self, asker: Applicant) -> None:
        """NotNow or MayNotAsk where it may not ask: an association may be older than a change in the admin."""
        if self.door is None:
            return
        if not self.door.knows_all():
            raise NotNow
        if refusal := self.door.objection(asker):
            raise MayNotAsk(refusal.sentence)


def asker_of(event: Event) -> Applicant:
    """Who asks, or asks for an association."""
    requestor = event.assoc.requestor
    request = requestor.primitive
    calling, called = (request.calling_ae_title, request.called_ae_title) if request else (requestor.ae_title, "")
    return Applicant(str(calling).strip(), str(called).strip(), str(requestor.address))
