"""Show the worklist in the admin, each user what they may see; nobody can change it."""

from datetime import date, time, timedelta

import pytest
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from core.audit import Auditor
from tests.factories import WorklistItemFactory
from tests.users import client_of, page
from tests.worklist_fixtures import SHOWN
from worklist.admin.items import WorklistItemAdmin
from worklist.item_fields import ITEM_FIELDS
from worklist.models import WorklistItem, WorklistQuery

pytestmark = pytest.mark.django_db

LIST = reverse("admin:worklist_worklistitem_changelist")


def detail(item: WorklistItem) -> str:
    """Return the URL of an item's page."""
    return reverse("admin:worklist_worklistitem_change", args=[item.pk])


@pytest.mark.once
class TestSupport:
    def test_sees_items_on_the_list_without_personal_data(self, support: Client, item: WorklistItem) -> None:
        text = page(support, LIST)
        assert "ACC1" in text
        assert [shown for shown in SHOWN if shown in text] == []

    def test_sees_an_item_without_personal_data(self, support: Client, item: WorklistItem) -> None:
        text = page(support, detail(item))
        assert "ACC1" in text
        assert item.study_instance_uid in text
        assert [shown for shown in SHOWN if shown in text] == []

    @pytest.mark.parametrize("field", sorted(WorklistItem.personal_fields))
    @pytest.mark.parametrize("lookup", ["", "__startswith", "__gte", "__isnull", "__regex"])
    def test_cannot_guess_personal_data_by_lookups(
        self, support: Client, item: WorklistItem, field: str, lookup: str
    ) -> None:
        assert support.get(LIST, {f"{field}{lookup}": "1"}).status_code == 400

    @pytest.mark.parametrize("searched", ["O'BRIEN-ŁUKASZ^ZOË", "9990000018", "Long Lane"])
    def test_cannot_search_for_a_patient(self, support: Client, item: WorklistItem, searched: str) -> None:
        assert "ACC1" not in page(support, LIST, q=searched)

    @pytest.mark.parametrize("column", range(1, 8))
    def test_cannot_order_by_hidden_fields(self, support: Client, column: int) -> None:
        """The order would reveal names: here all visible fields order one way, and the name the other."""
        create_two_patients()
        text = page(support, LIST, o=f"-{column}")
        assert text.index(">M2</a>") < text.index(">M1</a>")


def create_two_patients() -> None:
    """Create two items; the second comes first in descending order of everything except name and number."""
    for number, status, name in ((1, "COMPLETED", "ZZZ"), (2, "SCHEDULED", "AAA")):
        same = dict.fromkeys(("accession_number", "station_ae_title", "modality"), f"M{number}")
        start = {"scheduled_date": date(2026, 11, number), "scheduled_time": time(number)}
        WorklistItemFactory.create(status=status, patient_name=name, patient_id=name, **same, **start)


@pytest.mark.once
class TestClinic:
    def test_sees_the_patients_on_the_list(self, clinic: Client, item: WorklistItem) -> None:
        text = page(clinic, LIST)
        assert "ŁUKASZ" in text
        assert "9990000018" in text

    def test_sees_all_fields_of_an_item(self, clinic: Client, item: WorklistItem) -> None:
        text = page(clinic, detail(item))
        assert [shown for shown in SHOWN if shown not in text and shown != "patient_name"] == []

    def test_may_order_by_name(self, clinic: Client) -> None:
        create_two_patients()
        text = page(clinic, LIST, o="6")
        assert text.index(">M2</a>") < text.index(">M1</a>")

    def test_cannot_put_a_name_into_a_url_either(self, clinic: Client, item: WorklistItem) -> None:
        """Every proxy would log it."""
        assert clinic.get(LIST, {"patient_name__startswith": "O'BRIEN"}).status_code == 400


@pytest.mark.once
@pytest.mark.parametrize("group", ["support", "clinic"])
class TestNobody:
    def test_changes_an_item(self, group: str, item: WorklistItem) -> None:
        before = WorklistItem.objects.values().get()
        assert client_of(group).post(detail(item), {"status": "COMPLETED"}).status_code == 403
        assert WorklistItem.objects.values().get() == before

    def test_deletes_an_item(self, group: str, item: WorklistItem) -> None:
        address = reverse("admin:worklist_worklistitem_delete", args=[item.pk])
        assert client_of(group).post(address, {"post": "yes"}).status_code == 403
        assert WorklistItem.objects.exists()

    def test_deletes_many(self, group: str, item: WorklistItem) -> None:
        form = {"action": "delete_selected", "_selected_action": str(item.pk), "post": "yes"}
        client_of(group).post(LIST, form)
        assert WorklistItem.objects.exists()

    def test_adds_an_item(self, group: str) -> None:
        assert client_of(group).get(reverse("admin:worklist_worklistitem_add")).status_code == 403

    def test_is_offered_a_field_to_fill_in(self, group: str, item: WorklistItem) -> None:
        text = page(client_of(group), detail(item))
        assert "<textarea" not in text
        assert 'name="status"' not in text
        assert 'name="_save"' not in text


@pytest.mark.once
class TestOutsiders:
    def test_are_sent_to_the_login(self, client: Client, item: WorklistItem) -> None:
        response = client.get(LIST)
        assert response.status_code == 302
        assert reverse("admin:login") in response.headers["Location"]

    def test_of_the_staff_without_a_group_see_nothing(self, client: Client, item: WorklistItem) -> None:
        client.force_login(User.objects.create_user("nobody", is_staff=True))
        assert client.get(LIST).status_code == 403
        assert client.get(detail(item)).status_code == 403

    def test_a_superuser_cannot_change_an_item_either(self, admin_client: Client, item: WorklistItem) -> None:
        assert admin_client.post(detail(item), {"status": "COMPLETED"}).status_code == 403


class TestFindingAnItem:
    @pytest.mark.parametrize(
        "field",
        [
            "accession_number",
            "study_instance_uid",
            "requested_procedure_id",
            "scheduled_procedure_step_id",
            "correlation_id",
        ],
    )
    def test_by_search(self, support: Client, item: WorklistItem, field: str) -> None:
        WorklistItemFactory.create(accession_number="ACC2")
        text = page(support, LIST, q=str(getattr(item, field)))
        assert "ACC1" in text
        assert "ACC2" not in text

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"status__exact": "SCHEDULED"}, True),
            ({"status__exact": "COMPLETED"}, False),
            ({"station_ae_title": "MAMMO1"}, True),
            ({"station_ae_title": "MAMMO2"}, False),
            ({"modality": "MG"}, True),
            ({"modality": "CT"}, False),
        ],
    )
    def test_by_filter(self, support: Client, item: WorklistItem, query: dict[str, str], found: bool) -> None:
        assert ("ACC1" in page(support, LIST, **query)) is found

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"day": "2026-11-23"}, True),
            ({"day": "2026-11-22"}, False),
            ({"day": "no day"}, False),
            ({"day": "9999-12-31"}, False),
            ({"day": "2026-11-23", "status__exact": "COMPLETED"}, False),
        ],
    )
    def test_by_date(self, support: Client, item: WorklistItem, query: dict[str, str], found: bool) -> None:
        assert ("ACC1" in page(support, LIST, **query)) is found

    def test_by_today_in_local_time(self, support: Client) -> None:
        WorklistItemFactory.create(accession_number="ACC1", scheduled_date=timezone.localdate())
        WorklistItemFactory.create(accession_number="ACC2", scheduled_date=timezone.localdate() - timedelta(days=1))
        shown = {day: page(support, LIST, day=day) for day in ("today", "yesterday", "week")}
        assert {day: ("ACC1" in text, "ACC2" in text) for day, text in shown.items()} == {
            "today": (True, False),
            "yesterday": (False, True),
            "week": (True, True),
        }

    def test_by_its_accession_number_leads_straight_to_it(self, support: Client, item: WorklistItem) -> None:
        response = support.get(LIST, {"accession_number": "ACC1"})
        assert response.headers["Location"] == detail(item)
        assert "0 worklist items" in page(support, LIST, accession_number="ACC9")

    def test_by_search_in_lower_case(self, support: Client, item: WorklistItem) -> None:
        assert "1 worklist item" in page(support, LIST, q=" acc1 ")

    def test_leads_to_the_queries_that_returned_it(self, support: Client, item: WorklistItem) -> None:
        asked = WorklistQuery.objects.create(asked_at=timezone.now(), calling_ae_title="MAMMO7", correlation_id="c1")
        WorklistQuery.objects.create(asked_at=timezone.now(), calling_ae_title="MAMMO8", correlation_id="c2")
        asked.items.add(item)
        address = reverse("admin:worklist_worklistquery_changelist", query={"item": str(item.pk)})
        assert address in page(support, detail(item))
        assert "1 worklist query" in page(support, address)
        assert "0 worklist queries" in page(support, address.split("?", maxsplit=1)[0], item="nonsense")

    def test_leads_to_its_audit_log(self, support: Client, item: WorklistItem) -> None:
        Auditor("test").update(item, status="COMPLETED")
        history = reverse("admin:worklist_worklistitem_history", args=[item.pk])
        assert history in page(support, detail(item))
        response = support.get(history, follow=True)
        assert "1 audit log" in response.content.decode()

    def test_leads_to_the_actions_about_it(self, support: Client, item: WorklistItem) -> None:
        address = reverse("admin:relay_receivedaction_changelist", query={"accession_number": "ACC1"})
        assert address in page(support, detail(item))
        assert support.get(address).status_code == 200


@pytest.mark.once
class TestThePageOfAnItem:
    def test_has_every_field_of_an_item(self) -> None:
        shown = flatten_fieldsets(WorklistItemAdmin.fieldsets)
        assert {field.name for field in ITEM_FIELDS} - set(shown) == set()


class TestTheCostOfTheList:
    def test_does_not_grow_with_its_rows(self, clinic: Client) -> None:
        WorklistItemFactory.create()
        counts = []
        for _ in range(2):
            with CaptureQueriesContext(connection) as queries:
                page(clinic, LIST)
            counts.append(len(queries))
            WorklistItemFactory.create_batch(60)
        assert counts[0] == counts[1]
