"""The admin index: what needs attention, for whom, and where its links lead."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.dashboard.records import (
    configure_modality,
    failed_action,
    item_not_shown,
    record_query,
    run_all_daemons,
)
from tests.factories import WorklistItemFactory
from tests.users import client_of, page
from tests.worklist.performed_step import reports
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db, pytest.mark.once]

INDEX = reverse("admin:index")
NOTHING = "Nothing needs attention"


@pytest.mark.parametrize("group", ["support", "clinic"])
def test_shows_each_concern_with_its_latest_cases_and_links_that_work(group: str) -> None:
    item = WorklistItemFactory.create(accession_number="ACC1")
    reports.create_step("2.25.1", reports.scheduled_step(item), PatientID="9990000099")
    reports.create_step("2.25.2")
    failed_action()
    item_not_shown()
    configure_modality()
    record_query("STRANGER", timezone.now())
    client = client_of(group)
    text = page(client, INDEX)
    for title in (
        "Wrong patient",
        "Missing from the machines’ lists",
        "1 action from Manage failed today (not found)",
        "1 report from machines: unscheduled",
        "Unknown AE titles",
        "Connection to Manage: not running",
        "Worklist server: not running",
    ):
        assert title in text, title
    assert "STRANGER" in text
    assert "ACC7 is missing from the machines’ lists: DICOM does not allow her PatientAddress" in text
    links = {unescape(link) for link in re.findall(r'href="(/admin/[^"]*)"', text)}
    assert [link for link in links if client.get(link, follow=True).status_code != 200] == []


def test_says_when_nothing_needs_attention(support: Client) -> None:
    run_all_daemons()
    assert NOTHING in page(support, INDEX)


def test_counting_stops_at_a_limit(support: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.concerns.COUNTED", 7)
    for number in range(8):
        failed_action(number)
    text = page(support, INDEX)
    assert "7+ actions from Manage failed today" in text
    assert '<span class="count">7+</span>' not in text, "the title has said it already"


def test_leaves_out_what_is_done_known_or_of_an_earlier_day(support: Client) -> None:
    run_all_daemons()
    failed_action(1, received_at=timezone.now() - timedelta(days=1))
    failed_action(2, outcome="created")
    configure_modality("MAMMO1")
    record_query("MAMMO1", timezone.now())
    WorklistItem.objects.filter(pk=item_not_shown().pk).update(status="COMPLETED")
    assert NOTHING in page(support, INDEX)


def test_hides_what_a_user_has_no_permission_for(client: Client) -> None:
    failed_action()
    item_not_shown()
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    text = page(client, INDEX)
    assert NOTHING in text
    assert "ACC7" not in text
    assert 'name="accession_number"' not in text


def test_finds_an_item_by_its_accession_number(support: Client) -> None:
    item = item_not_shown()
    assert 'name="accession_number"' in page(support, INDEX)
    response = support.get(reverse("admin:worklist_worklistitem_changelist"), {"accession_number": "ACC7"})
    assert response.headers["Location"] == reverse("admin:worklist_worklistitem_change", args=[item.pk])


def test_costs_the_same_however_many_cases_there_are(support: Client, django_assert_max_num_queries: object) -> None:
    for number in range(20):
        failed_action(number)
        record_query(f"STRANGER{number}", timezone.now())
    with django_assert_max_num_queries(30):  # type: ignore[operator]
        page(support, INDEX)
