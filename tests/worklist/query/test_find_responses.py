"""The checks R1 to R23 of C-FIND responses (PS3.4 K.4.1.1.3.2), over the network."""

import random
from datetime import date, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode
from pytest_django import Settings

from core.contract import ActionRefused, validate
from dicom.models import Modality
from nonprod.manage_emulator import create_item_action
from tests.dicom.requests import Answer, Unit, dataset, find, illegal, keywords, request, step_of
from tests.dicom.serving import port_of, serving
from tests.factories import WorklistItemFactory, create, item_of_an_action, set_at
from tests.worklist_fixtures import LogLines
from worklist.item_fields import CONTENT, IDENTIFIERS
from worklist.models import WorklistItem
from worklist.query.information_model import ROOT, STEP, STEP_SEQUENCE
from worklist.query.response import ResponseOptions, response_for
from worklist.services.create_worklist_item import new_identifiers

pytestmark = pytest.mark.once

FF00, FF01 = 0xFF00, 0xFF01
A001 = "ACC20260310A001"
TYPE_1 = {
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "ScheduledProcedureStepID",
    "Modality",
}
CODE = {"procedure_code": "MGSCR", "procedure_coding_scheme": "L", "procedure_code_meaning": "Screening"}
PROTOCOL = {"protocol_code": "4V", "protocol_coding_scheme": "L", "protocol_code_meaning": "Four views"}


def one_row(unit: Unit, identifier: Dataset) -> Dataset:
    """Return the only row of the answer."""
    (row,) = unit.ask(identifier).rows
    return row


def all_keys(*types: str) -> tuple[dict[str, None], dict[str, None]]:
    """Return the zero-length keys of these return types, those of the root and those of the step."""
    root, step = (
        {row.keyword: None for row in table if row.return_type in types and row.keyword != STEP_SEQUENCE}
        for table in (ROOT, STEP)
    )
    return root, step


class TestWhatIsReturned:
    def test_r1_the_requested_attributes_are_returned(self, unit: Unit) -> None:
        create(accession_number=A001)
        row = one_row(unit, request(dataset(Modality=""), AccessionNumber=A001))
        assert keywords(row) == {"AccessionNumber", STEP_SEQUENCE}
        assert keywords(step_of(row)) == {"Modality"}

    @pytest.mark.parametrize("steps", [[], [dataset()]], ids=["no item", "an empty item"])
    def test_r2_an_empty_step_sequence_returns_the_whole_step(self, unit: Unit, steps: list[Dataset]) -> None:
        create(accession_number=A001)
        step = step_of(one_row(unit, request(ScheduledProcedureStepSequence=steps, AccessionNumber=A001)))
        assert all(step[keyword].value for keyword in TYPE_1)

    def test_r3_an_item_from_manage_has_all_of_type_1(self, unit: Unit) -> None:
        item = item_of_an_action()
        root, step = all_keys("1", "2")
        row = one_row(unit, request(dataset(**step), SpecificCharacterSet="ISO_IR 192", **root))
        assert row.StudyInstanceUID == item.study_instance_uid
        assert row.RequestedProcedureID == item.requested_procedure_id
        assert step_of(row).ScheduledProcedureStepID == item.scheduled_procedure_step_id
        assert step_of(row).ScheduledStationAETitle == "MAMMO1"
        assert (str(row.PatientName), row.PatientID) == ("O'BRIEN-ŁUKASZ^ZOË", "9990000018")
        assert root.keys() | step.keys() <= keywords(row) | keywords(step_of(row))
        assert illegal(row) == []
        of_type_1 = {each.keyword for each in (*ROOT, *STEP) if each.return_type == "1"} - {STEP_SEQUENCE}
        assert of_type_1 == {*TYPE_1, "StudyInstanceUID", "RequestedProcedureID", "PatientName", "PatientID"}
        assert all((row.get(keyword) or step_of(row).get(keyword)) for keyword in of_type_1)

    def test_r4_identifiers_are_the_same_twice_and_after_a_restart(self, unit: Unit) -> None:
        item_of_an_action()
        asked = request(dataset(ScheduledProcedureStepID=""), StudyInstanceUID="", RequestedProcedureID="")
        once, twice = unit.ask(asked).rows, unit.ask(asked).rows
        with serving() as restarted:
            after = Unit(port_of(restarted)).ask(asked).rows
        assert len(once) == 1
        assert once == twice == after

    def test_r5_every_attribute_of_type_2_is_present(self, unit: Unit) -> None:
        create()
        root, step = all_keys("2", "2C")
        row = one_row(unit, request(dataset(**step), **root))
        assert keywords(row) == {*root, STEP_SEQUENCE}
        assert keywords(step_of(row)) == set(step)

    @pytest.mark.parametrize("known", [{}, {"study_description": ""}, {"study_description": "", **CODE}], ids=str)
    @pytest.mark.parametrize(
        "asked",
        [
            request(RequestedProcedureDescription=""),
            request(RequestedProcedureDescription="", RequestedProcedureCodeSequence=[]),
        ],
        ids=["a description", "both"],
    )
    def test_r6_there_is_a_description_or_a_code(self, unit: Unit, known: dict[str, str], asked: Dataset) -> None:
        create(**known)
        row = one_row(unit, asked)
        assert row.RequestedProcedureDescription or row.RequestedProcedureCodeSequence

    @pytest.mark.parametrize("asked", [[], [dataset()], [dataset(CodeValue="", CodingSchemeDesignator="")]])
    def test_r7_an_unknown_code_is_a_zero_length_sequence(self, unit: Unit, asked: list[Dataset]) -> None:
        create()
        step = dataset(ScheduledProtocolCodeSequence=asked)
        row = one_row(unit, request(step, RequestedProcedureCodeSequence=asked))
        assert len(row.RequestedProcedureCodeSequence) == 0
        assert len(step_of(row).ScheduledProtocolCodeSequence) == 0

    def test_r8_the_requested_attributes_of_a_code_are_returned(self, unit: Unit) -> None:
        create(**CODE, **PROTOCOL)
        whole = dataset(CodeValue="", CodingSchemeDesignator="", CodeMeaning="")
        step = dataset(ScheduledProtocolCodeSequence=[dataset(CodeMeaning="", CodingSchemeVersion="")])
        answer = unit.ask(request(step, RequestedProcedureCodeSequence=[whole]))
        (code,) = answer.rows[0].RequestedProcedureCodeSequence
        assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("MGSCR", "L", "Screening")
        (protocol,) = step_of(answer.rows[0]).ScheduledProtocolCodeSequence
        assert keywords(protocol) == {"CodeMeaning"}
        assert answer.statuses == [FF00, 0x0000]

    @pytest.mark.parametrize("day", [date(2026, 3, 10), date(2026, 7, 10)])
    def test_r12_a_character_set_is_named_only_if_one_is_needed(self, unit: Unit, day: date) -> None:
        create(patient_name="MÜLLER", scheduled_date=day)
        for keyword, named in (("PatientID", False), ("PatientName", True)):
            asked = request(SpecificCharacterSet="ISO_IR 100", TimezoneOffsetFromUTC="", **{keyword: ""})
            row = one_row(unit, asked)
            assert ("SpecificCharacterSet" in row) is named
            assert row.get("SpecificCharacterSet", "ISO_IR 100") == "ISO_IR 100"
            assert row.TimezoneOffsetFromUTC

    @pytest.mark.parametrize(("day", "offset"), [("2026-03-10", "+0000"), ("2026-07-10", "+0100")])
    def test_r13_the_timezone_offset_is_the_clinics_on_that_day(self, unit: Unit, day: str, offset: str) -> None:
        create(scheduled_date=date.fromisoformat(day))
        assert one_row(unit, request(TimezoneOffsetFromUTC="", PatientID="")).TimezoneOffsetFromUTC == offset

    def test_r14_rows_come_by_date_and_time(self, unit: Unit) -> None:
        moments = [(11, time(9)), (10, time(10)), (10, time(9, 30)), (10, time(9)), (9, time(23))]
        for day, at in moments:
            create(scheduled_date=date(2026, 3, day), scheduled_time=at)
        rows = unit.ask(request(dataset(ScheduledProcedureStepStartDate="", ScheduledProcedureStepStartTime=""))).rows
        times = [
            step_of(row).ScheduledProcedureStepStartDate[-2:] + step_of(row).ScheduledProcedureStepStartTime
            for row in rows
        ]
        assert times == ["09230000", "10090000", "10093000", "10100000", "11090000"]


class TestStatuses:
    @pytest.mark.parametrize(
        "unsupported",
        [
            {"AdmissionID": "123"},
            {"PatientWeight": "70"},
            {"PatientSize": "1.7"},
            {"EthnicGroup": ""},
            {"StudyDate": ""},
            {"IssuerOfPatientID": ""},
            {"OtherPatientIDsSequence": []},
            {"RequestedProcedureCodeSequence": [dataset(CodeValue="MGSCR")]},
        ],
        ids=str,
    )
    def test_r10_every_row_is_ff01_if_a_key_is_not_supported(self, unit: Unit, unsupported: dict[str, Any]) -> None:
        WorklistItemFactory.create_batch(2)
        answer = unit.ask(request(PatientName="", **unsupported))
        assert answer.statuses == [FF01, FF01, 0x0000]

    def test_r10_the_unsupported_key_is_returned_empty(self, unit: Unit) -> None:
        create()
        assert one_row(unit, request(AdmissionID="123", PatientName=""))["AdmissionID"].is_empty

    def test_r11_every_row_is_ff00_if_all_keys_are_supported(self, unit: Unit) -> None:
        WorklistItemFactory.create_batch(2)
        root, step = all_keys("1", "1C", "2", "2C")
        identifier = request(dataset(**step | {"Modality": "MG"}), **root | {"PatientName": "SMITH*"})
        assert unit.ask(identifier).statuses == [FF00, FF00, 0x0000]

    def test_rows_without_a_requested_comment_are_ff01(self, unit: Unit) -> None:
        create(scheduled_time=time(9), patient_comments="Bring the pictures")
        create(scheduled_time=time(10))
        answer = unit.ask(request(dataset(CommentsOnTheScheduledProcedureStep="")))
        assert answer.statuses == [FF00, FF01, 0x0000]
        assert step_of(answer.rows[0]).CommentsOnTheScheduledProcedureStep == "Bring the pictures"
        assert "CommentsOnTheScheduledProcedureStep" not in step_of(answer.rows[1])

    def test_r15_no_match_is_a_success_alone(self, unit: Unit) -> None:
        create()
        answer = unit.ask(request(AccessionNumber="NONE"))
        assert (answer.statuses, answer.rows) == ([0x0000], [])

    @pytest.mark.parametrize(
        ("identifier", "tag"),
        [
            (request(dataset(ScheduledProcedureStepStartDate="20261345")), 0x00400002),
            (request(dataset(ScheduledProcedureStepStartDate="2026.03.11")), 0x00400002),
            (request(dataset(ScheduledProcedureStepStartTime="2500")), 0x00400003),
            (request(dataset(ScheduledProcedureStepStartTime="SMITH^JANE")), 0x00400003),
            (request(PatientBirthDate="9990000001"), 0x00100030),
            (request(PatientBirthDate="SMITH^JANE"), 0x00100030),
            (request(dataset(), dataset()), 0x00400100),
            (request(dataset(Modality="MG"), dataset(Modality="MG")), 0x00400100),
        ],
    )
    def test_r16_an_invalid_key_is_a900_with_its_tag_and_without_its_value(
        self, unit: Unit, identifier: Dataset, tag: int
    ) -> None:
        create()
        answer = unit.ask(identifier)
        assert (answer.statuses, answer.rows) == ([0xA900], [])
        assert answer.final.OffendingElement == tag
        assert 0 < len(answer.final.ErrorComment) <= 64
        assert not [value for value in ("SMITH", "9990000001") if value in answer.final.ErrorComment]


class TestOddKeys:
    def with_a_private_key(self) -> Dataset:
        """Return an identifier with a private return key."""
        identifier = request(PatientID="1", PatientName="")
        identifier.add_new(0x00091010, "LO", "")
        return identifier

    @pytest.mark.parametrize("value", ["", "MAKER"])
    def test_r17_a_private_key_is_ignored(self, unit: Unit, value: str) -> None:
        create(patient_id="1")
        identifier = self.with_a_private_key()
        identifier[0x00091010].value = value
        answer = unit.ask(identifier)
        assert answer.statuses == [FF00, 0x0000]
        assert keywords(answer.rows[0]) == {"PatientID", "PatientName"}

    def test_r17_a_retired_key_does_not_filter(self, unit: Unit) -> None:
        create(patient_id="1")
        assert unit.ask(request(PatientID="1", OtherPatientIDs="")).statuses == [FF01, 0x0000]

    def test_r17_a_lone_star_is_universal(self, unit: Unit) -> None:
        create(patient_id="1", patient_comments="Wheelchair")
        answer = unit.ask(request(dataset(CommentsOnTheScheduledProcedureStep="*"), PatientID="1", PatientName=""))
        assert answer.statuses == [FF00, 0x0000]
        assert step_of(answer.rows[0]).CommentsOnTheScheduledProcedureStep == "Wheelchair"


def corrupt(item: WorklistItem, value: str) -> None:
    """Write bytes that are not text into a field, past all checks, as far as the database allows."""
    raw = "CAST(x'534D495448FF07' AS TEXT)" if connection.vendor == "sqlite" else "'SMITH' || chr(7)"
    key = item.pk.hex if connection.vendor == "sqlite" else item.pk
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE worklist_worklistitem SET {value} = {raw} WHERE id = %s", [key])


class TestACorruptItem:
    @pytest.mark.parametrize(
        ("values", "keyword"),
        [
            ({"study_instance_uid": "letters"}, "StudyInstanceUID"),
            ({"study_instance_uid": "1.02.3"}, "StudyInstanceUID"),
            ({"patient_name": "SMITH\x07"}, "PatientName"),
            ({"patient_name": "SMITH\\JANE"}, "PatientName"),
            ({"patient_name": "A" * 65}, "PatientName"),
            ({"patient_name": "^^=="}, "PatientName"),
            ({"modality": "mg"}, "Modality"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=["implicit", "explicit"])
    def test_r18_costs_no_other(
        self, unit: Unit, log: LogLines, values: dict[str, str], keyword: str, syntax: Any
    ) -> None:
        for number in "ABC":
            create(accession_number=number, **values if number == "B" else {})
        with unit.associated([syntax]) as association:
            answer = find(association, request(QueryRetrieveLevel="SCHEDULED"))
        assert (answer.accession_numbers, answer.statuses[-1]) == (["A", "C"], 0x0000)
        assert vars(log.wait_for("item left out: illegal value"))["attribute"] == keyword

    def test_r18_with_bytes_that_are_not_text_costs_no_other(self, unit: Unit, log: LogLines) -> None:
        items = [create(accession_number=number) for number in "ABC"]
        corrupt(items[1], "patient_name")
        answer = unit.ask(request(QueryRetrieveLevel="SCHEDULED"))
        assert (answer.accession_numbers, answer.statuses[-1]) == (["A", "C"], 0x0000)
        assert vars(log.wait_for("item left out: illegal value"))["attribute"] == "PatientName"


class TestTheStation:
    def test_r19_of_an_item_without_one_is_the_requestors_ae_title(self, unit: Unit) -> None:
        create(station_ae_title="")
        row = one_row(Unit(unit.port, "HOLOGIC1"), request(dataset(ScheduledStationAETitle="HOLOGIC1")))
        assert step_of(row).ScheduledStationAETitle == "HOLOGIC1"

    @pytest.mark.parametrize(("own_list_only", "found"), [(True, []), (False, ["OTHER"])])
    def test_r20_another_stations_items_are_hidden_from_a_modality_with_its_own_list_only(
        self, transactional_db: None, own_list_only: bool, found: list[str]
    ) -> None:
        Modality.objects.create(ae_title="HOLOGIC1", own_list_only=own_list_only)
        create(accession_number="OTHER", station_ae_title="HOLOGIC2")
        with serving() as running:
            asked = request(dataset(ScheduledStationAETitle=""), AccessionNumber="")
            assert Unit(port_of(running), "HOLOGIC1").ask(asked).accession_numbers == found


class TestImproperRequests:
    def test_r21_a_query_retrieve_level_alone_returns_whole_items(self, unit: Unit) -> None:
        create()
        answer = unit.ask(request(QueryRetrieveLevel="SCHEDULED"))
        assert answer.statuses == [FF00, 0x0000]
        assert all(
            answer.rows[0].get(keyword)
            for keyword in ("PatientID", "PatientName", "AccessionNumber", "StudyInstanceUID")
        )

    def test_r22_a_patient_id_alone_returns_the_whole_item(self, unit: Unit) -> None:
        create(patient_id="9990000001")
        create(patient_id="9990000002")
        row = one_row(unit, request(PatientID="9990000001"))
        assert row.PatientName
        assert row.StudyInstanceUID
        assert step_of(row).Modality == "MG"

    def test_r23_a_patient_id_and_a_return_key_return_those_two(self, unit: Unit) -> None:
        create(patient_id="9990000001")
        assert keywords(one_row(unit, request(PatientID="9990000001", PatientName=""))) == {"PatientID", "PatientName"}


class TestMatchingOptions:
    @pytest.mark.parametrize(("folds", "found"), [(False, ["PLAIN"]), (True, ["MÜLLER", "PLAIN"])])
    def test_accents_count_unless_configured_otherwise(
        self, unit: Unit, settings: Settings, folds: bool, found: list[str]
    ) -> None:
        settings.MWL_FOLD_ACCENTS = folds
        create(accession_number="MÜLLER", patient_name="MÜLLER^ŁUCJA")
        create(accession_number="PLAIN", patient_name="MULLER^LUCJA")
        assert sorted(unit.ask(request(PatientName="muller^luc*", AccessionNumber="")).accession_numbers) == found

    @pytest.mark.parametrize(("finds", "found"), [(False, []), (True, [A001])])
    def test_a_procedure_id_finds_an_accession_number_if_configured(
        self, unit: Unit, settings: Settings, finds: bool, found: list[str]
    ) -> None:
        settings.MWL_PROCEDURE_ID_FINDS_ACCESSION = finds
        create(accession_number=A001, requested_procedure_id="RP1")
        assert unit.ask(request(RequestedProcedureID=A001, AccessionNumber="")).accession_numbers == found
        assert unit.ask(request(RequestedProcedureID="RP1", AccessionNumber="")).accession_numbers == [A001]

    def test_the_issuer_of_the_patient_id_is_the_configured_one(self, unit: Unit, settings: Settings) -> None:
        settings.MWL_ISSUER_OF_PATIENT_ID = "NHS"
        create()
        answer = unit.ask(request(IssuerOfPatientID="", PatientID=""))
        assert (answer.rows[0].IssuerOfPatientID, answer.statuses[0]) == ("NHS", FF00)

    def test_without_a_configured_issuer_the_status_is_ff01(self, unit: Unit) -> None:
        create()
        answer: Answer = unit.ask(request(IssuerOfPatientID="", PatientID=""))
        assert ("IssuerOfPatientID" in answer.rows[0], answer.statuses[0]) == (False, FF01)


# R9: whatever Manage sends ---------------------------------------------------------------------------------------

NASTY = [
    "\\",
    "=",
    "^",
    "\n",
    "😀",
    "é",
    "Ł",
    "李",
    "'",
    " ",
    "\0",
    "\x1b",
    "\u2028",
    "\ud800",
    "A",
    "b",
    "0",
    "-",
    "?",
    "*",
]
OTHERS: list[Any] = [None, 0, -1.5, True, [], {}, "F", "mg", "MG", "20260310", "093000", "240000", "1.2.3", "70.5"]


def random_payload(dice: random.Random) -> dict[str, Any]:
    """Return an action of Manage with some values replaced by random ones."""
    action = create_item_action()
    item = action["parameters"]["worklist_item"]
    for path in dice.sample(
        sorted([*(field.path for field in (*CONTENT, *IDENTIFIERS)), "accession_number"]), dice.randint(0, 4)
    ):
        length = dice.choice([0, 1, 2, 10, 16, 17, 64, 65, 200])
        text = "".join(dice.choices(NASTY if dice.random() < 0.3 else NASTY[4:10], k=length))
        set_at(item, path.replace(".", "__"), dice.choice([text, text, text, dice.choice(OTHERS)]))
    return action


def item_of(action: dict[str, Any]) -> WorklistItem:
    """Return the item that an action makes, without a database, as there are thousands of them."""
    sent = action["parameters"]["worklist_item"]
    content = {field.name: field.read(sent) for field in CONTENT}
    given = {field.name: value for field in IDENTIFIERS if (value := field.read(sent))}
    identifiers = {**new_identifiers(), **given}
    return WorklistItem(accession_number=sent["accession_number"].strip(), **content, **identifiers)


class TestRandomActions:
    def test_r9_are_refused_or_become_responses_of_legal_values(self, factor: int) -> None:
        dice, taken = random.Random(9), 0
        for _ in range(2_000 * factor):
            action = random_payload(dice)
            try:
                validate(action)
            except ActionRefused:
                continue
            taken += 1
            response = response_for(item_of(action), request(), ResponseOptions("MAMMO1", ZoneInfo("Europe/London")))
            assert illegal(response) == []
            assert encode(response, is_implicit_vr=True, is_little_endian=True)
        assert taken > 400 * factor
