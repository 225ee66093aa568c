"""Show queries, deliveries and alarms in the admin, and explain why an item is not on a list."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dicom.models import Modality
from tests.dicom.requests import dataset, request
from tests.users import client_of, page
from tests.worklist.test_admin import LIST, detail
from tests.worklist_fixtures import SHOWN
from worklist.models import Delivery, ItemAlarm, WorklistItem, WorklistQuery
from worklist.query.kept_keys import kept_keys, keyed_hash
from worklist.services.explain_query import ae_titles_for, latest_queries

pytestmark = [pytest.mark.django_db, pytest.mark.once]

NINE = datetime(2026, 11, 23, 9, 2, tzinfo=UTC)


@pytest.fixture
def item(item: WorklistItem) -> WorklistItem:
    """An item on the list of MAMMO1, created at eight."""
    WorklistItem.objects.update(created_at=NINE.replace(hour=8), updated_at=NINE.replace(hour=8))
    return item


def query(settings_secret: str = "only-for-tests", **keys: str) -> WorklistQuery:
    """Create a query of MAMMO2 with these keys."""
    step = dataset(**{name: value for name, value in keys.items() if name in ("Modality", "ScheduledStationAETitle")})
    root = {name: value for name, value in keys.items() if name not in ("Modality", "ScheduledStationAETitle")}
    return WorklistQuery.objects.create(
        asked_at=NINE,
        calling_ae_title="MAMMO2",
        called_ae_title="GATEWAY_MWL",
        address="10.0.0.7",
        keys=kept_keys(request(step, **root), keyed_hash(settings_secret)),
        outcome="answered",
        status="0000",
        correlation_id="c0ffee",
    )


def explain_url(item: WorklistItem) -> str:
    """Return the URL of the page that explains."""
    return reverse("admin:worklist_worklistitem_explain", args=[item.pk])


class TestTheItemsPage:
    def test_has_the_deliveries_of_the_item(self, support: Client, item: WorklistItem) -> None:
        assert "no machine yet" in page(support, detail(item))
        Delivery.objects.add([item.pk], "MAMMO1", NINE)
        Delivery.objects.add([item.pk], "MAMMO1", NINE.replace(minute=10))
        assert "MAMMO1 at 23 Nov 2026 09:02, 09:10 (2 times)" in page(support, detail(item))

    def test_has_the_alarms_of_the_item(self, support: Client, item: WorklistItem) -> None:
        ItemAlarm.objects.add({item.pk: "PatientAddress"}, NINE)
        assert "PatientAddress, last at 23 Nov 2026 09:02" in page(support, detail(item))


class TestTheLists:
    def test_of_queries_has_the_calling_ae_title_and_the_keys(self, support: Client, item: WorklistItem) -> None:
        asked = query(Modality="MG", PatientName="O'BRIEN-ŁUKASZ^ZOË")
        asked.items.add(item)
        for address in ("changelist", asked.pk):
            name = "changelist" if address == "changelist" else "change"
            arguments = [] if name == "changelist" else [address]
            text = page(support, reverse(f"admin:worklist_worklistquery_{name}", args=arguments))
            assert "MAMMO2" in text
            assert "Modality=MG" in text
            assert "PatientName=…" in text
            assert [shown for shown in SHOWN if shown in text] == []
        assert "ACC1" in text

    def test_of_queries_is_filtered_by_ae_title_without_reading_all_queries(self, support: Client) -> None:
        query(Modality="MG")
        Modality.objects.create(ae_title="MAMMO3")
        with CaptureQueriesContext(connection) as statements:
            text = page(support, reverse("admin:worklist_worklistquery_changelist"))
        assert 'href="?calling_ae_title=MAMMO2"' in text
        assert 'href="?calling_ae_title=MAMMO3"' in text
        assert [one for one in statements if 'DISTINCT "worklist_worklistquery"."calling' in one["sql"]] == []
        narrowed = page(support, reverse("admin:worklist_worklistquery_changelist"), calling_ae_title="MAMMO3")
        assert "0 worklist queries" in narrowed

    @pytest.mark.parametrize("group", ["support", "clinic"])
    def test_of_alarms_and_deliveries_have_the_accession_number(self, group: str, item: WorklistItem) -> None:
        client = client_of(group)
        ItemAlarm.objects.add({item.pk: "PatientAddress"}, NINE)
        Delivery.objects.add([item.pk], "MAMMO1", NINE)
        for name in ("itemalarm", "delivery"):
            text = page(client, reverse(f"admin:worklist_{name}_changelist"))
            assert "ACC1" in text
            assert [shown for shown in SHOWN[:-2] if shown in text] == []

    @pytest.mark.parametrize("name", ["worklistquery", "itemalarm", "delivery"])
    def test_can_be_changed_by_nobody(self, admin_client: Client, name: str) -> None:
        assert admin_client.get(reverse(f"admin:worklist_{name}_add")).status_code == 403


class TestExplaining:
    def test_lists_the_latest_queries_with_the_explanation_of_each(self, support: Client, item: WorklistItem) -> None:
        query(Modality="CT")
        query(Modality="MG").items.add(item)
        query(PatientName="O'BRIEN*")
        text = page(support, explain_url(item))
        assert "it was not shown at 2026-11-23 09:02:00 GMT, because of Modality" in text
        assert ">shown<" in text
        assert "cannot be determined, because of PatientName" in text

    def test_needs_few_database_queries_for_many_modalities(
        self, support: Client, item: WorklistItem, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(15):
            WorklistQuery.objects.bulk_create(
                WorklistQuery(asked_at=NINE, calling_ae_title=f"MAMMO{number}", keys={"Modality": "CT"})
                for _ in range(4)
            )
        with django_assert_max_num_queries(18) as statements:
            found = latest_queries(item)
        assert len(found) == 30
        assert [one["sql"] for one in statements.captured_queries if "DISTINCT" in one["sql"]] == []

    def test_lists_modalities_with_deliveries_first_and_all_configured_ones(self, item: WorklistItem) -> None:
        query()
        Modality.objects.create(ae_title="MAMMO3")
        Delivery.objects.add([item.pk], "MAMMO1", NINE)
        assert ae_titles_for(item) == ["MAMMO1", "MAMMO2", "MAMMO3"]

    def test_explains_one_query_key_by_key(self, support: Client, item: WorklistItem) -> None:
        asked = query(ScheduledStationAETitle="MAMMO2", PatientID="9990000018")
        text = page(support, explain_url(item), query=str(asked.pk))
        assert "ScheduledStationAETitle: query MAMMO2, item MAMMO1 → not matched (PS3.4 C.2.2.2.1)" in text
        assert "PatientID: query …, item … → matched (PS3.4 C.2.2.2.1, compared by its hash)" in text
        assert [shown for shown in SHOWN if shown in text] == []

    def test_shows_values_of_the_item_only_with_permission(self, clinic: Client, item: WorklistItem) -> None:
        text = page(clinic, explain_url(item), query=str(query(PatientID="9990000026").pk))
        assert "PatientID: query a value, item 9990000018 → not matched" in text

    def test_says_that_the_item_was_created_after_the_query(self, support: Client, item: WorklistItem) -> None:
        WorklistItem.objects.update(created_at=NINE.replace(hour=10))
        text = page(support, explain_url(item), query=str(query(Modality="MG").pk))
        assert "the item came after the query" in text

    def test_is_offered_on_the_page_of_a_query_by_accession_number(self, support: Client, item: WorklistItem) -> None:
        asked = query(Modality="CT")
        ask = reverse("admin:worklist_worklistquery_explain", args=[asked.pk])
        assert ask in page(support, reverse("admin:worklist_worklistquery_change", args=[asked.pk]))
        assert 'name="accession_number"' in page(support, ask)
        assert "No worklist item has accession number ACC9" in page(support, ask, accession_number="ACC9")
        response = support.get(ask, {"accession_number": "ACC1"}, follow=True)
        assert "Modality: query CT, item MG → not matched" in response.content.decode()

    def test_is_offered_as_an_action_on_the_list(self, support: Client, item: WorklistItem) -> None:
        response = support.post(LIST, {"action": "explain", "_selected_action": [str(item.pk)]})
        assert response.headers["Location"] == explain_url(item)
        assert explain_url(item) in page(support, detail(item))

    @pytest.mark.parametrize("nonsense", ["x", "00000000-0000-0000-0000-000000000000"])
    def test_of_an_unknown_query_is_not_found(self, support: Client, item: WorklistItem, nonsense: str) -> None:
        assert support.get(explain_url(item), {"query": nonsense}).status_code == 404

    def test_needs_permission_to_see_queries(self, client: Client, item: WorklistItem) -> None:
        client.force_login(User.objects.create_user("nobody", is_staff=True))
        ask = reverse("admin:worklist_worklistquery_explain", args=[query().pk])
        assert [client.get(address).status_code for address in (explain_url(item), ask)] == [403, 403]
