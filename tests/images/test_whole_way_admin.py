"""Staff start a test of the whole way in the admin, and read its report there."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from images.models import WholeWayTest
from images.whole_way import add_step, ask_for_test
from tests.users import client_of, page
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db, pytest.mark.once]

START = "/admin/images/wholewaytest/start/"
LIST = "/admin/images/wholewaytest/"


class TestStarting:
    @pytest.mark.parametrize("group", ["support", "clinic"])
    def test_whoever_may_make_a_test_item_may_start_one(self, group: str) -> None:
        client = client_of(group)
        assert START in page(client, LIST)
        assert "Start the test" in page(client, START)
        response = client.post(START, follow=True)
        test = WholeWayTest.objects.get()
        assert f"with the test item {test.accession_number}" in response.content.decode()
        assert test.asked_by == f"admin:{group}"
        assert WorklistItem.objects.get().pk == test.item_id

    def test_nobody_else_may_start_or_see_one(self, client: Client) -> None:
        client.force_login(User.objects.create_user("jane", password="x", is_staff=True))
        assert client.post(START).status_code == 403
        assert client.get(LIST).status_code == 403
        assert WholeWayTest.objects.count() == 0

    def test_a_link_starts_nothing(self) -> None:
        page(client_of("support"), START)
        assert WholeWayTest.objects.count() == 0


class TestReport:
    def test_shows_each_step_with_its_outcome_and_what_was_found(self) -> None:
        test = ask_for_test("admin:jane")
        add_step(test, "The worklist shows it", "passed", "as ZZTEST^NOT A PATIENT")
        add_step(test, "Manage has taken the images", WholeWayTest.LEFT_OUT, "no <action>")
        shown = page(client_of("support"), f"{LIST}{test.pk}/change/")
        assert "as ZZTEST^NOT A PATIENT" in shown
        assert "left out" in shown
        assert "no &lt;action&gt;" in shown

    def test_the_list_says_how_far_each_is(self) -> None:
        add_step(ask_for_test("admin:jane"), "The worklist shows it", "failed", "not there")
        shown = page(client_of("support"), LIST)
        assert "The worklist shows it" in shown
        assert "failed" in shown
