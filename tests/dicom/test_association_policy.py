"""Which associations are admitted: each rule by itself, then over real sockets (K9, K10)."""

import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from dicom.association_policy import (
    NOT_ALLOWED,
    TOO_MANY,
    TOO_MANY_FROM_PEER,
    UNKNOWN_TITLE,
    WRONG_ADDRESS,
    WRONG_CALLED_TITLE,
    AssociationPolicy,
    Requestor,
    ServerConfig,
)
from dicom.modality_directory import FRESH_SECONDS, PATIENCE_SECONDS, ModalityDirectory
from dicom.modality_policy import UNKNOWN, ModalityPolicy
from dicom.models import Modality
from dicom.server import stop_server
from dicom.upper_layer.negotiation import Rejection
from nonprod.modality_emulator import ModalityEmulator
from tests.dicom.requests import CALLED, PATIENCE, Unit, dataset, find, request
from tests.dicom.serving import all_ended, connected, port_of, rejection, serving, start
from tests.factories import WorklistItemFactory
from tests.worklist_fixtures import LogLines

pytestmark = pytest.mark.once

LIMIT_EXCEEDED = (2, 3, 2)


class Known(ModalityDirectory):
    """A directory that has been read."""

    def __init__(self, size: int | None = 0, **policies: ModalityPolicy) -> None:
        super().__init__()
        self.policies = policies
        self.configured = len(policies) if policies else size

    def policy_for(self, ae_title: str) -> ModalityPolicy:
        return self.policies.get(ae_title, UNKNOWN)

    def count(self) -> int | None:
        return self.configured


@dataclass(eq=False)
class Thread:
    """An association that stays open as long as the test says."""

    lives: bool = True

    def is_alive(self) -> bool:
        return self.lives


@dataclass
class Request:
    """One requestor's request for an association."""

    directory: ModalityDirectory = field(default_factory=Known)
    calling: str = "MAMMO1"
    called: str = CALLED
    address: str = "192.0.2.7"

    def ends_with(self, **terms: Any) -> Rejection | None:
        policy = AssociationPolicy(ServerConfig(CALLED, **terms), self.directory)
        return policy.admit(Thread(), Requestor(self.calling, self.called, self.address))


KNOWN = ModalityPolicy(is_known=True)


class TestTheRules:
    @pytest.mark.parametrize(
        ("setting", "configured", "expected"),
        [
            ("accept", 3, None),
            ("warn", 3, None),
            ("reject", 3, UNKNOWN_TITLE),
            ("reject", 0, UNKNOWN_TITLE),
            ("reject-once-configured", 0, None),
            ("reject-once-configured", 1, UNKNOWN_TITLE),
            ("reject", None, None),  # nobody can say who is known: the database is unavailable
        ],
    )
    def test_of_an_unknown_title(self, setting: str, configured: int | None, expected: Rejection | None) -> None:
        assert Request(Known(configured)).ends_with(unknown_titles=setting) == expected

    @pytest.mark.parametrize(
        ("policy", "expected"),
        [
            (KNOWN, None),
            (ModalityPolicy(is_known=True, is_allowed=False), NOT_ALLOWED),
            (ModalityPolicy(is_known=True, expected_address="192.0.2.7"), None),
            (ModalityPolicy(is_known=True, expected_address="::ffff:192.0.2.7"), None),
            (ModalityPolicy(is_known=True, expected_address="192.0.2.8"), WRONG_ADDRESS),
            (ModalityPolicy(is_known=True, expected_address="2001:db8::1"), WRONG_ADDRESS),
        ],
    )
    def test_of_a_modality(self, policy: ModalityPolicy, expected: Rejection | None) -> None:
        assert Request(Known(MAMMO1=policy)).ends_with(unknown_titles="reject") == expected

    def test_a_title_counts_letter_by_letter(self) -> None:
        association_request = Request(Known(MAMMO1=KNOWN), calling="Mammo1")
        assert association_request.ends_with(unknown_titles="reject") == UNKNOWN_TITLE

    @pytest.mark.parametrize(("checks", "expected"), [(True, WRONG_CALLED_TITLE), (False, None)])
    def test_of_the_called_title(self, checks: bool, expected: Rejection | None) -> None:
        assert Request(called="SOMEBODY").ends_with(checks_called_title=checks) == expected

    def test_of_the_number_of_all(self) -> None:
        policy = AssociationPolicy(ServerConfig(CALLED, max_associations=2), Known())
        said = [policy.admit(Thread(), Requestor("A", CALLED, f"192.0.2.{number}")) for number in range(3)]
        assert said == [None, None, TOO_MANY]

    def test_of_the_number_from_one_address(self) -> None:
        policy = AssociationPolicy(ServerConfig(CALLED, max_associations=9, max_per_peer=2), Known())
        said = [policy.admit(Thread(), Requestor("A", CALLED, "192.0.2.1")) for _ in range(3)]
        assert said == [None, None, TOO_MANY_FROM_PEER]
        assert policy.admit(Thread(), Requestor("A", CALLED, "192.0.2.2")) is None

    def test_an_ended_association_no_longer_counts(self) -> None:
        policy = AssociationPolicy(ServerConfig(CALLED, max_associations=1), Known())
        first = Thread()
        policy.admit(first, Requestor("A", CALLED, "192.0.2.1"))
        first.lives = False
        assert policy.open_associations() == 0
        assert policy.admit(Thread(), Requestor("A", CALLED, "192.0.2.1")) is None

    @pytest.mark.parametrize(
        ("setting", "title", "warned"), [("warn", "X", True), ("accept", "X", False), ("warn", "MAMMO1", False)]
    )
    def test_of_what_is_warned(self, setting: str, title: str, warned: bool) -> None:
        assert (
            AssociationPolicy(ServerConfig(CALLED, unknown_titles=setting), Known(MAMMO1=KNOWN)).warns_of(title)
            is warned
        )


@pytest.mark.django_db(transaction=True)
class TestOnTheWire:
    def test_k9_a_title_that_is_not_on_the_list_is_rejected_with_1_1_3(self, log: LogLines) -> None:
        Modality.objects.create(ae_title="MAMMO1")
        with serving(unknown_titles="reject") as running:
            assert rejection(running, "MAMMO1") is None
            assert rejection(running, "STRANGER") == (1, 1, 3)
        record = vars(log.wait_for("association rejected"))
        assert (record["calling_ae_title"], record["address"]) == ("STRANGER", "127.0.0.1")
        assert record["reason"] == UNKNOWN_TITLE.sentence

    def test_k9_one_that_is_not_allowed_is_rejected_with_1_1_3(self) -> None:
        Modality.objects.create(ae_title="MAMMO1", is_allowed=False)
        with serving() as running:
            assert rejection(running) == (1, 1, 3)

    def test_k10_who_calls_another_title_is_rejected_with_1_1_7(self) -> None:
        with serving(checks_called_title=True) as running:
            assert rejection(running, called="ANY-SCP") == (1, 1, 7)
            assert rejection(running, called=CALLED) is None

    def test_k10_any_called_title_will_do_where_it_is_not_checked(self) -> None:
        with serving() as running:
            assert rejection(running, called="ANY-SCP") is None

    def test_one_from_another_address_is_rejected_and_the_log_says_why(self, log: LogLines) -> None:
        Modality.objects.create(ae_title="MAMMO1", expected_address="192.0.2.7")
        with serving() as running:
            assert rejection(running) == (1, 1, 3)
        assert vars(log.wait_for("association rejected"))["reason"] == WRONG_ADDRESS.sentence

    def test_an_unknown_one_is_warned_about(self, log: LogLines) -> None:
        with serving(unknown_titles="warn") as running:
            assert rejection(running, "STRANGER") is None
        line = log.wait_for("this AE title is not a configured modality")
        assert (line.levelname, vars(line)["calling_ae_title"]) == ("WARNING", "STRANGER")

    def test_a_change_is_in_force_at_the_next_association(self) -> None:
        modality = Modality.objects.create(ae_title="MAMMO1")
        with serving() as running:
            assert rejection(running) is None
            Modality.objects.filter(pk=modality.pk).update(is_allowed=False)
            assert rejection(running) == (1, 1, 3)

    def test_more_than_the_limit_of_one_address_are_told_so(self) -> None:
        with serving(max_per_peer=1) as running:
            with Unit(port_of(running)).associated():
                assert rejection(running) == LIMIT_EXCEEDED
            all_ended(running)
            assert rejection(running) is None

    def test_silent_connections_do_not_count_as_associations(self) -> None:
        with (
            serving(max_associations=2, max_per_peer=2) as running,
            connected(running),
            connected(running),
            Unit(port_of(running)).associated(),
        ):
            assert rejection(running) is None

    def test_nobody_can_open_connections_without_end(self, log: LogLines) -> None:
        with serving(max_associations=2, max_per_peer=1) as running:
            with connected(running), connected(running), connected(running) as third:
                assert third.recv(1) == b""
            assert vars(log.wait_for("connection closed: too many are open"))["address"] == "127.0.0.1"

    def test_a_half_sent_request_does_not_keep_others_out(self) -> None:
        with serving(max_associations=1) as running, connected(running) as half:
            half.sendall(b"\x01\x00\x00\x00\x01")
            ModalityEmulator("127.0.0.1", port_of(running), CALLED).echo()

    def test_the_limit_holds_for_both_ports_together(self) -> None:
        with serving(max_associations=1) as first:
            second = start("127.0.0.1", 0, first.policy)
            with Unit(port_of(first)).associated():
                assert rejection(second) == LIMIT_EXCEEDED
            stop_server(second)


@pytest.mark.django_db(transaction=True)
class TestWhatAModalityIsShown:
    @pytest.fixture(autouse=True)
    def _items(self) -> None:
        for number, station, status in (("OWN", "MAMMO1", "SCHEDULED"), ("NONE", "", "SCHEDULED")):
            WorklistItemFactory.create(accession_number=number, station_ae_title=station, status=status)
        WorklistItemFactory.create(accession_number="OTHER", station_ae_title="MAMMO2")
        WorklistItemFactory.create(accession_number="BEGUN", status="IN PROGRESS", patient_name="ŁUKASZ^ZOË")

    def shown(self, running: Any, identifier: Any = None) -> list[str]:
        """The accession numbers that MAMMO1 gets."""
        asked = identifier or request(dataset(ScheduledStationAETitle=""), AccessionNumber="", PatientName="")
        return sorted(Unit(port_of(running)).ask(asked).accession_numbers)

    @pytest.mark.parametrize(
        ("policy", "expected"),
        [
            ({}, ["BEGUN", "NONE", "OTHER", "OWN"]),
            ({"own_list_only": True}, ["BEGUN", "NONE", "OWN"]),
            ({"hides_in_progress": True}, ["NONE", "OTHER", "OWN"]),
            ({"own_list_only": True, "hides_in_progress": True}, ["NONE", "OWN"]),
        ],
        ids=str,
    )
    def test_is_what_its_policy_says(self, policy: dict[str, Any], expected: list[str]) -> None:
        Modality.objects.create(ae_title="MAMMO1", **policy)
        with serving() as running:
            assert self.shown(running) == expected

    def test_is_no_other_list_though_it_asks_for_it(self) -> None:
        Modality.objects.create(ae_title="MAMMO1", own_list_only=True)
        with serving() as running:
            assert self.shown(running, request(dataset(ScheduledStationAETitle="MAMMO2"), AccessionNumber="")) == [
                "NONE"
            ]

    def test_is_as_many_as_its_policy_says(self) -> None:
        Modality.objects.create(ae_title="MAMMO1", max_rows=2)
        with serving() as running:
            answer = Unit(port_of(running)).ask(request(AccessionNumber=""))
        assert answer.statuses == [0xFF00, 0xFF00, 0xA700]
        assert answer.final.ErrorComment == "More than 2 matches; narrow the query"

    def test_is_written_as_its_policy_says(self) -> None:
        Modality.objects.create(ae_title="MAMMO1", character_set="ascii-transliterate")
        identifier = request(SpecificCharacterSet="ISO_IR 192", AccessionNumber="BEGUN", PatientName="")
        with serving() as running:
            (row,) = Unit(port_of(running)).ask(identifier).rows
        assert str(row.PatientName) == "LUKASZ^ZOE"


@pytest.mark.django_db(transaction=True)
class TestAnAssociationThatStaysOpen:
    @pytest.mark.parametrize(
        ("change", "refusal"),
        [
            ({"is_allowed": False}, NOT_ALLOWED),
            ({"expected_address": "192.0.2.7"}, WRONG_ADDRESS),
            ({"ae_title": "MAMMO9"}, UNKNOWN_TITLE),
        ],
        ids=str,
    )
    def test_gets_nothing_any_more_once_its_title_may_not_ask(self, change: dict[str, Any], refusal: Rejection) -> None:
        WorklistItemFactory.create()
        modality = Modality.objects.create(ae_title="MAMMO1")
        with serving(unknown_titles="reject") as running, Unit(port_of(running)).associated() as association:
            assert find(association, request(AccessionNumber="")).statuses == [0xFF00, 0x0000]
            Modality.objects.filter(pk=modality.pk).update(**change)
            answer = find(association, request(AccessionNumber=""))
            assert (answer.statuses, answer.rows) == ([0xC003], [])
            assert answer.final.ErrorComment == f"Refused: {refusal.sentence}"[:64]

    def test_gets_nothing_while_nobody_knows_who_it_is(self) -> None:
        WorklistItemFactory.create()
        with serving(unknown_titles="reject") as running:
            running.policy.modalities = Known(None)
            with Unit(port_of(running)).associated() as association:
                assert find(association, request(AccessionNumber="")).statuses == [0xC001]


@pytest.mark.django_db(transaction=True)
class TestTheDirectory:
    def test_reads_the_modalities(self) -> None:
        Modality.objects.create(ae_title="MAMMO1", max_rows=7)
        directory = ModalityDirectory()
        assert directory.policy_for("MAMMO1") == ModalityPolicy(is_known=True, max_rows=7)
        assert directory.policy_for("MAMMO2") == UNKNOWN
        assert directory.count() == 1

    def test_reads_again_after_a_while_and_not_before(self) -> None:
        lazy, eager = ModalityDirectory(fresh_seconds=PATIENCE), ModalityDirectory(fresh_seconds=0)
        assert (lazy.count(), eager.count()) == (0, 0)
        Modality.objects.create(ae_title="MAMMO1")
        assert (lazy.count(), eager.count()) == (0, 1)

    def test_knows_what_it_knew_while_the_database_is_away(self, database_down: Any) -> None:
        Modality.objects.create(ae_title="MAMMO1")
        directory, blank = ModalityDirectory(fresh_seconds=0), ModalityDirectory()
        assert directory.policy_for("MAMMO1").is_known
        with database_down():
            assert directory.policy_for("MAMMO1").is_known
            assert blank.count() is None

    def test_waits_once_for_a_database_that_hangs_and_not_at_each_question(self) -> None:
        class Hanging(ModalityDirectory):
            may_end = threading.Event()

            def _read(self) -> None:
                self.may_end.wait(PATIENCE)

        directory = Hanging()
        began = time.monotonic()
        assert [directory.count() for _ in range(20)] == [None] * 20
        assert time.monotonic() - began < 5 * PATIENCE_SECONDS
        directory.may_end.set()

    def test_takes_a_change_within_five_seconds(self) -> None:
        assert FRESH_SECONDS + 2 * PATIENCE_SECONDS < 5


def test_rules_have_reasons_that_the_standard_has() -> None:
    """PS3.8 table 9-21."""
    allowed = {(1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 1, 7), *itertools.product((1, 2), (3,), (1, 2))}
    for refusal in (WRONG_CALLED_TITLE, UNKNOWN_TITLE, NOT_ALLOWED, WRONG_ADDRESS, TOO_MANY):
        assert (refusal.result, refusal.source, refusal.reason) in allowed
