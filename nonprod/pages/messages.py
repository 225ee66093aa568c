"""Owns what the clinic says to the gateway, through the relay, and what it hears of it."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from nonprod import manage_emulator
from nonprod.manage_emulator import Poll, PollRefused, send_action
from nonprod.models import Appointment, Reading
from nonprod.pages.appointments import AWAITED, EXPECTED, SENDABLE, State, state_of
from relay.hybrid_connection.failures import HybridConnectionError

#: After these Manage sends the same action again, which is done once however often it comes.
NOT_FINAL = {"temporarily_unavailable", "internal_error"}
#: However many tabs look, the gateway is asked no more often.
PAUSE = timedelta(seconds=1)
#: A question that is asked again and again is not waited for as long as an action.
PATIENCE = 5.0
THE_ONE = 1


def send_to_modality(appointment: Appointment) -> None:
    """Send her to the machine's list; how that went stands in the appointment."""
    if state_of(appointment) not in SENDABLE:
        return
    appointment.action = _action_again(appointment) or _create_item(appointment)
    appointment.reply, appointment.problem = None, ""
    appointment.save(update_fields=["action", "reply", "problem"])
    appointment.reply, appointment.problem = _answer(appointment.action)
    appointment.save(update_fields=["reply", "problem"])


def mark_as_absent(appointment: Appointment) -> None:
    """She did not attend: the gateway is told, where it may know of her."""
    if state_of(appointment) not in EXPECTED:
        return
    if appointment.action is not None:
        reply, problem = _answer(manage_emulator.update_status_action(appointment.accession_number, "DISCONTINUED"))
        if problem and (reply or {}).get("code") != "not_found":
            appointment.problem = problem
            appointment.save(update_fields=["problem"])
            return
    appointment.did_not_attend, appointment.problem = True, ""
    appointment.save(update_fields=["did_not_attend", "problem"])


def begin_again(appointments: Sequence[Appointment]) -> None:
    """Forget the list, and take off the machine's list whoever is on it, as far as the gateway can be reached."""
    for appointment in appointments:
        if state_of(appointment) is State.CONFIRMED:
            mark_as_absent(appointment)
    Appointment.objects.filter(pk__in=[appointment.pk for appointment in appointments]).delete()


def catch_up(appointments: Sequence[Appointment]) -> str:
    """Read what has changed at the gateway, if something is awaited and nobody has just read it.

    What is wrong with the gateway, as a sentence; empty while it answers.
    """
    now = timezone.now()
    reading, _ = Reading.objects.get_or_create(pk=THE_ONE, defaults={"asked_at": now - PAUSE})
    if not any(state_of(appointment) in AWAITED for appointment in appointments):
        return ""
    mine = Reading.objects.filter(pk=THE_ONE, asked_at__lte=now - PAUSE)
    if not mine.update(asked_at=now):
        return reading.problem
    poll, problem = _poll(reading.cursor)
    _note(poll, reading.cursor, problem)
    return problem


def _note(poll: Poll | None, before: str, problem: str) -> None:
    """Take over what a poll has brought, unless another one that began there was quicker."""
    with transaction.atomic():
        cursor = before if poll is None else poll.cursor
        if not Reading.objects.filter(pk=THE_ONE, cursor=before).update(cursor=cursor, problem=problem):
            return
        for change in poll.changes if poll else ():
            Appointment.objects.filter(accession_number=change["accession_number"]).update(
                worklist_status=change["worklist_status"], performed=change["performed"]
            )


def _poll(cursor: str) -> tuple[Poll | None, str]:
    """What has changed, and what is wrong. A gateway that does not know the cursor is read from the beginning."""
    try:
        return manage_emulator.poll(_ask, cursor), ""
    except PollRefused as refusal:
        return Poll([], ""), str(refusal)
    except HybridConnectionError as error:
        return None, str(error)


def _ask(question: dict[str, Any]) -> str:
    return asyncio.run(send_action(question, PATIENCE))


def _answer(action: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The gateway's reply, None without one; and what is wrong, in its own words, empty where nothing is."""
    try:
        text = asyncio.run(send_action(action))
    except HybridConnectionError as error:
        return None, str(error)
    reply: dict[str, Any] = json.loads(text)
    if manage_emulator.is_confirmed(text):
        return reply, ""
    return reply, f"{reply.get('code')}: {reply.get('message')}"


def _action_again(appointment: Appointment) -> dict[str, Any] | None:
    """The action as it was sent, where that may still come to something."""
    reply = appointment.reply
    known: dict[str, Any] | None = appointment.action
    return known if reply is None or reply.get("code") in NOT_FINAL else None


def _create_item(appointment: Appointment) -> dict[str, Any]:
    action = manage_emulator.create_item_action(
        accession_number=appointment.accession_number,
        name=appointment.name,
        nhs_number=appointment.nhs_number,
        station_ae_title=appointment.station_ae_title,
    )
    item = action["parameters"]["worklist_item"]
    item["participant"]["birth_date"] = f"{appointment.birth_date:%Y%m%d}"
    item["scheduled"] |= {"date": f"{appointment.date:%Y%m%d}", "time": f"{appointment.time:%H%M%S}"}
    return action
