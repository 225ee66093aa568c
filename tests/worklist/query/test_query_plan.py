"""A plan is kept for the queries that are the same in everything it depends on, and for no other."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode
from pytest_django import Settings

from dicom.failures import UnreadableDataSet
from dicom.modality_policy import ModalityPolicy
from dicom.models import Modality
from tests.dicom.requests import Unit, dataset, request, step_of
from tests.dicom.serving import port_of, serving
from tests.factories import create
from worklist.models import WorklistQuery
from worklist.query.find import WorklistContext
from worklist.query.information_model import MatchingOptions
from worklist.query.matching import BadKey
from worklist.query.query_plan import KEPT, LONGEST, LONGEST_KEPT, QueryPlan, query_plan, read_identifier
from worklist.query.response import ResponseOptions

ASKED = request(dataset(Modality="MG"), AccessionNumber="", PatientName="MULLER*")
OPTIONS = ResponseOptions("MAMMO1", ZoneInfo("Europe/London"))
POLICY = ModalityPolicy()


def encoded(identifier: Dataset, syntax: Any = ImplicitVRLittleEndian) -> bytes:
    """Encode an identifier."""
    raw = encode(identifier, syntax.is_implicit_VR, is_little_endian=True)
    assert raw
    return raw


def plan_of(
    identifier: Dataset = ASKED,
    syntax: Any = ImplicitVRLittleEndian,
    policy: ModalityPolicy = POLICY,
    options: ResponseOptions = OPTIONS,
) -> QueryPlan:
    """Return the plan of a query."""
    return query_plan(read_identifier(encoded(identifier, syntax), str(syntax)), policy, options)


class TestAPlan:
    def test_is_kept_for_the_next_query_that_is_the_same(self) -> None:
        assert plan_of() is plan_of()

    @pytest.mark.parametrize(
        "other",
        [
            lambda: plan_of(request(dataset(Modality="CT"), AccessionNumber="", PatientName="MULLER*")),
            lambda: plan_of(syntax=ExplicitVRLittleEndian),
            lambda: plan_of(policy=replace(POLICY, own_list_only=True)),
            lambda: plan_of(options=replace(OPTIONS, calling_ae_title="MAMMO2")),
            lambda: plan_of(options=replace(OPTIONS, zone=ZoneInfo("Asia/Tokyo"))),
            lambda: plan_of(options=replace(OPTIONS, character_set="ISO_IR 100")),
            lambda: plan_of(options=replace(OPTIONS, matching=MatchingOptions(folds_accents=True))),
        ],
        ids=["key", "transfer syntax", "policy", "AE title", "time zone", "character set", "setting"],
    )
    def test_is_made_anew_if_anything_differs(self, other: Callable[[], QueryPlan]) -> None:
        kept = plan_of()
        assert other() is not kept

    def test_for_other_values_has_other_items_and_the_same_responses(self) -> None:
        one, other = (plan_of(request(AccessionNumber=number, PatientName="")) for number in ("ACC1", "ACC2"))
        assert one.responses is other.responses
        assert one.items is not other.items

    def test_of_another_secret_has_other_hashes(self, settings: Settings) -> None:
        before = read_identifier(encoded(request(PatientID="9990000018")), ImplicitVRLittleEndian).kept_keys
        settings.SECRET_KEY = "another"
        assert read_identifier(encoded(request(PatientID="9990000018")), ImplicitVRLittleEndian).kept_keys != before

    def test_gives_way_to_those_of_newer_identifiers(self) -> None:
        kept = plan_of()
        for number in range(KEPT):
            plan_of(request(AccessionNumber=f"ACC{number}"))
        assert plan_of() is not kept

    def test_of_an_identifier_without_end_is_refused(self) -> None:
        with pytest.raises(UnreadableDataSet, match="longer than 65536 bytes"):
            read_identifier(bytes(LONGEST + 1), ImplicitVRLittleEndian)

    def test_of_a_long_identifier_is_not_kept(self) -> None:
        long = request(StudyInstanceUID=[f"1.2.{number}" for number in range(LONGEST_KEPT // 4)])
        assert plan_of(long) is not plan_of(long)

    def test_of_a_bad_key_is_refused_each_time(self) -> None:
        for _ in range(2):
            with pytest.raises(BadKey):
                plan_of(request(PatientBirthDate="yesterday"))


class TestTheNextQuery:
    """The same query again, over the network."""

    def test_finds_what_has_come_or_changed_since(self, unit: Unit) -> None:
        asked = request(AccessionNumber="")
        assert unit.ask(asked).accession_numbers == []
        item = create(accession_number="ACC1")
        assert unit.ask(asked).accession_numbers == ["ACC1"]
        item.status = "COMPLETED"
        item.save()
        create(accession_number="ACC2")
        assert unit.ask(asked).accession_numbers == ["ACC2"]

    def test_obeys_a_setting_that_has_changed(self, unit: Unit, settings: Settings) -> None:
        create(accession_number="ACC1", patient_name="MÜLLER^ZOE")
        asked = request(AccessionNumber="", PatientName="MULLER*")
        assert unit.ask(asked).accession_numbers == []
        settings.MWL_FOLD_ACCENTS = True
        assert unit.ask(asked).accession_numbers == ["ACC1"]

    def test_obeys_a_policy_that_has_changed(self, transactional_db: None) -> None:
        create(accession_number="ACC1", station_ae_title="MAMMO2")
        asked = request(AccessionNumber="")
        with serving() as running:
            unit = Unit(port_of(running))
            assert unit.ask(asked).accession_numbers == ["ACC1"]
            Modality.objects.create(ae_title="MAMMO1", own_list_only=True)
            assert unit.ask(asked).accession_numbers == []

    def test_of_another_modality_is_answered_with_its_own_ae_title(self, unit: Unit) -> None:
        create(station_ae_title="")
        asked = request(dataset(ScheduledStationAETitle=""))
        for title in ("MAMMO1", "MAMMO2"):
            (row,) = replace(unit, ae_title=title).ask(asked).rows
            assert step_of(row).ScheduledStationAETitle == title

    def test_is_recorded_with_its_keys_each_time_even_if_it_is_refused(
        self, unit: Unit, context: WorklistContext
    ) -> None:
        for date in ("19700321", "19700321", "yesterday", "yesterday"):
            unit.ask(request(PatientBirthDate=date, AccessionNumber="ACC1"))
        assert context.deliveries.flush()
        assert [sorted(query.keys) for query in WorklistQuery.objects.all()] == 4 * [
            ["AccessionNumber", "PatientBirthDate"]
        ]
