"""Addresses and their methods."""

import pytest
from django.test import Client

pytestmark = pytest.mark.once


class TestUrls:
    def test_healthz_is_alive_without_a_database(self, client: Client) -> None:
        response = client.get("/healthz")
        assert (response.status_code, response.content) == (200, b"alive\n")

    @pytest.mark.parametrize("address", ["/healthz", "/readyz", "/metrics", "/"])
    @pytest.mark.parametrize("method", ["post", "delete"])
    def test_what_is_only_read_is_not_written_to(self, address: str, method: str, client: Client) -> None:
        assert getattr(client, method)(address).status_code == 405

    @pytest.mark.django_db
    @pytest.mark.parametrize(
        "address", ["/healthz", "/readyz", "/metrics", "/", "/nonprod/clinic", "/nonprod/modality"]
    )
    def test_its_head_may_be_asked_for(self, address: str, client: Client) -> None:
        assert client.head(address).status_code != 405

    @pytest.mark.django_db
    def test_the_start_page_redirects_to_the_login(self, client: Client) -> None:
        assert client.get("/", follow=True).redirect_chain == [("/login/?next=/", 302)]
