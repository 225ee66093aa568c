"""What people see of a superseded item: its page, its timeline, the search, and why it is not on a list."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.users import page
from tests.worklist.services.test_superseding import sent
from tests.worklist.test_admin import LIST, detail
from worklist.models import WorklistItem, WorklistQuery
from worklist.services.explain_query import explain_query, logged_query

pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def chain() -> list[WorklistItem]:
    """An item that superseded another, which superseded the first: the first comes first."""
    for number in ("ACC1", "ACC2", "ACC3"):
        sent(number)
    return list(WorklistItem.objects.order_by("accession_number"))


def at(item: WorklistItem) -> str:
    """Return when the item was superseded, by the clinic's clock."""
    assert item.superseded_at
    return f"{timezone.localtime(item.superseded_at):%H:%M}"


class TestTheItemsPage:
    def test_has_the_whole_chain(self, chain: list[WorklistItem], support: Client) -> None:
        for item in chain:
            text = page(support, detail(item))
            assert f"superseded at {at(chain[0])} by ACC2" in text
            assert f"superseded at {at(chain[1])} by ACC3" in text

    def test_offers_no_way_back_to_the_list(self, chain: list[WorklistItem], clinic: Client) -> None:
        assert "Put back on the list</a>" not in page(clinic, detail(chain[0]))

    def test_has_the_other_items_of_the_appointment(self, support: Client) -> None:
        sent("ACC1")
        sent("ACC2", participant__nhs_number="9990000026")
        assert detail(WorklistItem.objects.get(accession_number="ACC2")) in page(
            support, detail(WorklistItem.objects.get(accession_number="ACC1"))
        )


class TestTheTimeline:
    def test_has_the_whole_chain(self, chain: list[WorklistItem], admin_client: Client) -> None:
        for item in chain:
            text = page(admin_client, reverse("item-timeline", args=[item.pk]))
            assert "ACC1 superseded by ACC2" in text
            assert "ACC2 superseded by ACC3" in text


class TestTheSearch:
    def test_finds_the_woman_by_each_number(self, chain: list[WorklistItem], support: Client) -> None:
        for number in ("ACC1", "ACC2", "ACC3"):
            text = page(support, LIST, q=number)
            assert detail(chain[2]) in text
        assert detail(chain[1]) not in page(support, LIST, q="ACC1")


class TestExplaining:
    def test_says_when_it_was_superseded_and_by_what(self, chain: list[WorklistItem]) -> None:
        output = StringIO()
        with pytest.raises(CommandError, match="not on the list"):
            call_command("explain_query", "ACC1", "--key", "Modality=MG", stdout=output)
        assert f"superseded at {at(chain[0])} by ACC2" in output.getvalue()

    def test_of_a_logged_query_gives_it_as_the_reason(self, chain: list[WorklistItem]) -> None:
        query = WorklistQuery.objects.create(
            asked_at=timezone.now() + timedelta(seconds=1),
            calling_ae_title="MAMMO1",
            keys={"ScheduledProcedureStepStatus": "*"},
            outcome="answered",
        )
        assert (
            f"because of superseded at {at(chain[0])} by ACC2" in explain_query(chain[0], logged_query(query)).summary
        )


class TestTheDay:
    def test_has_her_once(self, chain: list[WorklistItem], admin_client: Client) -> None:
        text = page(admin_client, reverse("live-page"))
        assert ("ACC1" in text, "ACC3" in text) == (False, True)
