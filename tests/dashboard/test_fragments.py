"""The page in pieces, and what changes between two of them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from core.heartbeat import DAEMONS
from dashboard.fragments import ROOM, changes_between, render_page, rooms_of
from dashboard.snapshot import take_snapshot
from dashboard.viewer_permissions import PagePermission, ViewerPermissions
from tests.dashboard.records import configure_modality, deliver, item_of_today, wrong_patient_exception

pytestmark = pytest.mark.once

NOBODY, EVERYTHING = ViewerPermissions(), ViewerPermissions(frozenset(PagePermission), is_staff=True)
EXCEPTIONS_ONLY = ViewerPermissions(frozenset({PagePermission.EXCEPTIONS}), is_staff=True)


class TestChanges:
    def test_between_the_same_there_are_none(self) -> None:
        page = {"relay": "a", "room-1": "b"}
        assert not changes_between(page, dict(page))

    def test_only_what_differs_is_told(self) -> None:
        changes = changes_between({"relay": "a", "room-1": "b"}, {"relay": "a", "room-1": "c"})
        assert (changes.fragments, changes.rooms) == ({"room-1": "c"}, None)

    def test_of_nothing_everything_is_new(self) -> None:
        changes = changes_between({}, {"relay": "a", "room-1": "b"})
        assert (changes.fragments, changes.rooms) == ({"relay": "a", "room-1": "b"}, ("room-1",))

    @pytest.mark.parametrize(
        "after", [{"room-2": "b"}, {"room-2": "b", "room-1": "a"}, {"room-1": "a", "room-3": "c", "room-2": "b"}]
    )
    def test_rooms_that_come_go_or_change_places_are_told_with_all_their_order(self, after: dict[str, str]) -> None:
        assert changes_between({"room-1": "a", "room-2": "b"}, after).rooms == tuple(after)


@pytest.mark.django_db
class TestPage:
    def test_who_the_women_are_stands_in_it_for_those_who_may_know_only(self) -> None:
        configure_modality()
        deliver(item_of_today(patient_name="SMITH^JANE", accession_number="ACC55"))
        snapshot = take_snapshot()
        named, anonymous = ("".join(render_page(snapshot, standing).values()) for standing in (EVERYTHING, NOBODY))
        assert "SMITH, JANE" in named
        assert "ACC55" in named
        for personal in ("SMITH", "JANE", "ACC55"):
            assert personal not in anonymous
        assert "<strong>1</strong> On the list" in anonymous

    def test_what_somebody_has_sent_as_a_name_is_text(self) -> None:
        item_of_today(patient_name="<script>alert(1)</script>")
        page = "".join(render_page(take_snapshot(), EVERYTHING).values())
        assert "<script>" not in page
        assert "&lt;script&gt;" in page

    def test_state_is_a_shape_and_a_word_too(self) -> None:
        relay = render_page(take_snapshot(), NOBODY)["relay"]
        assert "#icon-problem" in relay
        assert "Problem: " in relay
        assert "Not running" in relay

    def test_without_anybody_it_says_so(self) -> None:
        page = render_page(take_snapshot(), EVERYTHING)
        assert rooms_of(page) == (f"{ROOM}none",)
        assert "There is nobody on" in page[f"{ROOM}none"]

    def test_a_room_keeps_its_id_and_two_have_two(self) -> None:
        configure_modality("MAMMO1", room="Room 1")
        configure_modality("MAMMO2", room="Raum <2>")
        first, second = (rooms_of(render_page(take_snapshot(), standing)) for standing in (EVERYTHING, NOBODY))
        assert first == second
        assert len(set(first)) == 2

    def test_a_day_later_the_heading_is_another(self) -> None:
        today = take_snapshot()
        tomorrow = replace(today, taken_at=today.taken_at + timedelta(days=1))
        changes = changes_between(render_page(today, NOBODY), render_page(tomorrow, NOBODY))
        assert changes.fragments["day"].startswith("Today, ")

    def test_who_has_no_permission_is_told_no_number_and_given_no_link(self) -> None:
        item_of_today(patient_name="SMITH^JANE", accession_number="ACC55")
        wrong_patient_exception("ACC55")
        page = "".join(render_page(take_snapshot(), NOBODY).values())
        assert "its report names an item and another patient" in page
        assert [found for found in ("ACC55", "SMITH", "<a ") if found in page] == []

    @pytest.mark.parametrize(("viewer", "links"), [(EVERYTHING, 1 + len(DAEMONS)), (EXCEPTIONS_ONLY, 1), (NOBODY, 0)])
    def test_a_link_is_there_for_those_who_may_follow_it(self, viewer: ViewerPermissions, links: int) -> None:
        wrong_patient_exception()
        assert render_page(take_snapshot(), viewer)["attention"].count("<a ") == links

    def test_without_the_admin_a_number_is_text(self) -> None:
        item_of_today(accession_number="ACC55")
        page = "".join(render_page(take_snapshot(), ViewerPermissions(frozenset(PagePermission))).values())
        assert "ACC55" in page
        assert "<a " not in page
