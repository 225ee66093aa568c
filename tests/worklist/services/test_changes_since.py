"""Manage reads every change of status once and in order, whoever writes meanwhile."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from jsonschema import Draft202012Validator

from core.contract import ActionRefused, ErrorCode, GatewayAction, Reply, load_schema, validate
from core.database import borrowed_connection
from nonprod.manage_emulator import Poll, changes_since_action, poll, update_status_action
from tests.dicom.requests import PATIENCE
from tests.factories import WorklistItemFactory, item_of_an_action
from tests.worklist.performed_step.reports import by_number, create_step, final_change, scheduled_step, set_step
from worklist.models import ItemChange, WorklistItem
from worklist.services.changes_since import PAGE, changes_since
from worklist.services.update_worklist_item_status import update_worklist_item_status

pytestmark = pytest.mark.django_db


def ask(cursor: str = "") -> Reply:
    """Return the reply to a worklist.changes_since, after validating both."""
    content = changes_since_action(cursor)
    validate(content)
    reply = changes_since(GatewayAction(content, content["action_type"], content["action_id"]))
    Draft202012Validator(load_schema("gateway_reply")).validate(reply)
    return reply


def ask_all(cursor: str = "") -> Poll:
    """Poll as Manage does: page by page, until there is no more."""
    return poll(lambda action: json.dumps(ask(action["parameters"].get("cursor", ""))), cursor)


def statuses(changes: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the accession number and status of each."""
    return [(change["accession_number"], change["worklist_status"]) for change in changes]


def create_changes(count: int) -> list[int]:
    """Create so many changes; return their numbers."""
    item = WorklistItemFactory.create()
    ItemChange.objects.bulk_create(ItemChange(item=item, status="COMPLETED") for _ in range(count))
    return list(ItemChange.objects.order_by("number").values_list("number", flat=True))


def moments(changes: list[dict[str, Any]]) -> list[str]:
    """Return the time of each, which differs."""
    return [change["at"] for change in changes]


class TestAsking:
    def test_without_changes_returns_only_a_cursor(self) -> None:
        WorklistItemFactory.create()
        first = ask()
        assert (first["status"], first["changes"], first["more"]) == ("ok", [], False)
        assert ask(first["cursor"])["cursor"] == first["cursor"]

    def test_returns_the_reports_of_a_modality(self) -> None:
        item = WorklistItemFactory.create(accession_number="A1")
        create_step("1.1", scheduled_step(item))
        begun = ask()
        set_step("1.1", final_change())
        ended = ask(begun["cursor"])
        assert statuses(begun["changes"]) == [("A1", "IN PROGRESS")]
        assert statuses(ended["changes"]) == [("A1", "COMPLETED")]
        assert ended["changes"][0]["performed"]["images"] == 4

    def test_returns_an_item_whose_report_came_before_it(self) -> None:
        create_step("1.1", by_number("A1"))
        set_step("1.1", final_change())
        before = ask()
        assert before["changes"] == []
        item_of_an_action(accession_number="A1")
        assert statuses(ask(before["cursor"])["changes"]) == [("A1", "COMPLETED")]

    def test_repeats_the_action_id_if_there_is_one(self) -> None:
        content = {"action_type": "worklist.changes_since"}
        validate(content)
        assert "action_id" not in changes_since(GatewayAction(content, content["action_type"], None))
        assert "action_id" in ask()

    @pytest.mark.parametrize("parameters", [{}, {"cursor": None}, {"cursor": ""}])
    def test_without_a_cursor_starts_at_the_beginning(self, parameters: dict[str, Any]) -> None:
        create_changes(1)
        content = {"action_type": "worklist.changes_since", "parameters": parameters}
        validate(content)
        assert len(changes_since(GatewayAction(content, "worklist.changes_since", None))["changes"]) == 1

    def test_again_with_the_same_cursor_returns_the_same(self) -> None:
        create_changes(3)
        first, second = ask(), ask()
        assert first["changes"] == second["changes"]
        assert first["cursor"] == second["cursor"]


class TestPages:
    @pytest.mark.parametrize(
        ("count", "sizes"),
        [
            (PAGE - 1, [PAGE - 1]),
            (PAGE, [PAGE]),
            (PAGE + 1, [PAGE, 1]),
            (2 * PAGE + 1, [PAGE, PAGE, 1]),
        ],
    )
    def test_have_at_most_500_changes_each_once_and_in_order(self, count: int, sizes: list[int]) -> None:
        create_changes(count)
        found, cursor, more = [], "", True
        while more:
            reply = ask(cursor)
            found.append(reply["changes"])
            cursor, more = reply["cursor"], reply["more"]
        assert [len(page) for page in found] == sizes
        seen = [moment for page in found for moment in moments(page)]
        assert seen == [row.at.isoformat() for row in ItemChange.objects.order_by("number")]

    def test_are_all_read_by_manage(self) -> None:
        create_changes(PAGE + 1)
        polled = ask_all()
        assert len(polled.changes) == PAGE + 1
        assert ask_all(polled.cursor) == Poll([], polled.cursor)

    def test_need_the_same_number_of_queries_whatever_their_size(self) -> None:
        costs = []
        ask()
        for count in (1, PAGE):
            create_changes(count)
            with CaptureQueriesContext(connection) as queries:
                ask()
            costs.append(len(queries))
        assert costs[0] == costs[1]


class TestACursor:
    @pytest.mark.parametrize(
        "cursor",
        [
            "1",
            "x",
            "Ł",
            "=",
            " ",
            base64.urlsafe_b64encode(b"1").decode(),
            base64.urlsafe_b64encode(b"-1@").decode(),
            base64.urlsafe_b64encode(b"9" * 100).decode(),
        ],
    )
    def test_that_is_malformed_is_refused(self, cursor: str) -> None:
        create_changes(3)
        with pytest.raises(ActionRefused, match=r"parameters\.cursor: .* start again") as refused:
            ask(cursor)
        assert refused.value.code is ErrorCode.INVALID_ACTION

    def test_from_the_future_is_refused(self) -> None:
        create_changes(3)
        cursor = ask()["cursor"]
        ItemChange.objects.order_by("number").last().delete()  # type: ignore[union-attr]
        with pytest.raises(ActionRefused):
            ask(cursor)

    def test_of_a_database_that_was_restored_and_then_changed_is_refused(self) -> None:
        create_changes(3)
        cursor = ask()["cursor"]
        for row in ItemChange.objects.all():
            row.at += timedelta(seconds=1)
            row.save()
        with pytest.raises(ActionRefused):
            ask(cursor)

    def test_is_not_quoted_when_it_is_refused(self) -> None:
        with pytest.raises(ActionRefused) as refused:
            ask("SECRETARY")
        assert "SECRETARY" not in refused.value.message

    @pytest.mark.parametrize(
        ("cursor", "complaint"),
        [("x" * 201, "has 201 characters, at most 200 are allowed"), (5, "is not of type string")],
    )
    def test_of_the_wrong_type_or_length_is_invalid(self, cursor: Any, complaint: str) -> None:
        with pytest.raises(ActionRefused, match=f"cursor: {complaint}"):
            validate(changes_since_action(cursor))

    def test_is_never_longer_than_the_contract_allows(self) -> None:
        item = WorklistItemFactory.create()
        ItemChange.objects.create(number=2**63 - 1, item=item, status="COMPLETED")
        assert len(ask()["cursor"]) <= 200


# While others write -------------------------------------------------------------------------------------------------


def set_status(item: WorklistItem, status: str) -> None:
    """Execute a worklist.update_status in this thread's transaction."""
    content = update_status_action(item.accession_number, status)
    update_worklist_item_status(GatewayAction(content, content["action_type"], content["action_id"]))


@contextmanager
def in_a_thread(work: Callable[[], None]) -> Iterator[None]:
    """Do the work in a thread with its own connection; wait for it when the block ends."""

    def run() -> None:
        with borrowed_connection():
            work()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(run)
        yield
        done.result(PATIENCE)


def a_writer_waits() -> bool:
    """Return whether a transaction of PostgreSQL waits for an advisory lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
class TestWhileOthersWrite:
    @pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
    def test_a_later_writer_waits_for_an_earlier_uncommitted_one(self) -> None:
        """Otherwise the reader would pass the later number and never see the earlier one."""
        slow, quick = (WorklistItemFactory.create(accession_number=number) for number in ("SLOW", "QUICK"))
        written, commit = threading.Event(), threading.Event()

        def write_slowly() -> None:
            with transaction.atomic():
                set_status(slow, "COMPLETED")
                written.set()
                assert commit.wait(PATIENCE)

        def write_quickly() -> None:
            with transaction.atomic():
                set_status(quick, "COMPLETED")

        with in_a_thread(write_slowly):
            assert written.wait(PATIENCE)
            with in_a_thread(write_quickly):
                while not a_writer_waits():
                    assert ask()["changes"] == []
                before = ask_all()
                commit.set()
        after = ask_all(before.cursor)
        assert (before.changes, statuses(after.changes)) == ([], [("SLOW", "COMPLETED"), ("QUICK", "COMPLETED")])

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
    def test_a_writer_that_rolls_back_is_neither_seen_nor_awaited(self) -> None:
        failing, other = (WorklistItemFactory.create(accession_number=number) for number in ("FAILING", "OTHER"))
        with transaction.atomic():
            set_status(failing, "COMPLETED")
            transaction.set_rollback(True)
        with transaction.atomic():
            set_status(other, "COMPLETED")
        assert statuses(ask_all().changes) == [("OTHER", "COMPLETED")]

    def test_a_poller_sees_each_change_once(self) -> None:
        writers, each = 4, 10
        items = [[WorklistItemFactory.create() for _ in range(each)] for _ in range(writers)]
        begin = threading.Barrier(writers + 1)
        ended: list[int] = []

        def write(mine: list[WorklistItem]) -> None:
            with borrowed_connection():
                begin.wait(PATIENCE)
                for item in mine:
                    for status in ("IN PROGRESS", "COMPLETED"):
                        with transaction.atomic():
                            set_status(item, status)
            ended.append(1)

        seen: list[dict[str, Any]] = []
        cursor = ""
        with ThreadPoolExecutor(writers) as pool:
            work = [pool.submit(write, mine) for mine in items]
            begin.wait(PATIENCE)
            is_last = False
            while not is_last:
                is_last = len(ended) == writers or all(one.done() for one in work)
                polled = ask_all(cursor)
                seen += polled.changes
                cursor = polled.cursor
            for one in work:
                one.result(PATIENCE)
        wanted = [
            (item.accession_number, status)
            for mine in items
            for item in mine
            for status in ("IN PROGRESS", "COMPLETED")
        ]
        assert sorted(statuses(seen)) == sorted(wanted)
        assert [row.at.isoformat() for row in ItemChange.objects.order_by("number")] == moments(seen)

    def test_an_item_and_its_step_that_come_at_the_same_time_are_linked(self) -> None:
        begin = threading.Barrier(2)

        def step_comes() -> None:
            begin.wait(PATIENCE)
            create_step("1.1", by_number("A1"))

        with in_a_thread(step_comes):
            begin.wait(PATIENCE)
            item_of_an_action(accession_number="A1")
        assert statuses(ask_all().changes) == [("A1", "IN PROGRESS")]
