"""A person can have a failed action executed again, once and only once."""

import json
import threading
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.urls import reverse

from core.models import AuditLog
from nonprod.manage_emulator import update_status_action
from relay.configuration import configured_dispatcher
from relay.models import ReceivedAction, Reprocessing
from relay.reprocessing import CannotReprocess, execute_again
from tests.factories import payload
from tests.users import client_of, page
from worklist.models import WorklistItem

pytestmark = pytest.mark.django_db

REFUSED = update_status_action("ACC1", "COMPLETED")


def send(action: dict[str, Any]) -> dict[str, Any]:
    """Dispatch an action, and return the reply."""
    reply: dict[str, Any] = json.loads(configured_dispatcher().dispatch(json.dumps(action), "test#1"))
    return reply


@pytest.fixture
def refused() -> ReceivedAction:
    """Dispatch an update before its item exists, then create the item."""
    assert send(REFUSED)["code"] == "not_found"
    assert send(payload(accession_number="ACC1"))["status"] == "created"
    return ReceivedAction.objects.get(action_id=REFUSED["action_id"])


def again(action: ReceivedAction) -> Reprocessing:
    """Execute an action again on behalf of Jane."""
    return execute_again(configured_dispatcher(), action.pk, "admin:jane")


def confirmation_page(action: ReceivedAction) -> str:
    """Return the address of the page that asks for confirmation."""
    return reverse("admin:relay_receivedaction_reprocess", args=[action.pk])


class TestExecuteAgain:
    def test_executes_an_action_that_was_refused(self, refused: ReceivedAction) -> None:
        assert again(refused).outcome == "updated"
        assert WorklistItem.objects.get().status == "COMPLETED"

    def test_keeps_the_earlier_reply_and_is_audited_under_the_persons_name(self, refused: ReceivedAction) -> None:
        done = again(refused)
        assert (done.by, done.outcome_before, done.reply_before) == ("admin:jane", "not_found", refused.reply)
        note = AuditLog.objects.get(operation="execute")
        assert (note.actor, note.object_id, note.before, note.after) == (
            "admin:jane",
            refused.pk,
            {"outcome": "not_found"},
            {"outcome": "updated"},
        )
        assert note.correlation_id == done.correlation_id

    def test_gives_the_reply_that_manage_gets_when_it_sends_the_action_again(self, refused: ReceivedAction) -> None:
        done = again(refused)
        assert send(REFUSED) == json.loads(done.reply)

    def test_is_not_possible_for_an_action_that_succeeded(self, refused: ReceivedAction) -> None:
        again(refused)
        with pytest.raises(CannotReprocess, match="already done"):
            again(refused)
        created = ReceivedAction.objects.get(outcome="created")
        before = created.reply
        with pytest.raises(CannotReprocess, match="already done"):
            again(created)
        created.refresh_from_db()
        assert (created.reply, Reprocessing.objects.count()) == (before, 1)

    def test_is_not_possible_without_an_action_id(self) -> None:
        send({**REFUSED, "action_id": ""})
        with pytest.raises(CannotReprocess, match="no action_id"):
            again(ReceivedAction.objects.get())

    def test_keeps_the_new_reply_if_the_action_is_refused_again(self) -> None:
        send(REFUSED)
        action = ReceivedAction.objects.get()
        assert again(action).outcome == "not_found"
        action.refresh_from_db()
        assert (action.outcome, action.is_final) == ("not_found", True)

    @pytest.mark.django_db(transaction=True)
    def test_executes_the_action_once_if_several_people_ask_at_once(self, refused: ReceivedAction) -> None:
        outcomes: list[str] = []

        def attempt() -> None:
            try:
                outcomes.append(again(refused).outcome)
            except CannotReprocess:
                outcomes.append("not possible")
            finally:
                connection.close()

        threads = [threading.Thread(target=attempt) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["not possible"] * 3 + ["updated"]


class TestPages:
    @pytest.mark.parametrize("group", ["support", "clinic"])
    def test_execute_the_action_after_confirmation(self, group: str, refused: ReceivedAction) -> None:
        client = client_of(group)
        action_page = reverse("admin:relay_receivedaction_change", args=[refused.pk])
        assert confirmation_page(refused) in page(client, action_page)
        assert "not_found" in page(client, confirmation_page(refused))
        assert Reprocessing.objects.count() == 0
        response = client.post(confirmation_page(refused), follow=True)
        text = response.content.decode()
        assert "was executed again: updated." in text
        assert f"admin:{group}" in text
        assert confirmation_page(refused) not in text

    def test_report_that_the_action_failed_again(self) -> None:
        send(REFUSED)
        action = ReceivedAction.objects.get()
        text = client_of("support").post(confirmation_page(action), follow=True).content.decode()
        assert "failed again: not found." in text

    def test_execute_nothing_twice(self, refused: ReceivedAction) -> None:
        client = client_of("support")
        client.post(confirmation_page(refused))
        assert "already done" in page(client, confirmation_page(refused))
        assert "already done" in client.post(confirmation_page(refused), follow=True).content.decode()
        assert Reprocessing.objects.count() == 1

    def test_execute_several_actions_from_the_list(self, refused: ReceivedAction) -> None:
        form = {"action": "reprocess", "_selected_action": [str(row.pk) for row in ReceivedAction.objects.all()]}
        action_list = reverse("admin:relay_receivedaction_changelist")
        text = client_of("support").post(action_list, form, follow=True).content.decode()
        assert "was executed again: updated." in text
        assert "not executed again. It is already done" in text

    def test_are_only_for_users_with_the_permission(self, client: Client, refused: ReceivedAction) -> None:
        viewer = User.objects.create_user("viewer", is_staff=True)
        viewer.user_permissions.add(Permission.objects.get(codename="view_receivedaction"))
        client.force_login(viewer)
        assert client.get(reverse("admin:relay_receivedaction_change", args=[refused.pk])).status_code == 200
        assert [
            client.get(confirmation_page(refused)).status_code,
            client.post(confirmation_page(refused)).status_code,
        ] == [403, 403]
        form = {"action": "reprocess", "_selected_action": [str(refused.pk)]}
        client.post(reverse("admin:relay_receivedaction_changelist"), form)
        assert Reprocessing.objects.count() == 0

    def test_filter_the_failed_actions(self, refused: ReceivedAction) -> None:
        action_list = reverse("admin:relay_receivedaction_changelist")
        assert "1 received action" in page(client_of("support"), action_list, result="failed")
