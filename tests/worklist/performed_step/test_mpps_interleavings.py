"""Compare the items with a small model while Manage, modalities and staff act in any order.

The model shares no code with worklist.performed_step.item_state. Everything else is real: Manage's actions go
through the dispatcher, the modality's through a DICOM association, those of staff through the services of the admin.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from core.contract import GatewayAction
from gateway_project.actions import ACTIONS, PROBES
from nonprod.manage_emulator import update_status_action
from relay.dispatcher import Dispatcher
from relay.models import ReceivedAction
from tests.dicom.raw import AssociationEnded, Element, changed
from tests.dicom.raw_mpps import NHS_NUMBER, PPS_STATUS, ReportingModality, ended, reporting, started
from tests.dicom.requests import PATIENCE, Unit, request
from tests.dicom.serving import port_of, serving
from tests.factories import payload
from worklist.models import MppsException, PerformedProcedureStep, WorklistItem
from worklist.performed_step.abandoned_steps import flag_abandoned
from worklist.performed_step.mpps_exceptions import DecisionRefused, dismiss, link_to_item, put_back, put_item_back
from worklist.services.changes_since import changes_since
from worklist.services.create_worklist_item import create_worklist_item

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

SCHEDULED, IN_PROGRESS, COMPLETED, DISCONTINUED = "SCHEDULED", "IN PROGRESS", "COMPLETED", "DISCONTINUED"
FINAL = {COMPLETED, DISCONTINUED}
SUCCESS, REFUSED, DUPLICATE, UNKNOWN = 0x0000, 0x0110, 0x0111, 0x0112
ANOTHER_PATIENT = "9990000026"

#: Only two accession numbers, so that many rules apply to each.
ALL = ["ACC1", "ACC2"]
NUMBERS = st.sampled_from(ALL)
STATES = st.sampled_from([SCHEDULED, IN_PROGRESS, COMPLETED, DISCONTINUED])
NAMED = st.lists(NUMBERS, min_size=1, unique=True)
CHOICES = st.integers(min_value=0, max_value=9)


@dataclass
class Model:
    """What is known, and the statuses that follow from it."""

    #: Accession number of each item → the last status from Manage.
    manage_status: dict[str, str] = field(default_factory=dict)
    #: SOP Instance UID of each step → its status.
    steps: dict[str, str] = field(default_factory=dict)
    #: Steps of another patient than the items'.
    wrong_patient: set[str] = field(default_factory=set)
    #: Which step counts for which item, and which waits for an item that does not exist yet.
    counting: set[tuple[str, str]] = field(default_factory=set)
    waiting: set[tuple[str, str]] = field(default_factory=set)

    def add_item(self, number: str) -> None:
        """Add an item."""
        self.manage_status[number] = SCHEDULED
        here = {pair for pair in self.waiting if pair[1] == number}
        self.waiting -= here
        self.counting |= {pair for pair in here if pair[0] not in self.wrong_patient}

    def add_step(self, uid: str, named: list[str], *, wrong_patient: bool) -> None:
        """Add a step."""
        self.steps[uid] = IN_PROGRESS
        self.wrong_patient |= {uid} if wrong_patient else set()
        self.waiting |= {(uid, number) for number in named if number not in self.manage_status}
        self.counting |= {(uid, number) for number in named if number in self.manage_status and not wrong_patient}

    def performed(self, number: str) -> str | None:
        """Return the status of the steps that count: any in progress, or else any completed, or else discontinued."""
        states = {self.steps[uid] for uid, item in self.counting if item == number}
        return next((state for state in (IN_PROGRESS, COMPLETED, DISCONTINUED) if state in states), None)

    def state(self, number: str) -> str:
        """Return the status: a final one from Manage, or else that of the steps."""
        from_manage = self.manage_status[number]
        return from_manage if from_manage in FINAL else self.performed(number) or from_manage

    def may_become(self, number: str, state: str) -> bool:
        """Return whether Manage may set this status."""
        now = self.state(number)
        return state == now or (now not in FINAL and state != SCHEDULED)

    def take_back(self, pairs: set[tuple[str, str]]) -> bool:
        """Stop these steps counting; return False if there are none or Manage has closed one of the items."""
        if not pairs or any(self.manage_status[number] in FINAL for _, number in pairs):
            return False
        self.counting -= pairs
        return True


class Edge:
    """The worklist server and an associated modality, which restart together."""

    modality: ReportingModality
    port: int

    def __init__(self) -> None:
        self._server, self._association = ExitStack(), ExitStack()
        self._ending: list[Thread] = []
        self._start()

    def restart(self) -> None:
        """Restart in the middle of the association; do not wait half a second for the old server to end."""
        self._stop()
        self._start()

    def end(self) -> None:
        """Stop, and wait for all servers to end."""
        self._stop()
        for thread in self._ending:
            thread.join(PATIENCE)

    def _start(self) -> None:
        self._server, self._association = ExitStack(), ExitStack()
        self.port = port_of(self._server.enter_context(serving(fresh_seconds=60)))
        self.modality = self._association.enter_context(reporting(self.port))

    def _stop(self) -> None:
        self._ending.append(Thread(target=_end, args=(self._server, self._association)))
        self._ending[-1].start()


def _end(server: ExitStack, association: ExitStack) -> None:
    server.close()
    with suppress(AssociationEnded):  # by the server
        association.close()


@pytest.fixture
def edge() -> Iterator[Edge]:
    running = Edge()
    yield running
    running.end()


class Interleavings(RuleBasedStateMachine):
    """Manage, the modality and staff act in any order."""

    def __init__(self, edge: Edge) -> None:
        super().__init__()
        self.edge = edge
        self.dispatcher = Dispatcher(ACTIONS, PROBES)
        self.model = Model()
        self.items = {number: payload(accession_number=number) for number in ALL}
        self.expected: dict[str, list[tuple[str, str | None]]] = {}
        self.read: list[tuple[str, str, str | None]] = []
        self.cursor: str | None = None
        self.actions = 0

    @initialize(there=st.sets(NUMBERS))
    def a_day_begins(self, there: set[str]) -> None:
        """Delete what the example before left, and create some items."""
        for model in (PerformedProcedureStep, WorklistItem, ReceivedAction):
            model._default_manager.all().delete()
        for number in sorted(there):
            self.manage_sends_an_item(number)

    # Manage -----------------------------------------------------------------------------------------------------------

    def dispatch(self, action: dict[str, Any]) -> dict[str, Any]:
        """Dispatch an action with an id of its own; return the reply."""
        self.actions += 1
        reply: dict[str, Any] = json.loads(
            self.dispatcher.dispatch(json.dumps({**action, "action_id": f"a{self.actions}"}), "test")
        )
        return reply

    @rule(number=NUMBERS)
    def manage_sends_an_item(self, number: str) -> None:
        """Manage sends an item for the first time or again."""
        assert self.dispatch(self.items[number])["status"] == (
            "exists" if number in self.model.manage_status else "created"
        )
        if number not in self.model.manage_status:
            self.model.add_item(number)

    @rule(number=NUMBERS, state=STATES)
    def manage_sets_a_status(self, number: str, state: str) -> None:
        """Only the transitions of the contract are accepted."""
        reply = self.dispatch(update_status_action(number, state))
        if number not in self.model.manage_status:
            assert reply["code"] == "not_found"
        elif self.model.may_become(number, state):
            assert reply["status"] == "updated"
            self.model.manage_status[number] = state
        else:
            assert reply["code"] == "invalid_transition"

    # The modality -----------------------------------------------------------------------------------------------------

    @rule(named=NAMED, wrong_patient=st.sampled_from([False, False, False, True]))
    def a_step_begins(self, named: list[str], wrong_patient: bool) -> None:
        """It names items that exist or not, mostly with the right patient."""
        uid = self._next_uid()
        report = started(*named, patient_id=ANOTHER_PATIENT if wrong_patient else NHS_NUMBER)
        assert self.edge.modality.create(uid, report).status == SUCCESS
        self.model.add_step(uid, named, wrong_patient=wrong_patient)

    @rule()
    def an_unscheduled_step_begins(self) -> None:
        """It names no item; staff may link it later."""
        uid = self._next_uid()
        assert self.edge.modality.create(uid, started("")).status == SUCCESS
        self.model.add_step(uid, [], wrong_patient=False)

    @precondition(lambda self: self.model.steps)
    @rule(choice=CHOICES, named=NAMED)
    def an_n_create_is_repeated(self, choice: int, named: list[str]) -> None:
        """The first response was lost."""
        assert self.edge.modality.create(self._step(choice), started(*named)).status == DUPLICATE

    @rule()
    def an_unknown_step_is_set(self) -> None:
        """It is refused and changes nothing."""
        assert self.edge.modality.set("2.25.404", ended()).status == UNKNOWN

    @precondition(lambda self: self.model.steps)
    @rule(choice=CHOICES, state=st.sampled_from([IN_PROGRESS, COMPLETED, COMPLETED, DISCONTINUED]))
    def a_step_is_set(self, choice: int, state: str) -> None:
        """It is refused after the end."""
        uid = self._step(choice)
        has_ended = self.model.steps[uid] in FINAL
        report = changed(ended(), Element(PPS_STATUS, "CS", state))
        assert self.edge.modality.set(uid, report).status == (REFUSED if has_ended else SUCCESS)
        if not has_ended:
            self.model.steps[uid] = state

    @rule(cancels=st.booleans())
    def a_modality_queries_the_worklist(self, cancels: bool) -> None:
        """Sometimes it cancels the query."""
        open_ones = [number for number in sorted(self.model.manage_status) if self.model.state(number) not in FINAL]
        query = request(AccessionNumber="")
        if not cancels:
            assert sorted(Unit(self.edge.port).ask(query).accession_numbers) == open_ones
            return
        with Unit(self.edge.port).associated() as association:
            for _, row in association.send_c_find(query, ModalityWorklistInformationFind, 7):
                if row is not None:
                    association.send_c_cancel(7, query_model=ModalityWorklistInformationFind)

    @rule(number=NUMBERS)
    def an_item_and_its_step_come_at_the_same_time(self, number: str) -> None:
        """The later one finds the earlier one. Skip an item that other steps await: then both orders would be right."""
        if any(number == item for _, item in self.model.waiting):
            return
        uid, statuses = self._next_uid(), []
        step = Thread(target=lambda: statuses.append(self.edge.modality.create(uid, started(number)).status))
        step.start()
        self.manage_sends_an_item(number)
        step.join()
        assert statuses == [SUCCESS]
        self.model.add_step(uid, [number], wrong_patient=False)

    @rule()
    def the_server_restarts(self) -> None:
        """In the middle of the modality's association."""
        self.edge.restart()

    # Staff ------------------------------------------------------------------------------------------------------------

    @rule()
    def a_day_passes(self) -> None:
        """Steps without an end become exceptions."""
        PerformedProcedureStep.objects.update(created_at=timezone.now() - timedelta(hours=25))
        flag_abandoned()

    @precondition(lambda self: self.model.manage_status)
    @rule(choice=CHOICES)
    def staff_put_an_item_back(self, choice: int) -> None:
        """Its discontinued steps no longer count."""
        number = self._number(choice)
        given_up = {
            (uid, item) for uid, item in self.model.counting if item == number and self.model.steps[uid] == DISCONTINUED
        }
        item = WorklistItem.objects.get(accession_number=number)
        is_possible = self.model.state(number) == DISCONTINUED and self.model.take_back(given_up)
        assert succeeds(lambda: put_item_back(item, "admin:jane")) == is_possible

    @precondition(lambda self: self.model.manage_status)
    @rule(choice=CHOICES, which=CHOICES)
    def staff_link_an_exception(self, choice: int, which: int) -> None:
        """Link it to any item, whatever the modality reported."""
        number = self._number(which)
        if exception := self._exception(choice):
            link_to_item(exception, WorklistItem.objects.get(accession_number=number), "admin:jane")
            self.model.counting.add((exception.step.sop_instance_uid, number))
            self._resolve(exception)

    @rule(choice=CHOICES)
    def staff_put_back_the_step_of_an_exception(self, choice: int) -> None:
        """The step stops counting for its item; for all its items only if it was abandoned."""
        if exception := self._exception(choice):
            uid, item = exception.step.sop_instance_uid, exception.item
            number = item.accession_number if item else None
            pairs = {pair for pair in self.model.counting if pair[0] == uid and number in (None, pair[1])}
            is_plain = len(pairs) == 1 or number or exception.reason == MppsException.Reason.ABANDONED
            is_possible = bool(is_plain) and self.model.take_back(pairs)
            assert succeeds(lambda: put_back(exception, "admin:jane")) == is_possible
            if is_possible:
                self._resolve(exception)

    @rule(choice=CHOICES)
    def staff_dismiss_an_exception(self, choice: int) -> None:
        """Its step no longer waits for an item."""
        if exception := self._exception(choice):
            dismiss(exception, "admin:jane", "A test of the machine.")
            self._resolve(exception)

    # What must hold ---------------------------------------------------------------------------------------------------

    @invariant()
    def each_item_has_the_status_of_the_model(self) -> None:
        """There are no other items or steps."""
        stored = dict(WorklistItem.objects.values_list("accession_number", "status"))
        assert stored == {number: self.model.state(number) for number in self.model.manage_status}
        assert dict(PerformedProcedureStep.objects.values_list("sop_instance_uid", "status")) == self.model.steps

    @invariant()
    def each_waiting_step_has_an_open_exception(self) -> None:
        unknown = MppsException.objects.open().filter(reason=MppsException.Reason.UNKNOWN_ITEM)
        assert set(unknown.values_list("step__sop_instance_uid", "accession_number")) == self.model.waiting

    @invariant()
    def the_outbox_has_each_change_once_and_in_order(self) -> None:
        """Read it from the beginning and from the last cursor."""
        for number in self.model.manage_status:
            now = (self.model.state(number), self.model.performed(number))
            changes = self.expected.setdefault(number, [])
            if now != (changes[-1] if changes else (SCHEDULED, None)):
                changes.append(now)
        everything, _ = changes_after(None)
        latest, self.cursor = changes_after(self.cursor)
        self.read += latest
        assert self.read == everything
        assert {number: changes_of(number, everything) for number in self.expected} == self.expected
        assert len(everything) == sum(map(len, self.expected.values()))

    # Helpers ----------------------------------------------------------------------------------------------------------

    def _next_uid(self) -> str:
        return f"2.25.{100 + len(self.model.steps)}"

    def _step(self, choice: int) -> str:
        return list(self.model.steps)[-1 - choice % len(self.model.steps)]

    def _number(self, choice: int) -> str:
        return list(self.model.manage_status)[choice % len(self.model.manage_status)]

    def _exception(self, choice: int) -> MppsException | None:
        """Return an open exception, the same one whenever the example is repeated."""
        order = ("step__sop_instance_uid", "reason", "accession_number")
        open_ones = MppsException.objects.open().select_related("step", "item").order_by(*order)
        return open_ones[choice % len(open_ones)] if open_ones else None

    def _resolve(self, exception: MppsException) -> None:
        if exception.reason == MppsException.Reason.UNKNOWN_ITEM:
            self.model.waiting.discard((exception.step.sop_instance_uid, exception.accession_number))


def succeeds(act: Callable[[], None]) -> bool:
    """Return whether it was possible."""
    try:
        act()
    except DecisionRefused:
        return False
    return True


def changes_after(cursor: str | None) -> tuple[list[tuple[str, str, str | None]], str]:
    """Return the accession number, status and step status of each change after a cursor, and the new cursor."""
    reply = changes_since(
        GatewayAction({"parameters": {"cursor": cursor} if cursor else {}}, "worklist.changes_since", None)
    )
    changes = [
        (change["accession_number"], change["worklist_status"], change["performed"] and change["performed"]["status"])
        for change in reply["changes"]
    ]
    return changes, reply["cursor"]


def changes_of(number: str, changes: list[tuple[str, str, str | None]]) -> list[tuple[str, str | None]]:
    return [(state, performed) for each, state, performed in changes if each == number]


class TestInterleavings:
    def test_the_items_agree_with_the_model(self, edge: Edge) -> None:
        examples = settings().max_examples // 5
        run_state_machine_as_test(
            lambda: Interleavings(edge),  # type: ignore[arg-type]  # a factory is accepted, too
            settings=settings(max_examples=examples, stateful_step_count=30, deadline=None),
        )


class TestAnUncommittedItem:
    def test_delays_the_step_that_names_it(self, edge: Edge) -> None:
        action = payload(accession_number="ACC1")
        answers: list[int] = []
        step = Thread(target=lambda: answers.append(edge.modality.create("2.25.100", started("ACC1")).status))
        with transaction.atomic():
            create_worklist_item(GatewayAction(action, action["action_type"], action["action_id"]))
            step.start()
            while connection.vendor == "postgresql" and step.is_alive() and not a_transaction_waits():
                pass
        step.join(PATIENCE)
        assert answers == [SUCCESS]
        assert WorklistItem.objects.get().status == IN_PROGRESS


def a_transaction_waits() -> bool:
    """Return whether PostgreSQL has a transaction that waits for another; SQLite has one writer at a time anyway."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
