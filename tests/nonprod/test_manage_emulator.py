"""What Manage sends when somebody presses again, what it regards as confirmed, and how it polls."""

import json
from typing import Any

import pytest

from core.contract import validate
from nonprod.manage_emulator import (
    Poll,
    PollRefused,
    changes_since_action,
    create_item_action,
    is_confirmed,
    poll,
    press_again,
)


class Pages:
    """A gateway that only replies to changes_since."""

    def __init__(self, *replies: dict[str, Any]) -> None:
        self._replies = list(replies)
        self.cursors: list[str | None] = []

    def __call__(self, action: dict[str, Any]) -> str:
        validate(action)
        self.cursors.append(action["parameters"].get("cursor"))
        return json.dumps(self._replies.pop(0))


def page(*changes: str, cursor: str, more: bool) -> dict[str, Any]:
    """Build a reply."""
    return {
        "status": "ok",
        "changes": [{"accession_number": number} for number in changes],
        "cursor": cursor,
        "more": more,
    }


def test_a_poll_reads_pages_until_there_are_no_more() -> None:
    pages = Pages(page("A1", "A2", cursor="c1", more=True), page("A3", cursor="c2", more=False))
    polled = poll(pages)
    assert [change["accession_number"] for change in polled.changes] == ["A1", "A2", "A3"]
    assert (polled.cursor, pages.cursors) == ("c2", [None, "c1"])


def test_a_poll_starts_at_the_cursor() -> None:
    pages = Pages(page(cursor="c2", more=False))
    assert (poll(pages, "c2"), pages.cursors) == (Poll([], "c2"), ["c2"])


def test_a_refusal_has_the_code_and_message() -> None:
    with pytest.raises(PollRefused, match="invalid_action: start again"):
        poll(Pages({"status": "error", "code": "invalid_action", "message": "start again"}), "x")


def test_the_action_has_a_cursor_only_if_there_is_one() -> None:
    assert changes_since_action()["parameters"] == {}
    assert changes_since_action("c1")["parameters"] == {"cursor": "c1"}


def test_a_press_after_a_time_out_has_new_ids_and_everything_else_as_before() -> None:
    action = create_item_action()
    again = press_again(action)
    validate(again)
    own_number = action["parameters"]["worklist_item"].pop("accession_number")
    new_number = again["parameters"]["worklist_item"].pop("accession_number")
    assert new_number != own_number
    assert again["action_id"] != action["action_id"]
    ids_and_time = ("action_id", "timestamp")
    assert {**again, **{key: action[key] for key in ids_and_time}} == action


@pytest.mark.parametrize(
    ("status", "confirmed", "strictly"),
    [
        ("created", True, True),
        ("processed", True, True),
        ("exists", True, False),
        ("updated", True, False),
        ("error", False, False),
    ],
)
def test_created_and_processed_confirm_in_every_manage(status: str, confirmed: bool, strictly: bool) -> None:
    reply = json.dumps({"status": status})
    assert (is_confirmed(reply), is_confirmed(reply, strict=True)) == (confirmed, strictly)
