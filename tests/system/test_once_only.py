"""An action is executed exactly once, even if the listener is killed or two listeners receive it at once."""

import asyncio
import json
from typing import Any

import pytest

from core.models import AuditLog
from relay.hybrid_connection.failures import HybridConnectionError
from relay.models import ReceivedAction
from tests.factories import payload
from tests.processes import KILL
from tests.system.conftest import Gateway
from worklist.models import WorklistItem

pytestmark = pytest.mark.django_db(transaction=True)


class TestDeath:
    def test_killed_between_commit_and_reply_the_resend_gets_the_reply_and_nothing_is_done_twice(
        self, gateway: Gateway
    ) -> None:
        action = payload()
        gateway.run("run_relay_emulator")
        dying = gateway.run_one("run_relay_listener", program="tests/system/dying_listener.py")
        with pytest.raises(HybridConnectionError, match="without a reply"):
            asyncio.run(gateway.send(action))
        assert dying.exit_status() == -KILL
        committed = ReceivedAction.objects.get()
        gateway.run_one("run_relay_listener")
        assert asyncio.run(gateway.send(action)) == committed.reply
        assert json.loads(committed.reply) == {"status": "created", "action_id": action["action_id"]}
        assert (WorklistItem.objects.count(), AuditLog.objects.count(), ReceivedAction.objects.count()) == (1, 1, 1)


class TestTwoListeners:
    def test_the_same_action_at_the_same_instant_is_done_once_and_answered_alike(self, gateway: Gateway) -> None:
        gateway.run("run_relay_emulator", "run_relay_listener")
        one = gateway.processes["run_relay_listener"]
        other = gateway.run_one("run_relay_listener")
        actions = [payload(accession_number=f"ACC{number}") for number in range(10)]

        async def send_each_four_times() -> list[list[str]]:
            return [list(await asyncio.gather(*(gateway.send(action) for _ in range(4)))) for action in actions]

        replies = asyncio.run(send_each_four_times())
        assert [len(set(each)) for each in replies] == [1] * 10
        assert {json.loads(each[0])["status"] for each in replies} == {"created"}
        assert (WorklistItem.objects.count(), AuditLog.objects.count()) == (10, 10)
        assert set(ReceivedAction.objects.values_list("times_received", flat=True)) == {4}
        assert one.wait_for("action answered")
        assert other.wait_for("action answered")

    def test_two_actions_for_one_accession_number_at_the_same_instant_are_created_and_exists(
        self, gateway: Gateway
    ) -> None:
        gateway.run("run_relay_emulator", "run_relay_listener")
        gateway.run_one("run_relay_listener")
        first = payload(accession_number="ACC1")
        actions = [{**first, "action_id": f"a{number}"} for number in range(8)]

        async def send_all() -> list[str]:
            return [json.loads(text)["status"] for text in await asyncio.gather(*map(gateway.send, actions))]

        assert sorted(asyncio.run(send_all())) == ["created"] + ["exists"] * 7
        assert WorklistItem.objects.count() == 1

    def test_one_appointment_sent_by_several_senders_at_the_same_instant_leaves_one_open_item(
        self, gateway: Gateway
    ) -> None:
        gateway.run("run_relay_emulator", "run_relay_listener")
        one = gateway.processes["run_relay_listener"]
        other = gateway.run_one("run_relay_listener")
        reference = payload()["source_reference"]
        actions = [{**payload(accession_number=f"ACC{number}"), "source_reference": reference} for number in range(8)]

        async def send_all() -> list[dict[str, Any]]:
            return [json.loads(text) for text in await asyncio.gather(*map(gateway.send, actions))]

        replies = asyncio.run(send_all())
        assert {reply["status"] for reply in replies} == {"created"}
        assert sorted(len(reply.get("supersedes", [])) for reply in replies) == [0] + [1] * 7
        assert WorklistItem.objects.open().count() == 1
        assert WorklistItem.objects.filter(superseded_by=None).count() == 1
        assert one.wait_for("action answered")
        assert other.wait_for("action answered")
