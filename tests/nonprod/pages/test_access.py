"""The pages are absent in production and with a real relay, and refuse forms of other sites."""

import os
import subprocess
import sys

import pytest
from django.conf import settings as configured
from django.test import Client
from pytest_django.fixtures import Settings

from tests.nonprod.pages.conftest import CLINIC, MODALITY

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

PAGES = (CLINIC, MODALITY, f"{CLINIC}/list", f"{CLINIC}/1")
BUTTONS = (
    f"{CLINIC}/1/send",
    f"{CLINIC}/1/absent",
    f"{CLINIC}/again",
    *(f"{MODALITY}/{button}" for button in ("verify", "start", "expose", "finish", "discontinue")),
)


class TestAccess:
    def test_production_has_none_of_these_urls(self) -> None:
        program = (
            "import django; django.setup()\n"
            "from django.urls import resolve, Resolver404\n"
            f"for address in {PAGES + BUTTONS}:\n"
            "    try: print(resolve(address))\n"
            "    except Resolver404: print(404)\n"
        )
        chosen = {"DJANGO_SETTINGS_MODULE": "gateway_project.settings.production", "SECRET_KEY": "for-this-test"}
        python = [sys.executable, "-W", "ignore", "-c", program]
        environment = {**os.environ, **chosen}
        ended = subprocess.run(python, env=environment, cwd=configured.BASE_DIR, capture_output=True, check=True)
        assert ended.stdout.decode().split() == ["404"] * len(PAGES + BUTTONS)

    @pytest.mark.parametrize("page", PAGES)
    def test_a_page_is_404_with_a_real_relay(self, page: str, client: Client, settings: Settings) -> None:
        settings.RELAY_IS_EMULATED = False
        assert client.get(page).status_code == 404

    @pytest.mark.parametrize("button", BUTTONS)
    def test_a_button_is_404_with_a_real_relay(self, button: str, client: Client, settings: Settings) -> None:
        settings.RELAY_IS_EMULATED = False
        assert client.post(button).status_code == 404

    @pytest.mark.parametrize("button", BUTTONS)
    def test_a_button_needs_a_csrf_token_and_post(self, button: str) -> None:
        assert Client(enforce_csrf_checks=True).post(button).status_code == 403
        assert Client().get(button).status_code == 405

    @pytest.mark.parametrize("page", [CLINIC, MODALITY])
    def test_a_page_needs_no_unsafe_content_security_policy(self, page: str, client: Client) -> None:
        response = client.get(page)
        text = response.content.decode()
        assert "unsafe" not in response.headers["Content-Security-Policy"]
        assert [word for word in ("<style", " style=", "onclick", "<script>") if word in text] == []
