"""Who may see what of the worklist in the admin, and that nobody can change it there."""

from datetime import date, time

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.factories import WorklistItemFactory
from tests.users import client_of
from worklist.models import WorklistItem

pytestmark = pytest.mark.django_db

LIST = reverse("admin:worklist_worklistitem_changelist")
PERSON = {
    "patient_id": "9990000018",
    "patient_name": "O'BRIEN-ŁUKASZ^ZOË",
    "patient_birth_date": date(1943, 6, 7),
    "patient_address": "1 Long Lane^Leeds",
    "patient_comments": "uses a wheelchair",
    "patient_weight": "70.51",
    "performing_physician_name": "HOUSE^GREGORY",
}
#: As a page would show them.
SHOWN = ["9990000018", "ŁUKASZ", "1943", "Long Lane", "wheelchair", "70.51", "HOUSE", "patient_name", "NHS number"]


@pytest.fixture
def support() -> Client:
    """Somebody of the group that sees no patient data."""
    return client_of("support")


@pytest.fixture
def clinic() -> Client:
    """Somebody of the group that sees it."""
    return client_of("clinic")


@pytest.fixture
def item() -> WorklistItem:
    """A woman on the list."""
    return WorklistItemFactory.create(accession_number="ACC1", correlation_id="c0ffee", **PERSON)


def detail(item: WorklistItem) -> str:
    """The address of an item's page."""
    return reverse("admin:worklist_worklistitem_change", args=[item.pk])


def page(client: Client, address: str, **query: str) -> str:
    """A page that is there."""
    response = client.get(address, query)
    assert response.status_code == 200
    return response.content.decode()


class TestSupport:
    def test_sees_items_on_the_list_but_nobodys_data(self, support: Client, item: WorklistItem) -> None:
        text = page(support, LIST)
        assert "ACC1" in text
        assert [shown for shown in SHOWN if shown in text] == []

    def test_sees_an_item_but_nobodys_data(self, support: Client, item: WorklistItem) -> None:
        text = page(support, detail(item))
        assert "ACC1" in text
        assert item.study_instance_uid in text
        assert [shown for shown in SHOWN if shown in text] == []

    @pytest.mark.parametrize("field", sorted(WorklistItem.personal_fields))
    @pytest.mark.parametrize("lookup", ["", "__startswith", "__gte", "__isnull", "__regex"])
    def test_cannot_guess_data_by_lookups(self, support: Client, item: WorklistItem, field: str, lookup: str) -> None:
        assert support.get(LIST, {f"{field}{lookup}": "1"}).status_code == 400

    @pytest.mark.parametrize("searched", ["O'BRIEN-ŁUKASZ^ZOË", "9990000018", "Long Lane"])
    def test_cannot_search_for_a_person(self, support: Client, item: WorklistItem, searched: str) -> None:
        assert "ACC1" not in page(support, LIST, q=searched)

    @pytest.mark.parametrize("column", range(1, 7))
    def test_cannot_order_by_what_is_hidden(self, support: Client, column: int) -> None:
        """Who stands first would tell of her name: here all that may be seen goes one way, and the name the other."""
        make_two_women()
        text = page(support, LIST, o=str(column))
        assert text.index(">M1</a>") < text.index(">M2</a>")


def make_two_women() -> None:
    """The first comes first by everything but her name and number."""
    for number, status, name in ((1, "COMPLETED", "ZZZ"), (2, "SCHEDULED", "AAA")):
        same = dict.fromkeys(("accession_number", "station_ae_title", "modality"), f"M{number}")
        start = {"scheduled_date": date(2026, 11, number), "scheduled_time": time(number)}
        WorklistItemFactory.create(status=status, patient_name=name, patient_id=name, **same, **start)


class TestClinic:
    def test_sees_who_is_on_the_list(self, clinic: Client, item: WorklistItem) -> None:
        text = page(clinic, LIST)
        assert "ŁUKASZ" in text
        assert "9990000018" in text

    def test_sees_everything_of_an_item(self, clinic: Client, item: WorklistItem) -> None:
        text = page(clinic, detail(item))
        assert [shown for shown in SHOWN if shown not in text and shown != "patient_name"] == []

    def test_may_order_by_name(self, clinic: Client) -> None:
        make_two_women()
        text = page(clinic, LIST, o="6")
        assert text.index(">M2</a>") < text.index(">M1</a>")

    def test_cannot_put_a_name_into_an_address_either(self, clinic: Client, item: WorklistItem) -> None:
        """It would stand in every proxy's log."""
        assert clinic.get(LIST, {"patient_name__startswith": "O'BRIEN"}).status_code == 400


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
            ({"scheduled_date__gte": "2026-11-23", "scheduled_date__lt": "2026-11-24"}, True),
            ({"scheduled_date__gte": "2026-11-24"}, False),
        ],
    )
    def test_by_filter(self, support: Client, item: WorklistItem, query: dict[str, str], found: bool) -> None:
        assert ("ACC1" in page(support, LIST, **query)) is found

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"scheduled_date__year": "2026"}, True),
            ({"scheduled_date__year": "2026", "scheduled_date__month": "11"}, True),
            ({"scheduled_date__year": "2026", "scheduled_date__month": "11", "scheduled_date__day": "23"}, True),
            ({"scheduled_date__year": "2025"}, False),
        ],
    )
    def test_by_date(self, support: Client, item: WorklistItem, query: dict[str, str], found: bool) -> None:
        assert ("ACC1" in page(support, LIST, **query)) is found

    def test_leads_to_the_actions_about_it(self, support: Client, item: WorklistItem) -> None:
        address = reverse("admin:relay_receivedaction_changelist", query={"accession_number": "ACC1"})
        assert address in page(support, detail(item))
        assert support.get(address).status_code == 200


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
