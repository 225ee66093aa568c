"""Every frame is executed once, recorded and answered."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from jsonschema import Draft202012Validator

from core.contract import ActionRefused, ErrorCode, GatewayAction, Reply, echo, load_schema
from core.correlation import correlation_id
from relay.dispatcher import Dispatcher
from relay.models import ReceivedAction, Resend

T = TypeVar("T")
REPLY_SCHEMA = Draft202012Validator(load_schema("gateway_reply"))


class CountingHandler:
    """A handler that counts its calls. Each call inserts a row, which a rollback removes."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails_with: Exception | None = None

    def __call__(self, action: GatewayAction) -> Reply:
        self.calls += 1
        ReceivedAction.objects.create(action_id=f"effect {self.calls}", received_at="2026-11-23T00:00Z")
        if self.fails_with:
            raise self.fails_with
        return {"status": "created", "action_id": action.action_id, "call": self.calls}


class Gateway:
    """A dispatcher with one action, `do`, and the echo probe."""

    def __init__(self) -> None:
        self.handler = CountingHandler()
        self.dispatcher = Dispatcher({"do": self.handler}, {"echo": echo})

    def text(self, frame: str | bytes | dict[str, Any]) -> str:
        """Return the text of the reply to a frame."""
        return self.dispatcher.dispatch(json.dumps(frame) if isinstance(frame, dict) else frame, "test#1")

    def reply(self, frame: str | bytes | dict[str, Any]) -> dict[str, Any]:
        """Return the reply to a frame, after checking it against the schema."""
        reply: dict[str, Any] = json.loads(self.text(frame))
        REPLY_SCHEMA.validate(reply)
        return reply

    @property
    def effects(self) -> int:
        """Count the rows that the handler inserted."""
        return ReceivedAction.objects.filter(action_id__startswith="effect").count()


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def row(action_id: str = "a1") -> ReceivedAction:
    """Return the row of an action."""
    return ReceivedAction.objects.get(action_id=action_id)


DO = {"action_id": "a1", "action_type": "do"}


@pytest.mark.django_db
class TestOnceOnly:
    def test_an_action_is_executed_and_recorded(self, gateway: Gateway) -> None:
        action = {**DO, "source_system": "manage", "parameters": {"worklist_item": {"accession_number": " ACC1 "}}}
        text = gateway.text(action)
        found = row()
        assert (found.reply, found.outcome, found.is_final, found.times_received) == (text, "created", True, 1)
        assert (found.action_type, found.accession_number, found.source_system) == ("do", "ACC1", "manage")
        assert (json.loads(found.payload), found.connection) == (action, "test#1")
        assert found.correlation_id

    def test_an_action_is_received_before_it_is_read_and_answered_before_its_sender_knows(
        self, gateway: Gateway
    ) -> None:
        before = timezone.now()
        gateway.reply({"action_id": "a1", "action_type": "do", "takes": list(range(20_000))})
        after = timezone.now()
        received = row("a1")
        assert (
            before
            <= received.received_at
            <= received.received_at + timedelta(milliseconds=received.duration_ms)
            <= after
        )

    def test_the_payload_is_stored_as_received(self, gateway: Gateway) -> None:
        frame = '{ "action_type":"do",\n"action_id" : "a1", "x": 1.50, "name": "\\u0141" }'
        gateway.text(frame)
        assert row().payload == frame

    def test_a_repeated_action_gets_the_same_bytes_and_has_no_second_effect(self, gateway: Gateway) -> None:
        first = gateway.text(DO)
        assert gateway.text({"action_type": "do", "action_id": "a1"}) == first
        assert (gateway.handler.calls, gateway.effects, row().times_received) == (1, 1, 2)

    def test_each_resend_is_recorded(self, gateway: Gateway) -> None:
        first = gateway.text(DO)
        gateway.text(DO)
        resend = Resend.objects.get()
        assert (resend.action, resend.answer, resend.reply, resend.payload) == (row(), "repeated", first, "")

    def test_an_action_id_with_a_different_payload_is_refused_and_recorded(self, gateway: Gateway) -> None:
        gateway.text(DO)
        reply = gateway.reply({**DO, "parameters": {"other": 1}})
        assert (reply["code"], reply["action_id"]) == ("action_id_reused", "a1")
        assert gateway.handler.calls == 1
        resend = Resend.objects.get()
        assert (resend.answer, json.loads(resend.payload)["parameters"]) == ("refused", {"other": 1})

    def test_a_refusal_is_final_and_the_handlers_effects_are_rolled_back(self, gateway: Gateway) -> None:
        gateway.handler.fails_with = ActionRefused(ErrorCode.ACCESSION_CONFLICT, "No.")
        first = gateway.text(DO)
        assert json.loads(first)["code"] == "accession_conflict"
        assert gateway.effects == 0
        gateway.handler.fails_with = None
        assert gateway.text(DO) == first
        assert gateway.handler.calls == 1

    def test_an_exception_is_not_quoted_in_the_reply_and_the_action_can_be_retried(self, gateway: Gateway) -> None:
        gateway.handler.fails_with = RuntimeError("SMITH^JANE")
        reply = gateway.reply(DO)
        assert reply["code"] == "internal_error"
        assert row().correlation_id in reply["message"]
        assert "SMITH" not in json.dumps(reply)
        assert (gateway.effects, row().is_final) == (0, False)
        gateway.handler.fails_with = None
        assert gateway.reply(DO)["status"] == "created"
        assert (gateway.effects, row().is_final, row().outcome) == (1, True, "created")
        assert Resend.objects.get().answer == "retried"

    def test_an_unavailable_database_records_nothing_and_the_action_can_be_retried(self, gateway: Gateway) -> None:
        gateway.handler.fails_with = OperationalError("database is locked")
        reply = gateway.reply(DO)
        assert (reply["code"], reply["action_id"]) == ("temporarily_unavailable", "a1")
        assert not ReceivedAction.objects.exists()
        gateway.handler.fails_with = None
        assert gateway.reply(DO)["status"] == "created"

    def test_the_handler_runs_under_the_correlation_id_of_the_row(self) -> None:
        seen: list[str] = []

        def handler(action: GatewayAction) -> Reply:
            seen.append(correlation_id())
            return {"status": "created", "action_id": action.action_id}

        Dispatcher({"do": handler}, {}).dispatch(json.dumps(DO), "test", "relay-id-1")
        assert seen == ["relay-id-1"] == [row().correlation_id]


@pytest.mark.django_db
class TestRefused:
    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            ("not json", "invalid_json"),
            (b"\xff", "invalid_json"),
            ("[]", "invalid_json"),
            ("{}", "invalid_action"),
            ('{"action_type": 5, "action_id": "a1"}', "invalid_action"),
            ('{"action_type": "worklist.create_item"}', "invalid_action"),
            ('{"action_type": "echo", "schema_version": 2}', "unsupported_schema_version"),
            ('{"action_type": "worklist.delete_everything"}', "unsupported_action"),
            (" " * 2**20 + "{}", "too_large"),
        ],
    )
    def test_every_failure_has_its_code(self, gateway: Gateway, frame: str | bytes, code: str) -> None:
        assert gateway.reply(frame)["code"] == code

    def test_the_reply_names_an_unknown_action_type(self, gateway: Gateway) -> None:
        reply = gateway.reply({"action_id": "a1", "action_type": "worklist.delete_everything"})
        assert reply["message"] == "Unsupported action: worklist.delete_everything"

    @pytest.mark.parametrize("action_type", ["x\x00y", "x" * 5000, ""])
    def test_an_unusual_action_type_is_recorded_as_unsupported(self, gateway: Gateway, action_type: str) -> None:
        reply = gateway.reply({"action_id": "a1", "action_type": action_type})
        assert reply["code"] == "unsupported_action"
        assert (row().outcome, row().action_type) == ("unsupported_action", "unsupported")

    @pytest.mark.parametrize("action_id", ["", "x" * 101, 7, None, "a\x00b", {"a": 1}])
    def test_an_invalid_action_id_is_refused_and_recorded_without_it(self, gateway: Gateway, action_id: object) -> None:
        reply = gateway.reply({"action_type": "do", "action_id": action_id})
        assert reply["code"] == "invalid_action"
        assert "action_id" not in reply
        found = ReceivedAction.objects.get()
        assert (found.action_id, found.outcome) == (None, "invalid_action")

    def test_two_actions_without_a_valid_id_are_two_rows(self, gateway: Gateway) -> None:
        for _ in range(2):
            gateway.reply({"action_type": "do", "action_id": ""})
        assert ReceivedAction.objects.count() == 2

    def test_a_refused_action_is_recorded_and_gets_the_same_reply_again(self, gateway: Gateway) -> None:
        wrong = {"action_id": "a1", "action_type": "worklist.create_item"}
        assert gateway.text(wrong) == gateway.text(wrong)
        assert (row().outcome, row().times_received) == ("invalid_action", 2)


class TestProbes:
    def test_an_echo_returns_the_action_as_received(self, gateway: Gateway) -> None:
        action = {"action_type": "echo", "timestamp": "now", "x": {"ł": [1, 2.5, None]}}
        assert gateway.reply(action) == {"status": "echo", "payload": action}

    def test_an_echo_makes_no_query(self, gateway: Gateway) -> None:
        # No database mark: pytest-django fails this test at the first query.
        assert gateway.reply({"action_type": "echo", "action_id": "e1"})["status"] == "echo"


@pytest.mark.django_db(transaction=True)
class TestConcurrency:
    def test_one_thread_executes_the_action_and_all_get_its_reply(self) -> None:
        gateway, count = Gateway(), 8
        replies = at_once(count, lambda: gateway.text(DO))
        assert len(set(replies)) == 1
        assert json.loads(replies[0])["status"] == "created"
        assert (gateway.effects, row().times_received) == (1, count)

    def test_different_actions_are_all_executed(self) -> None:
        gateway, ids = Gateway(), iter(range(8))
        replies = at_once(8, lambda: gateway.reply({**DO, "action_id": f"n{next(ids)}"})["status"])
        assert replies == ["created"] * 8

    def test_every_thread_closes_its_connection(self) -> None:
        gateway, left = Gateway(), []

        def work() -> str:
            reply = gateway.text(DO)
            left.append(connection.connection)
            return reply

        at_once(3, work)
        assert left == [None, None, None]


def at_once(count: int, work: Callable[[], T]) -> list[T]:
    """Run the work in several threads that start together, and return the results."""
    barrier, results = threading.Barrier(count), list[T]()

    def run() -> None:
        barrier.wait()
        results.append(work())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
