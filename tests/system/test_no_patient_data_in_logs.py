"""Run the main job and its failures with all logs at DEBUG, and search every line for patient data and keys."""

import asyncio
import json
import urllib.request
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.contrib.auth.models import User

from relay.models import ReceivedAction
from tests.conftest import KEYS
from tests.factories import payload
from tests.system.conftest import Gateway

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("findscu")]

NAME, NUMBER, BORN = "SECRETARY-ŁUKASZ^ZOË", "9990123456", "19531109"
#: Anything of these in a log is a breach.
FORBIDDEN = (
    "SECRETARY",
    "ŁUKASZ",
    "ZOË",
    "\\u0141",
    NUMBER,
    BORN,
    "1953-11-09",
    KEYS.key,
    "SharedAccessSignature",
    "sig=",
)


def person(**changes: Any) -> dict[str, Any]:
    """An action about somebody who must not be seen."""
    who = {"participant__name": NAME, "participant__nhs_number": NUMBER, "participant__birth_date": BORN}
    return payload(**{**who, "accession_number": "ACC1", **changes})


class TestLogs:
    def test_nobody_and_no_key_is_in_any_line_of_any_part(self, gateway: Gateway) -> None:
        # DEBUG: only then does Django hand its SQL to the log at all
        parts = ("run_relay_emulator", "run_relay_listener", "run_mwl_scp", "run_web")
        gateway.run(*parts, LOG_LEVEL="DEBUG", DEBUG="True")
        assert gateway.reply(person())["status"] == "created"
        conflicting = person(scheduled__time="0101")
        assert gateway.reply(conflicting)["code"] == "accession_conflict"
        assert gateway.reply(person(participant__name=f"{NAME}\\"))["warnings"]
        assert gateway.reply(person(participant__nhs_number=f"{NUMBER}\\"))["code"] == "invalid_action"
        assert gateway.reply(person(participant__birth_date=f"{BORN}1"))["code"] == "invalid_action"
        assert gateway.reply({**person(), "action_type": NAME})["code"] == "unsupported_action"
        assert json.loads(asyncio.run(gateway.send({"action_type": "echo", "name": NAME})))["status"] == "echo"
        assert "ZOË" in gateway.findscu("SpecificCharacterSet=ISO_IR 192", f"PatientName={NAME}", "PatientID")
        gateway.findscu("PatientName=SECRETARY*", f"PatientID={NUMBER}", "PatientBirthDate=nonsense-1953")
        self.search_the_admin(gateway, quote(NAME))
        outputs = {}
        for name, process in gateway.processes.items():
            process.stop()
            outputs[name] = process.output
        assert all(outputs.values())
        found = [(name, word) for name, output in outputs.items() for word in FORBIDDEN if word in output]
        assert found == []

    def search_the_admin(self, gateway: Gateway, term: str) -> None:
        """A search term stands in the URL; somebody who is logged in searches, and looks at an action."""
        User.objects.create_superuser("admin", password="admin")
        site = f"http://127.0.0.1:{gateway.environment['WEB_PORT']}/admin"
        cookies = CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
        browser.open(f"{site}/login/")
        token = next(cookie.value for cookie in cookies if cookie.name == "csrftoken")
        form = {"username": "admin", "password": "admin", "next": "/admin/", "csrfmiddlewaretoken": token}
        browser.open(f"{site}/login/", urlencode(form).encode())
        assert "0 results" in browser.open(f"{site}/worklist/worklistitem/?q={term}").read().decode()
        shown = browser.open(f"{site}/relay/receivedaction/{ReceivedAction.objects.last().pk}/change/")  # type: ignore[union-attr]
        assert "SECRETARY" in shown.read().decode()
