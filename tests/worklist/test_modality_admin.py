"""Configure modalities in the admin: permissions, validation and the audit log."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from core.models import AuditLog
from dicom.models import Modality
from tests.users import client_of, page
from worklist.models import WorklistQuery

pytestmark = [pytest.mark.django_db, pytest.mark.once]

LIST = reverse("admin:dicom_modality_changelist")
ADD = reverse("admin:dicom_modality_add")
FORM = {"ae_title": "MAMMO1", "name": "Left", "room": "Van 3", "is_allowed": "on", "expected_address": "192.0.2.7"}


@pytest.fixture
def engineer() -> Client:
    """Log in a user with permission to change modalities."""
    user = User.objects.create_user("engineer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__endswith="_modality"))
    client = Client()
    client.force_login(user)
    return client


def change_page(modality: Modality) -> str:
    """Return the URL of a modality's page."""
    return reverse("admin:dicom_modality_change", args=[modality.pk])


def refusal(client: Client, **changes: str) -> str:
    """Post a form that must be refused; return the page."""
    response = client.post(ADD, {**FORM, **changes})
    assert response.status_code == 200
    assert not Modality.objects.exists()
    return response.content.decode()


class TestAModality:
    def test_is_added_and_audited(self, engineer: Client) -> None:
        assert engineer.post(ADD, FORM).status_code == 302
        modality = Modality.objects.get()
        assert (modality.ae_title, modality.room, modality.expected_address) == ("MAMMO1", "Van 3", "192.0.2.7")
        record = AuditLog.objects.get()
        assert (record.actor, record.operation, record.object_id) == ("admin:engineer", "create", modality.pk)
        assert record.after["ae_title"] == "MAMMO1"

    def test_is_changed_and_audited_with_old_and_new_values(self, admin_client: Client) -> None:
        modality = Modality.objects.create(ae_title="MAMMO1", name="Left", room="Van 3")
        form = {"ae_title": "MAMMO1", "name": "Left", "room": "Van 3", "max_rows": "40"}
        assert admin_client.post(change_page(modality), form).status_code == 302
        modality.refresh_from_db()
        assert (modality.is_allowed, modality.max_rows) == (False, 40)
        record = AuditLog.objects.get()
        assert (record.actor, record.object_type) == ("admin:admin", "dicom.modality")
        assert record.before == {"is_allowed": "True", "max_rows": "None"}
        assert record.after == {"is_allowed": "False", "max_rows": "40"}

    def test_that_is_saved_unchanged_leaves_no_change_in_the_audit_log(self, admin_client: Client) -> None:
        modality = Modality.objects.create(ae_title="MAMMO1")
        form = {"ae_title": "MAMMO1", "name": "", "room": "", "is_allowed": "on"}
        assert admin_client.post(change_page(modality), form).status_code == 302
        assert all(record.before == record.after for record in AuditLog.objects.all())

    def test_can_be_made_strict(self, engineer: Client) -> None:
        engineer.post(ADD, {**FORM, "is_strict": "on"})
        assert Modality.objects.get().is_strict
        assert "Strict MPPS" in page(engineer, LIST)

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("ae_title", "", "required"),
            ("ae_title", "MAMMO\\1", "no backslash"),
            ("ae_title", "A" * 17, "at most 16"),
            ("max_rows", "0", "Enter at least 1"),
            ("max_rows", "-1", "greater than or equal to 0"),
            ("expected_address", "mammo1.hospital", "valid IPv4 or IPv6"),
            ("character_set", "KLINGON", "not one of the available choices"),
        ],
    )
    def test_is_refused_with_the_reason(self, engineer: Client, field: str, value: str, message: str) -> None:
        assert message in refusal(engineer, **{field: value})

    def test_is_refused_if_its_ae_title_exists(self, engineer: Client) -> None:
        Modality.objects.create(ae_title="MAMMO1")
        assert "already exists" in engineer.post(ADD, FORM).content.decode()

    def test_that_is_the_first_causes_a_warning_that_others_are_now_rejected(
        self, engineer: Client, settings: Settings
    ) -> None:
        settings.MWL_UNKNOWN_AE_TITLES = "reject-once-configured"
        warning = "the gateway rejects machines that are not on this list"
        assert warning in engineer.post(ADD, FORM, follow=True).content.decode()
        assert warning not in engineer.post(ADD, {**FORM, "ae_title": "MAMMO2"}, follow=True).content.decode()

    def test_cannot_be_deleted(self, admin_client: Client) -> None:
        modality = Modality.objects.create(ae_title="MAMMO1")
        address = reverse("admin:dicom_modality_delete", args=[modality.pk])
        assert admin_client.post(address, {"post": "yes"}).status_code == 403


class TestTheList:
    def test_shows_each_with_its_room_and_its_last_query(self, engineer: Client) -> None:
        Modality.objects.create(ae_title="MAMMO1", name="Left", room="Van 3")
        now = timezone.now()
        for ago in (1, 5):
            asked: dict[str, Any] = {"asked_at": now - timedelta(days=ago), "calling_ae_title": "MAMMO1"}
            WorklistQuery.objects.create(called_ae_title="X", address="::1", correlation_id="1", **asked)
        text = page(engineer, LIST)
        assert "MAMMO1" in text
        assert "Van 3" in text
        assert f"{timezone.localtime(now - timedelta(days=1)):%H:%M}" in text

    def test_says_that_a_modality_has_no_query(self, engineer: Client) -> None:
        Modality.objects.create(ae_title="MAMMO1")
        assert "none kept" in page(engineer, LIST)

    @pytest.mark.parametrize(("query", "found"), [({"is_allowed__exact": "0"}, False), ({"q": "Van"}, True)])
    def test_can_be_filtered(self, engineer: Client, query: dict[str, str], found: bool) -> None:
        Modality.objects.create(ae_title="MAMMO1", room="Van 3")
        assert ("MAMMO1</a>" in page(engineer, LIST, **query)) is found


@pytest.mark.parametrize("group", ["support", "clinic"])
class TestTheGroups:
    def test_may_look(self, group: str) -> None:
        Modality.objects.create(ae_title="MAMMO1")
        assert "MAMMO1" in page(client_of(group), LIST)

    def test_may_not_change(self, group: str) -> None:
        modality = Modality.objects.create(ae_title="MAMMO1")
        client = client_of(group)
        assert client.post(change_page(modality), FORM).status_code == 403
        assert client.get(ADD).status_code == 403
