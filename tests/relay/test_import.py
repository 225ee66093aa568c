"""Import a file of actions in the admin: check it, look at the table, execute it."""

import html
import json
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from core.models import AuditLog
from relay.admin import MAX_FILE_BYTES
from relay.models import ReceivedAction
from tests.factories import payload
from tests.users import client_of, page
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db, pytest.mark.once]

LIST = reverse("admin:relay_receivedaction_changelist")
IMPORT = reverse("admin:relay_receivedaction_import")


@pytest.fixture
def clinic() -> Client:
    """A user of the group that may import."""
    return client_of("clinic")


def upload(client: Client, content: str | bytes) -> str:
    """Upload a file; return the page with the table, or the form with what is wrong."""
    data = content if isinstance(content, bytes) else content.encode()
    response = client.post(IMPORT, {"file": SimpleUploadedFile("actions.json", data)})
    assert response.status_code == 200
    return response.content.decode()


def confirm(client: Client, shown: str) -> str:
    """Send the form of the page with the table."""
    found = re.search(r'name="actions" value="([^"]*)"', shown)
    assert found
    response = client.post(IMPORT, {"actions": html.unescape(found[1])})
    assert response.status_code == 200
    return response.content.decode()


def words(shown: str) -> str:
    """Return a page's text, without tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", html.unescape(shown)).split())


def two_days() -> list[Any]:
    """Three actions for two days, and two that are refused."""
    days = ("20261124", "20261123", "20261124")
    good = [payload(scheduled__date=day) for day in days]
    return [*good, payload(participant__birth_date="19701345"), 5]


class TestChecking:
    def test_shows_how_many_for_which_days_and_which_are_refused_and_why(self, clinic: Client) -> None:
        shown = words(upload(clinic, json.dumps(two_days())))
        assert "5 actions , 2 refused . 23 November 2026: 1, 24 November 2026: 2." in shown
        assert "refused: invalid action parameters.worklist_item.participant.birth_date" in shown
        assert "Nothing has been executed yet" in shown

    def test_executes_and_keeps_nothing(self, clinic: Client) -> None:
        upload(clinic, json.dumps(two_days()))
        assert (WorklistItem.objects.count(), ReceivedAction.objects.count(), AuditLog.objects.count()) == (0, 0, 0)

    @pytest.mark.parametrize(
        ("content", "fault"),
        [
            (b"\xff", "is not UTF-8"),
            ('{"name": "SMITH"}', "does not contain a JSON list of actions"),
            ("[]", "contains no action"),
            (b"[" + b" " * MAX_FILE_BYTES + b"]", "more than 2 MB"),
        ],
    )
    def test_says_what_is_wrong_with_a_file(self, clinic: Client, content: str | bytes, fault: str) -> None:
        shown = upload(clinic, content)
        assert fault in shown
        assert "SMITH" not in shown


class TestExecuting:
    def test_executes_what_was_checked_and_shows_the_outcome(self, clinic: Client) -> None:
        done = words(confirm(clinic, upload(clinic, json.dumps(two_days()))))
        assert "The actions have been executed" in done
        assert WorklistItem.objects.count() == 3
        assert AuditLog.objects.get(operation="execute").actor == "admin:clinic"

    def test_keeps_names_and_quotes_as_they_are(self, clinic: Client) -> None:
        name = "O'BRIEN-ŁUKASZ^ZOË"
        confirm(clinic, upload(clinic, json.dumps([payload(participant__name=name)], ensure_ascii=False, indent=1)))
        assert WorklistItem.objects.get().patient_name == name

    def test_the_same_file_again_changes_nothing(self, clinic: Client) -> None:
        content = json.dumps([payload()])
        confirm(clinic, upload(clinic, content))
        assert "received before" in upload(clinic, content)
        confirm(clinic, upload(clinic, content))
        assert WorklistItem.objects.count() == 1

    def test_a_forged_form_is_refused(self, clinic: Client) -> None:
        assert "does not contain a JSON list" in clinic.post(IMPORT, {"actions": "5"}).content.decode()


class TestPermission:
    def test_the_list_offers_it_to_those_who_may(self, clinic: Client) -> None:
        assert IMPORT in page(clinic, LIST)
        assert "Check the file" in page(clinic, IMPORT)

    def test_others_are_refused(self) -> None:
        support = client_of("support")
        assert IMPORT not in page(support, LIST)
        assert support.get(IMPORT).status_code == 403
        assert support.post(IMPORT, {"actions": json.dumps([payload()])}).status_code == 403
        assert WorklistItem.objects.count() == 0
