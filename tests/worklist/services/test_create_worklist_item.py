"""Create worklist items by actions of Manage."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, time
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core import value_representations as vr
from core.contract import ActionRefused, ActionType, ErrorCode
from core.database import borrowed_connection
from core.models import AuditLog
from nonprod.manage_emulator import NAME
from tests.dicom.requests import illegal, request
from tests.factories import WorklistItemFactory, payload
from tests.worklist.services.executing import create, update
from worklist.item_fields import CONTENT
from worklist.models import WorklistItem
from worklist.query.response import ResponseOptions, response_for

pytestmark = pytest.mark.django_db


def refusal(content: dict[str, Any]) -> ActionRefused:
    """Execute a worklist.create_item that must be refused; return the refusal."""
    with pytest.raises(ActionRefused) as refused:
        create(content)
    return refused.value


def again(content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return another action with the same accession number."""
    return payload(**{**flat(content), **changes})


def flat(content: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a worklist item's payload by path."""
    item = content["parameters"]["worklist_item"]
    flattened = {"accession_number": item["accession_number"]}
    for group in ("participant", "scheduled", "procedure"):
        flattened |= {f"{group}__{name}": value for name, value in item[group].items()}
    return flattened


FULL = {
    "participant__address": "1 Long Lane^Leeds",
    "participant__weight": 70.5,
    "participant__comments": "uses a wheelchair\nand a hearing aid",
    "scheduled__station_ae_title": "MAMMO1",
    "scheduled__station_name": "Room one",
    "scheduled__location": "Leeds",
    "scheduled__performing_physician_name": "HOUSE^GREGORY",
    "procedure__code": "MGSCR",
    "procedure__coding_scheme": "L",
    "procedure__code_meaning": "Screening",
    "procedure__protocol_code": {"code": "4V", "coding_scheme": "L", "code_meaning": "Four views"},
}


class TestCreatingAnItem:
    def test_replies_created(self) -> None:
        content = payload()
        assert create(content) == {"status": "created", "action_id": content["action_id"]}

    def test_stores_what_was_sent(self) -> None:
        create(
            payload(
                accession_number="ACC202611231A2B",
                participant__birth_date="19700321",
                scheduled__date="20261123",
                scheduled__time="143000.25",
            )
        )
        item = WorklistItem.objects.get(accession_number="ACC202611231A2B")
        assert (item.patient_name, item.patient_id, item.patient_sex) == (NAME, "9990000018", "F")
        assert item.patient_birth_date == date(1970, 3, 21)
        assert (item.scheduled_date, item.scheduled_time) == (date(2026, 11, 23), time(14, 30, 0, 250000))
        assert (item.modality, item.study_description) == ("MG", "Screening Mammography")
        assert (item.status, item.correlation_id) == ("SCHEDULED", "0123456789abcdef")

    def test_stores_every_optional_value(self) -> None:
        create(payload(**FULL))
        item = WorklistItem.objects.get()
        assert all(getattr(item, field.name) not in ("", None) for field in CONTENT)
        assert (item.patient_weight, item.protocol_code_meaning) == ("70.5", "Four views")

    @pytest.mark.parametrize("empty", ["", None])
    def test_accepts_an_empty_optional_value(self, empty: str | None) -> None:
        content = payload()
        content["parameters"]["worklist_item"]["scheduled"] |= {"station_name": empty, "location": empty}
        content["parameters"]["worklist_item"]["procedure"] |= {"protocol_code": empty}
        assert create(content)["status"] == "created"
        assert WorklistItem.objects.get().station_name == ""

    @pytest.mark.parametrize(("sent", "kept"), [("1430", time(14, 30)), ("14", time(14)), ("143015", time(14, 30, 15))])
    def test_accepts_a_short_time(self, sent: str, kept: time) -> None:
        create(payload(scheduled__time=sent))
        assert WorklistItem.objects.get().scheduled_time == kept

    @pytest.mark.parametrize(
        ("sent", "kept"),
        [("F", "F"), ("M", "M"), ("O", "O"), ("", ""), (None, ""), ("f", ""), ("U", ""), ("N", ""), ("Female", "")],
    )
    def test_stores_a_sex_that_dicom_has_and_drops_others(self, sent: str | None, kept: str) -> None:
        content = payload()
        content["parameters"]["worklist_item"]["participant"]["sex"] = sent
        assert create(content)["status"] == "created"
        assert WorklistItem.objects.get().patient_sex == kept

    def test_drops_spaces_around_values(self) -> None:
        create(payload(accession_number=" A1 ", participant__nhs_number=" 999 000 0018 ", procedure__modality="MG "))
        item = WorklistItem.objects.get()
        assert (item.accession_number, item.patient_id, item.modality) == ("A1", "999 000 0018", "MG")

    @pytest.mark.parametrize("weight", [70.5, 70, 0.1 + 0.2, 1e-7, 1e-300, 999.99999999999, "70.5"])
    def test_stores_any_weight_in_16_characters(self, weight: float | str) -> None:
        create(payload(participant__weight=weight))
        assert vr.is_ds(WorklistItem.objects.get().patient_weight)

    def test_is_the_same_for_a_test_item(self) -> None:
        content = payload()
        content["action_type"] = "worklist.create_test_item"
        assert create(content)["status"] == "created"


class TestIdentifiers:
    def test_are_generated(self) -> None:
        create(payload())
        item = WorklistItem.objects.get()
        assert re.fullmatch(r"2\.25\.[1-9][0-9]*", item.study_instance_uid)
        assert vr.is_ui(item.study_instance_uid)
        assert re.fullmatch(r"RP[2-9A-Z]{14}", item.requested_procedure_id)
        assert re.fullmatch(r"SP[2-9A-Z]{14}", item.scheduled_procedure_step_id)

    @pytest.mark.parametrize("name", ["study_instance_uid", "requested_procedure_id", "scheduled_procedure_step_id"])
    def test_are_unique(self, name: str) -> None:
        for number in range(50):
            create(payload(accession_number=f"A{number}"))
        assert len(set(WorklistItem.objects.values_list(name, flat=True))) == 50

    def test_that_are_sent_are_kept(self) -> None:
        given_ids = {
            "study_instance_uid": "1.2.826.0.1",
            "requested_procedure_id": "RP-1",
            "scheduled_procedure_step_id": "SPS-1",
        }
        create(payload(**given_ids))
        assert WorklistItem.objects.values(*given_ids).get() == given_ids

    def test_never_change(self) -> None:
        content = payload()
        create(content)
        before = WorklistItem.objects.values().get()
        create(again(content))
        assert WorklistItem.objects.values().get() == before


class TestAnExistingItem:
    def test_exists_when_the_content_is_the_same(self) -> None:
        content = payload(**FULL)
        create(content)
        second = again(content)
        assert create(second) == {"status": "exists", "action_id": second["action_id"]}
        assert WorklistItem.objects.count() == 1

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ({"scheduled__time": "1430"}, {"scheduled__time": "143000.000"}),
            ({"participant__sex": "U"}, {"participant__sex": ""}),
            ({"participant__nhs_number": "1"}, {"participant__nhs_number": " 1 "}),
            ({"procedure__study_description": ""}, {"procedure__study_description": None}),
        ],
    )
    def test_exists_when_the_content_means_the_same(self, first: dict[str, Any], second: dict[str, Any]) -> None:
        content = payload(**first)
        create(content)
        assert create(again(content, **second))["status"] == "exists"

    def test_exists_whatever_its_status(self) -> None:
        content = payload()
        create(content)
        update(content["parameters"]["worklist_item"]["accession_number"], "COMPLETED")
        assert create(again(content))["status"] == "exists"

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("participant__nhs_number", "9990000026"),
            ("participant__name", "JONES^MARY"),
            ("participant__birth_date", "19700322"),
            ("participant__sex", "M"),
            ("participant__weight", 71),
            ("scheduled__date", "20300101"),
            ("scheduled__time", "000100.5"),
            ("scheduled__station_ae_title", "MAMMO2"),
            ("procedure__modality", "CT"),
            ("procedure__study_description", "Assessment"),
            ("procedure__protocol_code", {"code": "2V"}),
        ],
    )
    def test_is_a_conflict_if_a_value_differs_and_the_message_has_no_values(self, path: str, value: Any) -> None:
        content = payload(**FULL)
        create(content)
        refused = refusal(again(content, **{path: value}))
        assert refused.code is ErrorCode.ACCESSION_CONFLICT
        assert path.replace("__", ".") in refused.message
        known = {**flat(content), "new": value}.values()
        assert not [text for text in map(str, known) if len(text) > 2 and text in refused.message]

    def test_is_a_conflict_that_names_exactly_the_fields_that_differ(self) -> None:
        content = payload()
        create(content)
        message = refusal(again(content, participant__name="A", scheduled__date="20300101")).message
        assert "with a different participant.name, scheduled.date;" in message

    def test_is_a_conflict_when_an_identifier_differs(self) -> None:
        content = payload(study_instance_uid="1.2.3")
        create(content)
        assert "study_instance_uid" in refusal(again(content, study_instance_uid="1.2.4")).message
        assert create(again(content))["status"] == "exists"

    @pytest.mark.parametrize(
        ("first", "second"),
        [(ActionType.CREATE_TEST_ITEM, ActionType.CREATE_ITEM), (ActionType.CREATE_ITEM, ActionType.CREATE_TEST_ITEM)],
    )
    def test_is_a_conflict_when_one_is_a_test_item_and_the_other_a_patients(
        self, first: ActionType, second: ActionType
    ) -> None:
        content = payload()
        create({**content, "action_type": first})
        assert "with a different action_type;" in refusal({**again(content), "action_type": second}).message

    def test_is_not_changed_by_a_conflict(self) -> None:
        content = payload()
        create(content)
        before = WorklistItem.objects.values().get()
        refusal(again(content, participant__name="JONES^MARY"))
        assert WorklistItem.objects.values().get() == before
        assert AuditLog.objects.count() == 1


class TestTheSameAccessionNumberAtTheSameTime:
    @pytest.mark.django_db(transaction=True)
    def test_is_created_once_and_exists_once(self) -> None:
        content = payload()
        actions = [content, again(content)]
        barrier = threading.Barrier(len(actions))

        def run(one: dict[str, Any]) -> str:
            with borrowed_connection():
                barrier.wait(10)
                return str(create(one)["status"])

        with ThreadPoolExecutor(len(actions)) as pool:
            assert sorted(pool.map(run, actions)) == ["created", "exists"]
        assert WorklistItem.objects.count() == AuditLog.objects.count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_with_other_content_is_created_once_and_refused_once(self) -> None:
        content = payload()
        actions = [content, again(content, participant__name="JONES^MARY")]
        barrier = threading.Barrier(len(actions))

        def run(one: dict[str, Any]) -> str:
            with borrowed_connection():
                barrier.wait(10)
                try:
                    return str(create(one)["status"])
                except ActionRefused as refused:
                    return refused.code.value

        with ThreadPoolExecutor(len(actions)) as pool:
            assert sorted(pool.map(run, actions)) == ["accession_conflict", "created"]


class TestTheAuditLog:
    def test_has_a_row_for_a_new_item(self) -> None:
        create(payload(accession_number="ACC1"))
        row = AuditLog.objects.get()
        assert (row.operation, row.actor, row.object_type) == (
            "create",
            "relay:manage-breast-screening",
            "worklist.worklistitem",
        )
        assert (row.object_id, row.correlation_id) == (WorklistItem.objects.get().pk, "0123456789abcdef")
        assert (row.before, row.after["accession_number"]) == ({}, "ACC1")

    def test_has_no_row_for_an_existing_item(self) -> None:
        content = payload()
        create(content)
        create(again(content))
        assert AuditLog.objects.count() == 1

    def test_has_a_row_with_the_old_and_new_status(self) -> None:
        item = WorklistItemFactory.create()
        update(item.accession_number, "IN PROGRESS")
        row = AuditLog.objects.get()
        assert (row.operation, row.object_id) == ("update", item.pk)
        assert row.before == {"cloud_status": "SCHEDULED", "status": "SCHEDULED"}
        assert row.after == {"cloud_status": "IN PROGRESS", "status": "IN PROGRESS"}

    def test_has_no_row_for_no_change(self) -> None:
        item = WorklistItemFactory.create(status="COMPLETED", cloud_status="COMPLETED")
        update(item.accession_number, "COMPLETED")
        assert not AuditLog.objects.exists()

    def test_has_no_personal_data(self) -> None:
        content = payload(**FULL, participant__birth_date="19430607", participant__sex="O")
        create(content)
        update(content["parameters"]["worklist_item"]["accession_number"], "COMPLETED")
        written = json.dumps(list(AuditLog.objects.values()), default=str, ensure_ascii=False)
        item = WorklistItem.objects.get()
        personal = [str(getattr(item, name)) for name in WorklistItem.personal_fields]
        assert all(personal)
        assert not [value for value in personal if len(value) > 1 and value in written]
        assert not [name for name in WorklistItem.personal_fields if f'"{name}"' in written]


# Whatever Manage sends ----------------------------------------------------------------------------------------------

CHARACTERS = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="\\")
LO = st.text(CHARACTERS, min_size=1, max_size=64).filter(vr.is_text)
SH = st.text(CHARACTERS, min_size=1, max_size=16).filter(vr.is_text)
PN = st.text(CHARACTERS, min_size=1, max_size=64).filter(vr.is_pn) | st.sampled_from(
    ["LEE^ANN=李^安", "😀", "É" * 64, "A^B^C^D^E", "=".join(["É" * 64] * 3), "=李", "O'BRIEN-ŁUKASZ^ZOË"]
)
PAYLOADS = st.fixed_dictionaries(
    {
        "participant__name": PN,
        "participant__nhs_number": LO,
        "procedure__modality": st.text("MG_ 1", min_size=1, max_size=16).filter(vr.is_cs),
        "scheduled__time": st.sampled_from(["00", "2359", "235959.999999", "120000.5"]),
    },
    optional={
        "participant__sex": st.text(max_size=3),
        "participant__weight": st.floats(0, 999, exclude_min=True) | st.integers(1, 999),
        "participant__comments": st.text(CHARACTERS, max_size=200).filter(vr.is_long_text),
        "scheduled__station_ae_title": st.text("MAMMO 1^", min_size=1, max_size=16).filter(vr.is_ae),
        "scheduled__station_name": SH,
        "scheduled__performing_physician_name": PN,
        "procedure__study_description": LO,
        "procedure__code": SH,
        "procedure__coding_scheme": SH,
        "procedure__code_meaning": LO,
        "requested_procedure_id": SH,
    },
)


class TestWhateverManageSends:
    @hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(values=PAYLOADS)
    def test_becomes_an_item_with_a_legal_response(self, values: dict[str, Any]) -> None:
        with transaction.atomic():
            assert create(payload(**values))["status"] == "created"
            item = WorklistItem.objects.get()
            transaction.set_rollback(True)
        assert illegal(response_for(item, request(), ResponseOptions("MAMMO1", UTC))) == []
