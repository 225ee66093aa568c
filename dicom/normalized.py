"""Owns what pynetdicom leaves out of DIMSE-N (PS3.7 section 10): a request that is none of a worklist's is refused, and
its association goes on; pynetdicom would abort it, or not answer at all.
"""

import re
from typing import Any

from pynetdicom import dimse_messages
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from pynetdicom.events import Event
from pynetdicom.sop_class import ModalityPerformedProcedureStep  # type: ignore[attr-defined]

from dicom import statuses

INSTANCE_UIDS = ("AffectedSOPInstanceUID", "RequestedSOPInstanceUID")
#: With leading zeros, too, as some machines make them: it names one step all the same.
UID = re.compile(r"(?=.{3,64}$)[0-9]+(\.[0-9]+)+")
BLAMED = "AttributeIdentifierList"


def let_creations_blame_attributes() -> None:
    """Let an N-CREATE-RSP have an Attribute Identifier List, as PS3.7 annex C has it for 0120."""
    fields = dimse_messages._COMMAND_SET_KEYWORDS["N-CREATE-RSP"]
    if BLAMED not in fields:
        dimse_messages._COMMAND_SET_KEYWORDS["N-CREATE-RSP"] = (*fields, BLAMED)
        N_CREATE.AttributeIdentifierList = None  # type: ignore[attr-defined]


def forget_malformed_uids(event: Event) -> None:
    """Take a SOP Instance UID that is none out of a message: the request is then one without it, and is refused.

    pynetdicom would log its value and abort the association.
    """
    command = event.message.command_set
    for keyword in INSTANCE_UIDS:
        if keyword in command and not UID.fullmatch(str(command[keyword].value)):
            command[keyword].value = ""


class Peer(Association):
    """An association that knows which operations the MPPS SOP class has."""

    def _serve_request(self, msg: Any, context_id: int) -> None:
        status = self._refusal(msg, context_id)
        if status is None:
            super()._serve_request(msg, context_id)
            return
        answer = type(msg)()
        answer.MessageIDBeingRespondedTo = msg.MessageID
        answer.Status = status
        self.dimse.send_msg(answer, context_id)

    def _refusal(self, msg: Any, context_id: int) -> int | None:
        """The status with which a request in a context of MPPS is refused; None for one that is to be looked at."""
        context = self._accepted_cx.get(context_id)
        if context is None or context.abstract_syntax != ModalityPerformedProcedureStep or msg.MessageID is None:
            return None
        match msg:
            case N_CREATE():
                sop_class, instance = msg.AffectedSOPClassUID, msg.AffectedSOPInstanceUID
            case N_SET():
                sop_class, instance = msg.RequestedSOPClassUID, msg.RequestedSOPInstanceUID
            case _:
                return statuses.UNRECOGNIZED_OPERATION
        if sop_class != ModalityPerformedProcedureStep:
            return statuses.NO_SUCH_CLASS
        return None if instance else statuses.INVALID_INSTANCE
