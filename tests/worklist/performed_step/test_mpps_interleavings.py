"""Whatever Manage, modalities and persons do, and in whatever order: items stand as a model of a few lines says.

The model shares nothing with worklist.performed_step.item_state. Everything under it is real: Manage's actions go
through the dispatcher, the modality's through a DICOM association, a person's through the services of the admin.
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
from tests.dicom.raw_mpps import (
    NHS_NUMBER,
    PPS_STATUS,
    AssociationEnded,
    Element,
    RawAssociation,
    associated,
    changed,
    ended,
    started,
)
from tests.dicom.requests import PATIENCE, Unit, request
from tests.dicom.serving import port_of, serving
from tests.factories import payload
from worklist.models import MppsException, PerformedProcedureStep, WorklistItem
from worklist.performed_step.abandoned_steps import flag_abandoned
from worklist.performed_step.exceptions import CannotResolve, dismiss, link_to_item, put_back, put_item_back
from worklist.services import ChangesSince, CreateWorklistItem

pytestmark = pytest.mark.django_db(transaction=True)

SCHEDULED, IN_PROGRESS, COMPLETED, DISCONTINUED = "SCHEDULED", "IN PROGRESS", "COMPLETED", "DISCONTINUED"
FINAL = {COMPLETED, DISCONTINUED}
SUCCESS, REFUSED, DUPLICATE, UNKNOWN = 0x0000, 0x0110, 0x0111, 0x0112
ANOTHER_WOMAN = "9990000026"

#: Few, so that much happens to each.
ALL = ["ACC1", "ACC2"]
NUMBERS = st.sampled_from(ALL)
STATES = st.sampled_from([SCHEDULED, IN_PROGRESS, COMPLETED, DISCONTINUED])
NAMED = st.lists(NUMBERS, min_size=1, unique=True)
CHOICES = st.integers(min_value=0, max_value=9)


@dataclass
class Model:
    """What is known, and what follows from it."""

    #: Accession numbers of the items that are there → what Manage has last said of each.
    said: dict[str, str] = field(default_factory=dict)
    #: SOP Instance UIDs → how the step stands.
    steps: dict[str, str] = field(default_factory=dict)
    #: Steps of another woman than she whom the items are for.
    strange: set[str] = field(default_factory=set)
    #: Which step counts for which item, and which waits for one that is not there yet.
    counting: set[tuple[str, str]] = field(default_factory=set)
    waiting: set[tuple[str, str]] = field(default_factory=set)

    def come(self, number: str) -> None:
        """An item is there."""
        self.said[number] = SCHEDULED
        here = {pair for pair in self.waiting if pair[1] == number}
        self.waiting -= here
        self.counting |= {pair for pair in here if pair[0] not in self.strange}

    def begin(self, uid: str, named: list[str], *, strange: bool) -> None:
        """A step is there."""
        self.steps[uid] = IN_PROGRESS
        self.strange |= {uid} if strange else set()
        self.waiting |= {(uid, number) for number in named if number not in self.said}
        self.counting |= {(uid, number) for number in named if number in self.said and not strange}

    def performed(self, number: str) -> str | None:
        """How the steps stand that count: running, or else done, or else given up."""
        states = {self.steps[uid] for uid, item in self.counting if item == number}
        return next((state for state in (IN_PROGRESS, COMPLETED, DISCONTINUED) if state in states), None)

    def state(self, number: str) -> str:
        """Manage has the last word; until then it is what is performed."""
        said = self.said[number]
        return said if said in FINAL else self.performed(number) or said

    def may_become(self, number: str, state: str) -> bool:
        """Whether Manage may say so."""
        now = self.state(number)
        return state == now or (now not in FINAL and state != SCHEDULED)

    def take_back(self, pairs: set[tuple[str, str]]) -> bool:
        """Steps count no longer, unless there are none or Manage has closed one of the items."""
        if not pairs or any(self.said[number] in FINAL for _, number in pairs):
            return False
        self.counting -= pairs
        return True


class Edge:
    """The worklist server, and a modality that is associated with it; both begin anew together."""

    modality: RawAssociation
    port: int

    def __init__(self) -> None:
        self._server, self._association = ExitStack(), ExitStack()
        self._ending: list[Thread] = []
        self._start()

    def restart(self) -> None:
        """In the middle of the association. The old server takes half a second to end, for which nobody waits."""
        self._stop()
        self._start()

    def end(self) -> None:
        """For good."""
        self._stop()
        for thread in self._ending:
            thread.join(PATIENCE)

    def _start(self) -> None:
        self._server, self._association = ExitStack(), ExitStack()
        self.port = port_of(self._server.enter_context(serving(fresh_seconds=60)))
        self.modality = self._association.enter_context(associated(self.port))

    def _stop(self) -> None:
        self._ending.append(Thread(target=_end, args=(self._server, self._association)))
        self._ending[-1].start()


def _end(server: ExitStack, association: ExitStack) -> None:
    server.close()
    with suppress(AssociationEnded):  # the server has ended it
        association.close()


@pytest.fixture
def edge() -> Iterator[Edge]:
    """A running one."""
    running = Edge()
    yield running
    running.end()


class Interleavings(RuleBasedStateMachine):
    """Everybody does anything."""

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
        """With some of the items; what the example before has left is gone."""
        for model in (PerformedProcedureStep, WorklistItem, ReceivedAction):
            model._default_manager.all().delete()
        for number in sorted(there):
            self.manage_sends_an_item(number)

    # Manage -----------------------------------------------------------------------------------------------------------

    def ask(self, action: dict[str, Any]) -> dict[str, Any]:
        """The reply to an action, which has an id of its own."""
        self.actions += 1
        reply: dict[str, Any] = json.loads(
            self.dispatcher.dispatch(json.dumps({**action, "action_id": f"a{self.actions}"}), "test")
        )
        return reply

    @rule(number=NUMBERS)
    def manage_sends_an_item(self, number: str) -> None:
        """Or sends it again."""
        assert self.ask(self.items[number])["status"] == ("exists" if number in self.model.said else "created")
        if number not in self.model.said:
            self.model.come(number)

    @rule(number=NUMBERS, state=STATES)
    def manage_says_how_an_item_stands(self, number: str, state: str) -> None:
        """Along the ways that it may."""
        reply = self.ask(update_status_action(number, state))
        if number not in self.model.said:
            assert reply["code"] == "not_found"
        elif self.model.may_become(number, state):
            assert reply["status"] == "updated"
            self.model.said[number] = state
        else:
            assert reply["code"] == "invalid_transition"

    # The modality -----------------------------------------------------------------------------------------------------

    @rule(named=NAMED, strange=st.sampled_from([False, False, False, True]))
    def a_step_begins(self, named: list[str], strange: bool) -> None:
        """For items that are there or not, of the right woman mostly."""
        uid = self._next_uid()
        report = started(*named, patient_id=ANOTHER_WOMAN if strange else NHS_NUMBER)
        assert self.edge.modality.create(uid, report).status == SUCCESS
        self.model.begin(uid, named, strange=strange)

    @rule()
    def a_step_begins_that_names_nothing(self) -> None:
        """A person may link it later."""
        uid = self._next_uid()
        assert self.edge.modality.create(uid, started("")).status == SUCCESS
        self.model.begin(uid, [], strange=False)

    @precondition(lambda self: self.model.steps)
    @rule(choice=CHOICES, named=NAMED)
    def a_step_begins_again(self, choice: int, named: list[str]) -> None:
        """Its first answer was lost."""
        assert self.edge.modality.create(self._step(choice), started(*named)).status == DUPLICATE

    @rule()
    def a_step_ends_that_never_began(self) -> None:
        """It leaves no trace."""
        assert self.edge.modality.set("2.25.404", ended()).status == UNKNOWN

    @precondition(lambda self: self.model.steps)
    @rule(choice=CHOICES, state=st.sampled_from([IN_PROGRESS, COMPLETED, COMPLETED, DISCONTINUED]))
    def a_step_goes_on_or_ends(self, choice: int, state: str) -> None:
        """Which it can until it has ended."""
        uid = self._step(choice)
        has_ended = self.model.steps[uid] in FINAL
        report = changed(ended(), Element(PPS_STATUS, "CS", state))
        assert self.edge.modality.set(uid, report).status == (REFUSED if has_ended else SUCCESS)
        if not has_ended:
            self.model.steps[uid] = state

    @rule(cancels=st.booleans())
    def a_modality_asks_for_its_list(self, cancels: bool) -> None:
        """And may not want to know after all."""
        open_ones = [number for number in sorted(self.model.said) if self.model.state(number) not in FINAL]
        query = request(AccessionNumber="")
        if not cancels:
            assert sorted(Unit(self.edge.port).ask(query).accession_numbers) == open_ones
            return
        with Unit(self.edge.port).associated() as association:
            for _, row in association.send_c_find(query, ModalityWorklistInformationFind, 7):
                if row is not None:
                    association.send_c_cancel(7, query_model=ModalityWorklistInformationFind)

    @rule(number=NUMBERS)
    def an_item_and_its_step_come_at_the_same_instant(self, number: str) -> None:
        """The later one finds the earlier one. Where others wait for the item already, both orders would be right."""
        if any(number == item for _, item in self.model.waiting):
            return
        uid, statuses = self._next_uid(), []
        step = Thread(target=lambda: statuses.append(self.edge.modality.create(uid, started(number)).status))
        step.start()
        self.manage_sends_an_item(number)
        step.join()
        assert statuses == [SUCCESS]
        self.model.begin(uid, [number], strange=False)

    @rule()
    def the_server_begins_anew(self) -> None:
        """In the middle of the modality's association."""
        self.edge.restart()

    # A person ---------------------------------------------------------------------------------------------------------

    @rule()
    def a_day_passes(self) -> None:
        """Steps without an end become exceptions."""
        PerformedProcedureStep.objects.update(created_at=timezone.now() - timedelta(hours=25))
        flag_abandoned()

    @precondition(lambda self: self.model.said)
    @rule(choice=CHOICES)
    def a_person_puts_an_item_back(self, choice: int) -> None:
        """Its discontinued steps count no longer."""
        number = self._number(choice)
        given_up = {
            (uid, item) for uid, item in self.model.counting if item == number and self.model.steps[uid] == DISCONTINUED
        }
        item = WorklistItem.objects.get(accession_number=number)
        is_possible = self.model.state(number) == DISCONTINUED and self.model.take_back(given_up)
        assert done(lambda: put_item_back(item, "admin:jane")) == is_possible

    @precondition(lambda self: self.model.said)
    @rule(choice=CHOICES, which=CHOICES)
    def a_person_links_an_exception(self, choice: int, which: int) -> None:
        """To an item that is there, whatever the modality has said."""
        number = self._number(which)
        if exception := self._exception(choice):
            link_to_item(exception, WorklistItem.objects.get(accession_number=number), "admin:jane")
            self.model.counting.add((exception.step.sop_instance_uid, number))
            self._is_dealt_with(exception)

    @rule(choice=CHOICES)
    def a_person_takes_back_the_step_of_an_exception(self, choice: int) -> None:
        """For its item; for all of its items only when it was abandoned."""
        if exception := self._exception(choice):
            uid, item = exception.step.sop_instance_uid, exception.item
            number = item.accession_number if item else None
            pairs = {pair for pair in self.model.counting if pair[0] == uid and number in (None, pair[1])}
            is_plain = len(pairs) == 1 or number or exception.reason == MppsException.Reason.ABANDONED
            is_possible = bool(is_plain) and self.model.take_back(pairs)
            assert done(lambda: put_back(exception, "admin:jane")) == is_possible
            if is_possible:
                self._is_dealt_with(exception)

    @rule(choice=CHOICES)
    def a_person_dismisses_an_exception(self, choice: int) -> None:
        """Its step waits for no item any more."""
        if exception := self._exception(choice):
            dismiss(exception, "admin:jane", "A test of the machine.")
            self._is_dealt_with(exception)

    # What must hold ---------------------------------------------------------------------------------------------------

    @invariant()
    def each_item_stands_as_the_model_says(self) -> None:
        """And nothing else is there."""
        stored = dict(WorklistItem.objects.values_list("accession_number", "status"))
        assert stored == {number: self.model.state(number) for number in self.model.said}
        assert dict(PerformedProcedureStep.objects.values_list("sop_instance_uid", "status")) == self.model.steps

    @invariant()
    def each_step_that_waits_is_shown_to_a_person(self) -> None:
        """As an exception that is open."""
        unknown = MppsException.objects.open().filter(reason=MppsException.Reason.UNKNOWN_ITEM)
        assert set(unknown.values_list("step__sop_instance_uid", "accession_number")) == self.model.waiting

    @invariant()
    def the_outbox_has_each_change_once_and_in_order(self) -> None:
        """Whether it is read from the beginning or from where it was last read to."""
        for number in self.model.said:
            now = (self.model.state(number), self.model.performed(number))
            changes = self.expected.setdefault(number, [])
            if now != (changes[-1] if changes else (SCHEDULED, None)):
                changes.append(now)
        everything, _ = changes_since(None)
        latest, self.cursor = changes_since(self.cursor)
        self.read += latest
        assert self.read == everything
        assert {number: of(number, everything) for number in self.expected} == self.expected
        assert len(everything) == sum(map(len, self.expected.values()))

    # In short ---------------------------------------------------------------------------------------------------------

    def _next_uid(self) -> str:
        return f"2.25.{100 + len(self.model.steps)}"

    def _step(self, choice: int) -> str:
        return list(self.model.steps)[-1 - choice % len(self.model.steps)]

    def _number(self, choice: int) -> str:
        return list(self.model.said)[choice % len(self.model.said)]

    def _exception(self, choice: int) -> MppsException | None:
        """One that is open; the same one whenever the example is run again."""
        order = ("step__sop_instance_uid", "reason", "accession_number")
        open_ones = MppsException.objects.open().select_related("step", "item").order_by(*order)
        return open_ones[choice % len(open_ones)] if open_ones else None

    def _is_dealt_with(self, exception: MppsException) -> None:
        if exception.reason == MppsException.Reason.UNKNOWN_ITEM:
            self.model.waiting.discard((exception.step.sop_instance_uid, exception.accession_number))


def done(act: Callable[[], None]) -> bool:
    """Whether it was possible."""
    try:
        act()
    except CannotResolve:
        return False
    return True


def changes_since(cursor: str | None) -> tuple[list[tuple[str, str, str | None]], str]:
    """Accession number, state of the item and of its step, of each change behind a cursor; and where that is now."""
    reply = ChangesSince()(
        GatewayAction({"parameters": {"cursor": cursor} if cursor else {}}, "worklist.changes_since", None)
    )
    changes = [
        (change["accession_number"], change["worklist_status"], change["performed"] and change["performed"]["status"])
        for change in reply["changes"]
    ]
    return changes, reply["cursor"]


def of(number: str, changes: list[tuple[str, str, str | None]]) -> list[tuple[str, str | None]]:
    """The changes of one item."""
    return [(state, performed) for each, state, performed in changes if each == number]


class TestInterleavings:
    def test_items_stand_as_their_facts_say_whatever_came_first(self, edge: Edge) -> None:
        examples = settings().max_examples // 5
        run_state_machine_as_test(
            lambda: Interleavings(edge),  # type: ignore[arg-type]  # it takes what makes a machine, too
            settings=settings(max_examples=examples, stateful_step_count=30, deadline=None),
        )


class TestAnItemThatHasNotCommitted:
    def test_is_waited_for_by_the_step_that_names_it(self, edge: Edge) -> None:
        action = payload(accession_number="ACC1")
        answers: list[int] = []
        step = Thread(target=lambda: answers.append(edge.modality.create("2.25.100", started("ACC1")).status))
        with transaction.atomic():
            CreateWorklistItem()(GatewayAction(action, action["action_type"], action["action_id"]))
            step.start()
            while connection.vendor == "postgresql" and step.is_alive() and not somebody_waits():
                pass
        step.join(PATIENCE)
        assert answers == [SUCCESS]
        assert WorklistItem.objects.get().status == IN_PROGRESS


def somebody_waits() -> bool:
    """Whether a transaction waits for another; SQLite lets one write after the other anyway, and says nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
