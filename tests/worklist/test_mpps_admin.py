"""Show performed procedure steps in the admin, and resolve MPPS exceptions there."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.contract import ItemStatus
from core.models import AuditLog
from tests.dicom.requests import dataset
from tests.factories import WorklistItemFactory
from tests.users import client_of, page
from tests.worklist.performed_step.reports import (
    by_number,
    create_step,
    final_change,
    scheduled_step,
    set_step,
    unscheduled_step,
)
from tests.worklist.performed_step.test_mpps_exceptions import UID, status_of
from tests.worklist.test_admin import detail
from tests.worklist_fixtures import SHOWN
from worklist.models import MppsException, PerformedProcedureStep, WorklistItem

pytestmark = [pytest.mark.django_db, pytest.mark.once]

STEPS = reverse("admin:worklist_performedprocedurestep_changelist")
EXCEPTIONS = reverse("admin:worklist_mppsexception_changelist")
ALARM = "Wrong patient: 1 alarm."
ANOTHER: dict[str, Any] = {"PatientID": "9990000099", "PatientName": "KOWALSKA^ANNA", "PatientBirthDate": "19510203"}


def url_of(record: PerformedProcedureStep | MppsException) -> str:
    """Return the URL of a record's page."""
    return reverse(f"admin:worklist_{record._meta.model_name}_change", args=[record.pk])


def resolve_url(name: str) -> str:
    """Return the URL that resolves the only exception in this way."""
    return reverse(f"admin:worklist_mppsexception_{name}", args=[MppsException.objects.get().pk])


def put_back_url(item: WorklistItem) -> str:
    """Return the URL that puts an item back."""
    return reverse("admin:worklist_worklistitem_put_back", args=[item.pk])


def permit(group: str, *codenames: str) -> Client:
    """Log in a user of a group with more permissions."""
    client = client_of(group)
    permissions = Permission.objects.filter(content_type__app_label="worklist", codename__in=codenames)
    User.objects.get(username=group).user_permissions.set(permissions)
    return client


@pytest.fixture
def wrong_patient(item: WorklistItem) -> MppsException:
    """Report a step for ACC1 with another patient."""
    create_step(UID, scheduled_step(item), **ANOTHER)
    return MppsException.objects.get()


class TestAStep:
    def test_is_shown_with_its_outcome(self, support: Client, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item))
        reason: dict[str, Any] = {
            "PerformedProcedureStepDiscontinuationReasonCodeSequence": [dataset(CodeMeaning="Patient refused")]
        }
        set_step(UID, final_change(ItemStatus.DISCONTINUED, **reason, EntranceDoseInmGy="5.1"))
        for text in (page(support, STEPS), page(support, url_of(PerformedProcedureStep.objects.get()))):
            shown = ("PPS1", "Discontinued", "MAMMO1", "23 Nov 2026 14:31", "23 Nov 2026 14:36", "Patient refused")
            assert [each for each in shown if each not in text] == []
            assert detail(item) in text
        assert "EntranceDoseInmGy: 5.1" in text

    def test_has_its_end_marked_if_that_was_assumed(self, support: Client, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(PerformedProcedureStepEndTime="103209123"))
        assert "(assumed: when the report arrived)" in page(support, url_of(PerformedProcedureStep.objects.get()))

    @pytest.mark.parametrize(
        ("permission", "seen"),
        [
            ("view_patient_data", {"9990000018"}),
            ("view_operator", {"ROSE"}),
            ("view_data_set", {"9990000018", "ROSE", "KOWALSKA"}),
            ("view_delivery", set()),
        ],
    )
    def test_shows_personal_data_only_with_permission(
        self, item: WorklistItem, permission: str, seen: set[str]
    ) -> None:
        step = create_step(UID, scheduled_step(item), PatientID="9990000018", PatientName="KOWALSKA^ANNA")
        set_step(UID, final_change(ItemStatus.COMPLETED))
        client = permit("support", permission)
        text = page(client, url_of(step))
        assert {each for each in ("9990000018", "ROSE", "KOWALSKA") if each in text} == seen
        assert [each for each in ("9990000018", "ROSE", "KOWALSKA") if each in page(client, STEPS)] == []

    def test_shows_the_clinic_the_patient_but_no_operator(self, clinic: Client, item: WorklistItem) -> None:
        step = create_step(UID, scheduled_step(item), PatientID="9990000018")
        set_step(UID, final_change(ItemStatus.COMPLETED))
        text = page(clinic, url_of(step))
        assert "9990000018" in text
        assert "ROSE" not in text

    @pytest.mark.parametrize("field", sorted(PerformedProcedureStep.personal_fields))
    def test_cannot_be_found_by_personal_data(self, clinic: Client, item: WorklistItem, field: str) -> None:
        create_step(UID, scheduled_step(item), PatientID="9990000018")
        assert clinic.get(STEPS, {f"{field}__startswith": "9"}).status_code == 400
        assert "PPS1" not in page(clinic, STEPS, q="9990000018")

    @pytest.mark.parametrize("searched", ["ACC1", "PPS1", "1.2.3.9"])
    def test_is_found_by_its_identifiers(self, support: Client, item: WorklistItem, searched: str) -> None:
        create_step(UID, scheduled_step(item))
        assert "1 performed procedure step" in page(support, STEPS, q=searched)

    @pytest.mark.parametrize("model", ["performedprocedurestep", "mppsexception"])
    def test_cannot_be_added_or_changed(self, admin_client: Client, wrong_patient: MppsException, model: str) -> None:
        record = wrong_patient if model == "mppsexception" else wrong_patient.step
        assert admin_client.get(reverse(f"admin:worklist_{model}_add")).status_code == 403
        assert admin_client.post(url_of(record), {"resolution": "dismissed", "status": "COMPLETED"}).status_code == 403
        assert admin_client.post(reverse(f"admin:worklist_{model}_delete", args=[record.pk])).status_code == 403


class TestTheItemsPage:
    def test_has_its_steps_and_exceptions(self, support: Client, item: WorklistItem) -> None:
        assert "Performed" in page(support, detail(item))
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(ItemStatus.COMPLETED))
        create_step("1.2.3.10", scheduled_step(item), **ANOTHER)
        text = page(support, detail(item))
        assert "COMPLETED, 23 Nov 2026 14:31 to 23 Nov 2026 14:36, MAMMO1, 4 images" in text
        assert "Wrong patient: the item is another woman&#x27;s (open)" in text
        assert url_of(MppsException.objects.get()) in text
        assert [shown for shown in SHOWN if shown in text] == []

    def test_puts_a_discontinued_item_back_on_the_list(self, clinic: Client, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item))
        assert put_back_url(item) not in page(clinic, detail(item))
        set_step(UID, final_change(ItemStatus.DISCONTINUED))
        assert put_back_url(item) in page(clinic, detail(item))
        assert "its discontinued steps and its images no longer count" in page(clinic, put_back_url(item))
        assert status_of(item) == ItemStatus.DISCONTINUED
        text = clinic.post(put_back_url(item), follow=True).content.decode()
        assert "ACC1 is back on the list." in text
        assert "does not count: the item was put back on the list" in text
        assert status_of(item) == ItemStatus.SCHEDULED
        entries = AuditLog.objects.filter(object_id=item.pk, actor="admin:clinic")
        assert sorted(list(entry.after) for entry in entries) == [["put_back_at"], ["status"]]

    def test_says_which_item_is_on_the_list_in_place_of_one_put_back(self, clinic: Client, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(ItemStatus.DISCONTINUED))
        WorklistItem.objects.filter(pk=item.pk).update(appointment_id="appointment-1")
        same = {"appointment_id": "appointment-1", "patient_id": item.patient_id}
        WorklistItemFactory.create(accession_number="ACC2", **same)
        text = clinic.post(put_back_url(item), follow=True).content.decode()
        assert "ACC1 stays off the list: ACC2 is on it in its place." in text

    def test_says_why_an_item_cannot_be_put_back(self, clinic: Client, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(ItemStatus.COMPLETED))
        text = clinic.post(put_back_url(item), follow=True).content.decode()
        assert "Nothing has changed. It is COMPLETED: only a discontinued item can be put back" in text
        assert status_of(item) == ItemStatus.COMPLETED

    def test_needs_permission_to_put_an_item_back(self, support: Client, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(ItemStatus.DISCONTINUED))
        assert put_back_url(item) not in page(support, detail(item))
        assert [support.get(put_back_url(item)).status_code, support.post(put_back_url(item)).status_code] == [
            403,
            403,
        ]
        assert status_of(item) == ItemStatus.DISCONTINUED

    def test_shows_no_steps_without_permission(self, client: Client, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), **ANOTHER)
        user = User.objects.create_user("visitor", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename="view_worklistitem"))
        client.force_login(user)
        text = page(client, detail(item))
        assert "Wrong patient" not in text


class TestTheListOfExceptions:
    def test_has_wrong_patients_first(self, support: Client, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), **ANOTHER)
        create_step("1.2.3.10", unscheduled_step())
        create_step("1.2.3.11", by_number("GONE"))
        text = page(support, EXCEPTIONS)
        reasons = ("Wrong patient: the item", "Unknown accession number: no", "Unscheduled: the machine")
        positions = [text.index(reason, text.index("<tbody>")) for reason in reasons]
        assert positions == sorted(positions)
        assert [shown for shown in (*SHOWN[:-2], "9990000099", "KOWALSKA") if shown in text] == []

    def test_has_only_open_ones_by_default(self, clinic: Client) -> None:
        create_step(UID, unscheduled_step())
        assert "1 MPPS exception" in page(clinic, EXCEPTIONS)
        assert "0 MPPS exceptions" in page(clinic, EXCEPTIONS, state="closed", _facets="True")
        clinic.post(resolve_url("dismiss"), {"note": "a phantom"})
        assert "0 MPPS exceptions" in page(clinic, EXCEPTIONS)
        for state in ("closed", "all"):
            text = page(clinic, EXCEPTIONS, state=state)
            assert "1 MPPS exception" in text
            assert "admin:clinic" in text

    def test_needs_the_same_queries_for_more_rows(self, support: Client) -> None:
        counts = []
        for number in range(2):
            for step in range(20):
                create_step(f"1.2.{number}.{step}", unscheduled_step())
            with CaptureQueriesContext(connection) as queries:
                page(support, EXCEPTIONS)
            counts.append(len(queries))
        assert counts[0] == counts[1]


class TestAnExceptionsPage:
    def test_compares_the_report_with_the_item(self, support: Client, wrong_patient: MppsException) -> None:
        text = page(support, url_of(wrong_patient))
        assert detail(WorklistItem.objects.get()) in text
        assert url_of(wrong_patient.step) in text
        assert text.count("<td>ACC1</td>") == 2
        assert [shown for shown in (*SHOWN[:-2], "9990000099", "KOWALSKA") if shown in text] == []

    def test_shows_both_patients_with_permission(self, clinic: Client, wrong_patient: MppsException) -> None:
        text = page(clinic, url_of(wrong_patient))
        for title, reported, scheduled in (
            ("NHS number", "9990000099", "9990000018"),
            ("Name", "KOWALSKA^ANNA", "O&#x27;BRIEN-ŁUKASZ^ZOË"),
            ("Birth date", "19510203", "19430607"),
        ):
            assert f"<th>{title}</th><td>{reported}</td><td>{scheduled}</td><td><strong>differs</strong></td>" in text

    def test_links_to_items_with_the_reported_nhs_number(self, support: Client, item: WorklistItem) -> None:
        WorklistItemFactory.create(accession_number="ACC2")
        create_step(UID, unscheduled_step(), PatientID="999 000 0018")
        text = page(support, url_of(MppsException.objects.get()))
        assert detail(item) in text
        assert "ACC2" not in text

    def test_offers_the_possible_resolutions_with_permission(self, item: WorklistItem) -> None:
        create_step(UID, unscheduled_step())
        ways = {name: resolve_url(name) for name in ("link", "put_back", "dismiss")}
        exception = MppsException.objects.get()
        text = page(client_of("clinic"), url_of(exception))
        assert [name for name, url in ways.items() if url in text] == ["link", "dismiss"]
        text = page(client_of("support"), url_of(exception))
        assert [name for name, url in ways.items() if url in text] == []

    def test_offers_to_put_back_an_item_if_the_step_counts(self, clinic: Client, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), by_number("GONE"))
        assert resolve_url("put_back") in page(clinic, url_of(MppsException.objects.get()))

    @pytest.mark.parametrize("nobody", ["x", "00000000-0000-0000-0000-000000000000"])
    def test_of_an_unknown_exception_is_not_found(self, clinic: Client, nobody: str) -> None:
        assert clinic.get(f"{EXCEPTIONS}{nobody}/dismiss/").status_code in (302, 404)


class TestResolvingAnException:
    def test_by_linking_it_to_an_item(self, clinic: Client, item: WorklistItem) -> None:
        create_step(UID, unscheduled_step(), PatientID="9990000018")
        form = {"accession_number": "ACC1", "note": "typed by hand"}
        response = clinic.post(resolve_url("link"), form, follow=True)
        assert "Resolved: linked to an item." in response.content.decode()
        exception = MppsException.objects.get()
        assert (exception.resolution, exception.resolved_by, exception.note) == (
            "linked",
            "admin:clinic",
            "typed by hand",
        )
        assert status_of(item) == ItemStatus.IN_PROGRESS
        assert response.redirect_chain == [(url_of(exception), 302)]
        assert {
            each.actor for each in AuditLog.objects.filter(object_id__in=[exception.pk, item.pk], operation="update")
        } == {"admin:clinic"}

    def test_by_putting_the_item_back(self, clinic: Client, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), by_number("GONE"))
        text = clinic.post(resolve_url("put_back"), {"note": "the wrong button"}, follow=True).content.decode()
        assert "Resolved: the item was put back on the list." in text
        assert status_of(item) == ItemStatus.SCHEDULED

    def test_by_dismissing_it(self, clinic: Client, wrong_patient: MppsException, item: WorklistItem) -> None:
        text = clinic.post(resolve_url("dismiss"), {"note": "a phantom"}, follow=True).content.decode()
        assert "Resolved: dismissed." in text
        assert "a phantom" in text
        assert resolve_url("dismiss") not in text
        assert status_of(item) == ItemStatus.SCHEDULED

    @pytest.mark.parametrize(
        ("name", "form", "message"),
        [
            ("dismiss", {"note": " "}, "This field is required"),
            ("dismiss", {"note": "it was 999 000 0018"}, "look like an NHS number"),
            ("dismiss", {"note": "x" * 301}, "at most 300"),
            ("link", {"accession_number": ""}, "This field is required"),
            ("link", {"accession_number": "ACC9"}, "No worklist item has this accession number"),
            (
                "link",
                {"accession_number": "ACC1"},
                "Check that this is the same woman.",
            ),
        ],
    )
    def test_is_refused_with_the_reason(
        self, clinic: Client, wrong_patient: MppsException, name: str, form: dict[str, str], message: str
    ) -> None:
        response = clinic.post(resolve_url(name), form)
        assert response.status_code == 200
        assert message in response.content.decode()
        assert MppsException.objects.open().count() == 1

    def test_links_to_another_patient_after_confirmation(
        self, clinic: Client, wrong_patient: MppsException, item: WorklistItem
    ) -> None:
        clinic.post(resolve_url("link"), {"accession_number": "ACC1", "another_patient": "on"})
        assert status_of(item) == ItemStatus.IN_PROGRESS

    def test_is_not_possible_twice(self, clinic: Client, wrong_patient: MppsException) -> None:
        clinic.post(resolve_url("dismiss"), {"note": "first"})
        text = clinic.post(resolve_url("dismiss"), {"note": "second"}, follow=True).content.decode()
        assert "Nothing has changed. Somebody has already resolved it." in text
        assert MppsException.objects.get().note == "first"

    @pytest.mark.parametrize("name", ["link", "put_back", "dismiss"])
    def test_needs_permission(self, support: Client, wrong_patient: MppsException, name: str) -> None:
        form = {"accession_number": "ACC1", "another_patient": "on", "note": "x"}
        assert [support.get(resolve_url(name)).status_code, support.post(resolve_url(name), form).status_code] == [
            403,
            403,
        ]
        assert MppsException.objects.open().count() == 1

    def test_needs_a_csrf_token(self, wrong_patient: MppsException) -> None:
        client_of("clinic")
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(User.objects.get(username="clinic"))
        assert strict.post(resolve_url("dismiss"), {"note": "x"}).status_code == 403
        assert MppsException.objects.open().count() == 1

    @pytest.mark.parametrize("name", ["link", "put_back", "dismiss"])
    def test_is_not_done_by_get(self, clinic: Client, wrong_patient: MppsException, name: str) -> None:
        assert "csrfmiddlewaretoken" in page(clinic, resolve_url(name))
        assert MppsException.objects.open().count() == 1

    def test_shows_no_personal_data_without_permission_to_see_it(self, wrong_patient: MppsException) -> None:
        text = page(permit("support", "resolve_mppsexception"), resolve_url("link"))
        assert [shown for shown in (*SHOWN[:-2], "9990000099", "KOWALSKA") if shown in text] == []


class TestTheAlarm:
    @pytest.mark.parametrize(
        "where", ["index", "app_list", "worklist_mppsexception_changelist", "worklist_delivery_changelist"]
    )
    def test_is_on_the_pages_until_the_exception_is_resolved(
        self, clinic: Client, wrong_patient: MppsException, where: str
    ) -> None:
        url = reverse(f"admin:{where}", args=["worklist"] if where == "app_list" else [])
        assert ALARM in page(clinic, url)
        clinic.post(resolve_url("dismiss"), {"note": "a phantom"})
        assert 'role="alert"' not in page(clinic, url)

    def test_is_on_the_page_of_the_item(
        self, support: Client, wrong_patient: MppsException, item: WorklistItem
    ) -> None:
        assert ALARM in page(support, detail(item))

    def test_needs_permission_to_see_exceptions(self, client: Client, wrong_patient: MppsException) -> None:
        client.force_login(User.objects.create_user("visitor", is_staff=True))
        assert ALARM not in page(client, reverse("admin:index"))

    def test_is_not_raised_by_other_exceptions(self, support: Client) -> None:
        create_step(UID, unscheduled_step())
        assert 'role="alert"' not in page(support, EXCEPTIONS)
