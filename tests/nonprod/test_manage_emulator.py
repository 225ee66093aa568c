"""Manage's poll: page by page, each change once, from where it was."""

import json
from typing import Any

import pytest

from core.contract import validate
from nonprod.manage_emulator import Poll, PollRefused, changes_since_action, poll


class Pages:
    """A gateway of which only the replies to changes_since are played."""

    def __init__(self, *replies: dict[str, Any]) -> None:
        self._replies = list(replies)
        self.asked: list[str | None] = []

    def __call__(self, action: dict[str, Any]) -> str:
        """The next reply."""
        validate(action)
        self.asked.append(action["parameters"].get("cursor"))
        return json.dumps(self._replies.pop(0))


def page(*changes: str, cursor: str, more: bool) -> dict[str, Any]:
    """One reply."""
    return {
        "status": "ok",
        "changes": [{"accession_number": number} for number in changes],
        "cursor": cursor,
        "more": more,
    }


def test_it_asks_until_there_is_no_more_each_time_behind_the_last() -> None:
    pages = Pages(page("A1", "A2", cursor="c1", more=True), page("A3", cursor="c2", more=False))
    polled = poll(pages)
    assert [change["accession_number"] for change in polled.changes] == ["A1", "A2", "A3"]
    assert (polled.cursor, pages.asked) == ("c2", [None, "c1"])


def test_it_begins_where_it_was() -> None:
    pages = Pages(page(cursor="c2", more=False))
    assert (poll(pages, "c2"), pages.asked) == (Poll([], "c2"), ["c2"])


def test_it_says_why_it_was_refused() -> None:
    with pytest.raises(PollRefused, match="invalid_action: begin again"):
        poll(Pages({"status": "error", "code": "invalid_action", "message": "begin again"}), "x")


def test_the_question_has_a_cursor_only_where_there_is_one() -> None:
    assert changes_since_action()["parameters"] == {}
    assert changes_since_action("c1")["parameters"] == {"cursor": "c1"}
