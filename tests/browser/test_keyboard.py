"""The pages by the keyboard alone: everything can be reached, is seen when it is, and does what it should."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.people import SMITH, Clinic, woman
from tests.browser.windows import DESKTOP, PHONE, Windows

pytestmark = pytest.mark.once

#: More than any page here has controls.
MOST_TABS = 150
#: Every control that is there to be used, and the one that has the focus, as a number of them.
KINDS = "a[href], button, input:not([type=hidden]), select, textarea, summary"
CONTROLS = f"""() => [...document.querySelectorAll("{KINDS}")]
  .filter(one => one.checkVisibility({{ visibilityProperty: true }}) && !one.disabled)"""
COUNT = f"() => ({CONTROLS})().length"
FOCUSED = f"() => ({CONTROLS})().indexOf(document.activeElement)"
#: Whether somebody sees where the focus is: there is a ring, and it is on the screen. In a date it is at the day, the
#: month and the year one after another, and Chromium marks those.
IS_SEEN = """() => {
  const focused = document.activeElement, style = getComputedStyle(focused), box = focused.getBoundingClientRect();
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  const shadow = style.boxShadow !== "none";
  const onScreen = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return onScreen && (ring || shadow || focused.type === "date");
}"""


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until it has the focus."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if target.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{target} cannot be reached")


def press(page: Page, target: Locator, key: str = "Enter") -> None:
    """Go there, and press the key."""
    tab_to(page, target)
    page.keyboard.press(key)


def test_somebody_logs_in_looks_and_logs_out(windows: Windows, clinic: Clinic) -> None:
    number = clinic.send(SMITH)
    page = windows.open()
    page.goto("/login/")
    tab_to(page, page.get_by_label("Username"))
    page.keyboard.type("clinic")
    page.keyboard.press("Tab")
    page.keyboard.type("clinic")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Today")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    press(page, woman(page, number).get_by_role("link"))
    expect(page.locator("#content")).to_contain_text(number)
    page.goto("/")
    press(page, page.get_by_role("button", name="Log out"))
    expect(page.get_by_label("Username")).to_be_visible()


def test_the_focus_stays_where_it_was_when_the_live_page_changes(windows: Windows, clinic: Clinic, unit: Page) -> None:
    number = clinic.send(SMITH)
    live = windows.open("clinic")
    link = woman(live, number).get_by_role("link")
    tab_to(live, link)
    unit.get_by_role("button", name="This scanner").click()
    expect(woman(live, number)).to_contain_text("On the list")
    expect(link).to_be_focused()


def test_a_clinic_sends_a_woman_and_stays_in_her_row(clinic: Clinic) -> None:
    press(clinic.page, clinic.row(SMITH).get_by_role("button", name="Send to modality"))
    clinic.shows(SMITH, "Confirmed")
    expect(clinic.row(SMITH).get_by_role("link")).to_be_focused()
    press(clinic.page, clinic.row(SMITH).get_by_role("button", name="Did not attend"), "Space")
    clinic.shows(SMITH, "Did not attend")


def test_a_radiographer_images_a_woman(clinic: Clinic, unit: Page) -> None:
    number = clinic.send(SMITH)
    press(unit, unit.get_by_role("button", name="This scanner"))
    press(unit, unit.locator("tbody tr", has_text=number).get_by_role("button", name="Start"))
    press(unit, unit.get_by_role("button", name=re.compile("^R CC")), "Space")
    expect(unit.get_by_role("button", name=re.compile("^R CC"))).to_contain_text("1 image")
    press(unit, unit.get_by_role("button", name="Finish"))
    clinic.shows(SMITH, "Done")


@pytest.mark.parametrize(
    ("who", "address"),
    [
        ("", "/login/"),
        ("", "/nonprod/clinic"),
        ("", "/nonprod/modality?unit=MAMMO2&ask=all"),
        ("clinic", "/"),
        ("admin", "/admin/"),
        ("admin", "/admin/worklist/worklistitem/"),
    ],
)
def test_every_control_is_reached_in_its_turn_and_seen_then(windows: Windows, who: str, address: str) -> None:
    page = windows.open(who)
    for width in (DESKTOP, PHONE):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(address)
        count = page.evaluate(COUNT)
        assert tabbed_through(page, count) == list(range(count))


def tabbed_through(page: Page, count: int) -> list[int]:
    """The controls by their numbers, as the focus comes to them."""
    reached: list[int] = []
    while count - 1 not in reached and len(reached) < MOST_TABS:
        page.keyboard.press("Tab")
        assert page.evaluate(IS_SEEN), page.evaluate("document.activeElement.outerHTML")
        reached.append(page.evaluate(FOCUSED))
    return [one for one, before in zip(reached, [None, *reached], strict=False) if one != before]
