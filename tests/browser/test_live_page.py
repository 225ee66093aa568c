"""The live page when something happens to what is behind it, and who sees what."""

import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import violations
from tests.browser.people import GARCIA, NGUYEN, OKAFOR, Clinic, woman
from tests.browser.windows import Windows
from tests.processes import KILL
from tests.system.conftest import Gateway

pytestmark = pytest.mark.once

#: A heartbeat is believed for 30 s, and the page looks again within 5 s.
UNTIL_DEAD_MS = 60_000
WITHIN_SECONDS = 2.0


def mark(page: Page) -> None:
    """Leave something in the page that a reload would take away."""
    page.evaluate("window.isTheSamePage = true")


def is_the_same(page: Page) -> bool:
    """Whether it has not been loaded again."""
    return bool(page.evaluate("window.isTheSamePage === true"))


def test_a_killed_listener_is_told_of_with_what_to_do_until_it_runs_again(
    windows: Windows, whole_gateway: Gateway
) -> None:
    live = windows.open("support")
    mark(live)
    relay = live.get_by_role("region", name="Connection to Manage")
    expect(relay).to_contain_text("Connected")
    whole_gateway.processes["run_relay_listener"].stop(KILL)
    expect(relay).to_contain_text("Not running", timeout=UNTIL_DEAD_MS)
    expect(relay).to_contain_text("Support: start run_relay_listener")
    expect(live.get_by_label("Summary")).to_contain_text("Act now")
    whole_gateway.run_one("run_relay_listener")
    expect(relay).to_contain_text("Connected")
    assert is_the_same(live)


def test_without_the_web_server_the_page_says_since_when_it_is_old_and_comes_back_by_itself(
    windows: Windows, whole_gateway: Gateway, clinic: Clinic, axe: str
) -> None:
    windows.forgiven += ["WebSocket connection", "ERR_CONNECTION_REFUSED"]
    live = windows.open("clinic")
    mark(live)
    banner = live.locator("#freshness")
    whole_gateway.processes["run_web"].stop()
    expect(banner).to_contain_text("Out of date since")
    since = live.locator("#at").text_content() or "?"
    expect(banner).to_contain_text(since)
    assert "grayscale" in live.locator("#page").evaluate("page => getComputedStyle(page).filter")
    assert violations(live, axe) == []
    expect(clinic.page.get_by_role("alert")).to_contain_text("cannot connect to the server")
    whole_gateway.run_one("run_web")
    expect(banner).not_to_contain_text("Out of date")
    assert live.locator("#page").evaluate("page => getComputedStyle(page).filter") == "none"
    expect(woman(live, clinic.send(GARCIA))).to_be_visible()
    assert is_the_same(live)


def test_logging_out_in_another_tab_takes_the_page_away(windows: Windows) -> None:
    live = windows.open("clinic")
    other = live.context.new_page()
    other.goto("/")
    other.get_by_role("button", name="Log out").click()
    expect(live.get_by_label("Password")).to_be_visible()
    assert live.url.endswith("/login/?next=%2F")
    expect(live.locator(".woman")).to_have_count(0)


def test_of_two_viewers_only_one_with_the_permission_is_told_a_name(windows: Windows, clinic: Clinic) -> None:
    others = Windows(windows.browser, windows.address)
    named, nameless = windows.open("clinic"), others.open("support")
    number = clinic.send(NGUYEN)
    expect(woman(named, number)).to_contain_text(NGUYEN)
    expect(nameless.locator(".tally", has_text="Scheduled").first).to_be_visible()
    assert any("tallies" in frame for frame in others.frames)
    assert not any(secret in text for text in [nameless.content(), *others.frames] for secret in (NGUYEN, number))
    assert others.problems == []


@pytest.mark.alone
def test_a_change_is_visible_within_two_seconds(windows: Windows, clinic: Clinic) -> None:
    live = windows.open("clinic")
    clinic.send(OKAFOR)
    number = clinic.number(OKAFOR)
    expect(woman(live, number)).to_contain_text("Scheduled")
    clinic.row(OKAFOR).get_by_role("button", name="Did not attend").click()
    clinic.shows(OKAFOR, "Did not attend")
    begun = time.monotonic()
    expect(woman(live, number)).to_contain_text("Did not attend")
    assert time.monotonic() - begun < WITHIN_SECONDS
