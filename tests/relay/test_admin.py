"""The admin pages of received actions, and what each group of users sees."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from relay.configuration import configured_dispatcher
from relay.models import ReceivedAction
from tests.factories import payload
from tests.users import client_of, page

pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def action() -> ReceivedAction:
    """Dispatch one action twice."""
    frame = json.dumps(payload(accession_number="ACC1", participant__name="SMITH^JANE"))
    for _ in range(2):
        configured_dispatcher().dispatch(frame, "test#1")
    return ReceivedAction.objects.get()


def action_page(client: Client, action: ReceivedAction) -> str:
    """Return the text of the action's page."""
    return page(client, reverse("admin:relay_receivedaction_change", args=[action.pk]))


class TestReceivedActionPage:
    def test_clinic_sees_payload_reply_timing_item_and_resends(self, action: ReceivedAction) -> None:
        shown = action_page(client_of("clinic"), action)
        assert "SMITH^JANE" in shown
        assert "&quot;status&quot;: &quot;created&quot;" in shown
        assert reverse("admin:worklist_worklistitem_changelist") + "?accession_number=ACC1" in shown
        assert "the first reply was repeated" in shown

    def test_a_refused_resend_shows_its_reply_and_to_the_clinic_also_its_payload(self, action: ReceivedAction) -> None:
        other = json.dumps({**json.loads(action.payload), "parameters": {"other": "JONES^ANN"}})
        configured_dispatcher().dispatch(other, "test#2")
        assert "JONES^ANN" in action_page(client_of("clinic"), action)
        shown = action_page(client_of("support"), action)
        assert "JONES^ANN" not in shown
        assert "action_id_reused" in shown

    def test_support_does_not_see_an_unsupported_action_type(self) -> None:
        configured_dispatcher().dispatch(json.dumps({"action_id": "a1", "action_type": "SMITH^JANE"}), "test#1")
        shown = action_page(client_of("support"), ReceivedAction.objects.get())
        assert "SMITH" not in shown
        assert "Unsupported action: …" in shown

    def test_support_sees_everything_except_the_payload(self, action: ReceivedAction) -> None:
        shown = action_page(client_of("support"), action)
        assert "SMITH" not in shown
        assert "9990000018" not in shown
        assert "&quot;status&quot;: &quot;created&quot;" in shown

    def test_support_does_not_see_a_value_quoted_by_a_refusal(self) -> None:
        frame = json.dumps(payload(participant__birth_date="19701345"))
        configured_dispatcher().dispatch(frame, "test#1")
        shown = action_page(client_of("support"), ReceivedAction.objects.get())
        assert "19701345" not in shown
        assert "is not a date (YYYYMMDD)" in shown

    def test_nobody_can_change_or_delete_an_action(self, action: ReceivedAction, admin_client: Client) -> None:
        shown = action_page(admin_client, action)
        assert 'name="_save"' not in shown
        assert "deletelink" not in shown
        url = reverse("admin:relay_receivedaction_delete", args=[action.pk])
        assert admin_client.post(url, {"post": "yes"}).status_code == 403


class TestReceivedActionList:
    @pytest.mark.parametrize(
        "query",
        ["", "?q=ACC1", "?outcome=created", "?action_type=worklist.create_item", "?day=today"],
    )
    def test_search_and_filters_find_the_action(self, action: ReceivedAction, admin_client: Client, query: str) -> None:
        response = admin_client.get(reverse("admin:relay_receivedaction_changelist") + query)
        assert response.status_code == 200
        assert str(action) in response.content.decode()

    @pytest.mark.parametrize("field", ["payload", "reply", "fingerprint", "resends__payload"])
    def test_support_cannot_filter_by_the_contents_of_the_payload(self, action: ReceivedAction, field: str) -> None:
        url = reverse("admin:relay_receivedaction_changelist") + f"?{field}__contains=SMITH"
        assert client_of("support").get(url).status_code == 400
