"""The live page as it is served first, and the way in and out."""

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client, RequestFactory

from dashboard.views import server_error
from tests.dashboard.records import item_of_today
from tests.users import client_of, page


def away(*_: object) -> None:
    """Instead of any query."""
    raise OperationalError


pytestmark = [pytest.mark.django_db, pytest.mark.once]


class TestPage:
    def test_it_needs_a_login_which_leads_back_to_it(self, client: Client) -> None:
        User.objects.create_user("rita", password="secret")
        response = client.get("/", follow=True)
        assert response.redirect_chain == [("/login/?next=/", 302)]
        done = client.post("/login/", {"username": "rita", "password": "secret", "next": "/"}, follow=True)
        assert done.redirect_chain == [("/", 302)]
        assert "Connection to Manage" in done.content.decode()

    def test_a_wrong_password_is_told_in_a_summary_of_the_error(self, client: Client) -> None:
        shown = client.post("/login/", {"username": "rita", "password": "wrong"}).content.decode()
        assert "There is a problem" in shown
        assert 'value="rita"' in shown

    def test_it_is_whole_without_javascript(self) -> None:
        item_of_today(patient_name="SMITH^JANE")
        assert "SMITH, JANE" in page(client_of("clinic"), "/")

    def test_without_the_permission_it_tells_numbers(self) -> None:
        item_of_today(patient_name="SMITH^JANE")
        shown = page(client_of("support"), "/")
        assert "SMITH" not in shown
        assert "1 to do, 1 in total" in shown

    def test_until_its_script_has_heard_something_it_says_that_it_is_not_live(self) -> None:
        assert "This page is not updating. Reload it." in page(client_of("clinic"), "/")

    def test_a_login_without_any_permission_sees_counts_only(self, client: Client) -> None:
        item_of_today(patient_name="SMITH^JANE", accession_number="ACC55")
        client.force_login(User.objects.create_user("somebody"))
        shown = page(client, "/")
        assert "1 to do, 1 in total" in shown
        assert [found for found in ("SMITH", "ACC55", "/admin/") if found in shown] == []

    def test_logging_out_ends_the_session(self) -> None:
        client = client_of("clinic")
        assert client.post("/logout/").headers["Location"] == "/login/"
        assert client.get("/").status_code == 302


class TestFailure:
    @pytest.fixture
    def signed_in(self) -> Client:
        """Whoever looks on, and whose requests fail as they do in earnest."""
        client = client_of("clinic")
        client.raise_request_exception = False
        return client

    @pytest.mark.parametrize("address", ["/", "/admin/", "/login/"])
    def test_without_a_database_a_page_says_so_and_tries_again(self, address: str, signed_in: Client) -> None:
        with connection.execute_wrapper(away):
            response = signed_in.get(address)
        assert (response.status_code, response.headers["Refresh"]) == (503, "10")
        assert "The database is not responding" in response.content.decode()
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.cookies == {}

    def test_what_was_sent_is_not_sent_again(self, signed_in: Client) -> None:
        with connection.execute_wrapper(away):
            response = signed_in.post("/login/", {"username": "rita", "password": "x"})
        assert response.status_code == 503
        assert "Refresh" not in response.headers

    def test_another_fault_is_one_of_the_gateway(self, rf: RequestFactory) -> None:
        response = server_error(rf.get("/"))
        assert response.status_code == 500
        assert "There is a fault in the gateway" in response.content.decode()


class TestPolicy:
    @pytest.mark.parametrize("address", ["/", "/login/", "/admin/", "/admin/worklist/worklistitem/"])
    def test_nothing_inside_a_page_runs_and_nothing_comes_from_elsewhere(self, address: str) -> None:
        client = Client() if address == "/login/" else client_of("clinic")
        response = client.get(address)
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        shown = response.content.decode()
        assert "style=" not in shown
        assert "onclick=" not in shown
        assert "http://" not in shown.replace("http://www.w3.org/", "")
        assert "https://" not in shown

    def test_who_was_there_is_kept_by_no_browser(self) -> None:
        assert "no-store" in client_of("clinic").get("/").headers["Cache-Control"]
