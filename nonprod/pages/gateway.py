"""Send the clinic's actions to the gateway through the relay, and read what has changed there."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from nonprod import manage_emulator
from nonprod.manage_emulator import Poll, PollRefused, press_again, send_action
from nonprod.models import Appointment, Reading
from nonprod.pages.appointments import AWAITED, EXPECTED, SENDABLE, State, state_of
from relay.hybrid_connection.failures import HybridConnectionError

#: The shortest time between two polls, however many tabs are open.
POLL_INTERVAL = timedelta(seconds=1)
#: Polls are repeated, so they need not wait as long as an action.
POLL_TIMEOUT = 5.0
#: The primary key of the only row of `Reading`.
READING_PK = 1


def send_to_modality(appointment: Appointment) -> None:
    """Create the worklist item; save the reply or problem in the appointment.

    Sending again is a new press, as in Manage: with new ids, for the same appointment.
    """
    if state_of(appointment) not in SENDABLE:
        return
    appointment.action = press_again(appointment.action) if appointment.action else _create_item(appointment)
    appointment.accession_number = appointment.action["parameters"]["worklist_item"]["accession_number"]
    appointment.reply, appointment.problem = None, ""
    appointment.save(update_fields=["action", "accession_number", "reply", "problem"])
    appointment.reply, appointment.problem = _send(appointment.action)
    appointment.save(update_fields=["reply", "problem"])


def mark_as_did_not_attend(appointment: Appointment) -> None:
    """Record that the participant did not attend; discontinue the worklist item if one may exist."""
    if state_of(appointment) not in EXPECTED:
        return
    if appointment.action is not None:
        reply, problem = _send(manage_emulator.update_status_action(appointment.accession_number, "DISCONTINUED"))
        if problem and (reply or {}).get("code") != "not_found":
            appointment.problem = problem
            appointment.save(update_fields=["problem"])
            return
    appointment.did_not_attend, appointment.problem = True, ""
    appointment.save(update_fields=["did_not_attend", "problem"])


def start_again(appointments: Sequence[Appointment]) -> None:
    """Delete the appointments; discontinue their worklist items if the gateway can be reached."""
    for appointment in appointments:
        if state_of(appointment) is State.CONFIRMED:
            mark_as_did_not_attend(appointment)
    Appointment.objects.filter(pk__in=[appointment.pk for appointment in appointments]).delete()


def read_changes(appointments: Sequence[Appointment]) -> str:
    """Poll the gateway if an appointment expects news and no other request has just polled.

    Returns the problem with the gateway as a sentence; empty if it answers.
    """
    now = timezone.now()
    reading, _ = Reading.objects.get_or_create(pk=READING_PK, defaults={"asked_at": now - POLL_INTERVAL})
    if not any(state_of(appointment) in AWAITED for appointment in appointments):
        return ""
    due = Reading.objects.filter(pk=READING_PK, asked_at__lte=now - POLL_INTERVAL)
    if not due.update(asked_at=now):
        return reading.problem
    poll, problem = _poll(reading.cursor)
    cursor = reading.cursor if poll is None else poll.cursor
    with transaction.atomic():
        # Another request may have polled from the same cursor and been quicker.
        is_first = Reading.objects.filter(pk=READING_PK, cursor=reading.cursor).update(cursor=cursor, problem=problem)
        if not is_first:
            return problem
        for change in poll.changes if poll else ():
            Appointment.objects.filter(accession_number=change["accession_number"]).update(
                worklist_status=change["worklist_status"], performed=change["performed"]
            )
    return problem


def _poll(cursor: str) -> tuple[Poll | None, str]:
    """Return the changes (None without a reply) and the problem (empty without one).

    If the gateway does not know the cursor, the next poll starts from the beginning.
    """
    try:
        return manage_emulator.poll(lambda action: asyncio.run(send_action(action, POLL_TIMEOUT)), cursor), ""
    except PollRefused as refusal:
        return Poll([], ""), str(refusal)
    except HybridConnectionError as error:
        return None, str(error)


def _send(action: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """Return the gateway's reply (None without one) and the problem in its words (empty without one)."""
    try:
        text = asyncio.run(send_action(action))
    except HybridConnectionError as error:
        return None, str(error)
    reply: dict[str, Any] = json.loads(text)
    if manage_emulator.is_confirmed(text):
        return reply, ""
    return reply, f"{reply.get('code')}: {reply.get('message')}"


def _create_item(appointment: Appointment) -> dict[str, Any]:
    action = manage_emulator.create_item_action(
        accession_number=appointment.accession_number,
        name=appointment.name,
        nhs_number=appointment.nhs_number,
        station_ae_title=appointment.station_ae_title,
    )
    # The same in every tab, and whenever it is sent again.
    action["source_reference"]["appointment_id"] = str(uuid.uuid5(uuid.NAMESPACE_OID, f"appointment {appointment.pk}"))
    item = action["parameters"]["worklist_item"]
    item["participant"]["birth_date"] = f"{appointment.birth_date:%Y%m%d}"
    item["scheduled"] |= {"date": f"{appointment.date:%Y%m%d}", "time": f"{appointment.time:%H%M%S}"}
    return action
