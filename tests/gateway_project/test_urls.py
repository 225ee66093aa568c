"""Which address shows what."""

import pytest
from django.test import Client


class TestUrls:
    def test_healthz_is_alive_without_a_database(self, client: Client) -> None:
        response = client.get("/healthz")
        assert (response.status_code, response.content) == (200, b"alive\n")

    @pytest.mark.django_db
    def test_the_front_door_leads_to_the_login(self, client: Client) -> None:
        assert client.get("/", follow=True).redirect_chain == [("/login/?next=/", 302)]
