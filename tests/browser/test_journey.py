"""The whole journey over the pages: Manage's clinic, the machine, the live page, and back."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.people import BRIEN, FEATHERSTONE, NGUYEN, SMITH, Clinic, start, woman
from tests.browser.windows import Windows

pytestmark = pytest.mark.once


def test_a_woman_goes_from_the_clinic_to_the_machine_and_everybody_sees_how_far_she_is(
    windows: Windows, clinic: Clinic, unit: Page
) -> None:
    live = windows.open("clinic")
    number = clinic.send(BRIEN)
    expect(woman(live, number)).to_contain_text("Scheduled")
    start(unit, number)
    expect(unit.get_by_role("heading", level=1)).to_contain_text(BRIEN)
    expect(woman(live, number)).to_contain_text("In progress")
    clinic.shows(BRIEN, "In progress")
    for view in ("R CC", "L CC", "R MLO", "L MLO"):
        unit.get_by_role("button", name=re.compile(f"^{view}")).click()
        expect(unit.get_by_role("button", name=re.compile(f"^{view}"))).to_contain_text("1 image")
    unit.get_by_role("button", name="Finish").click()
    expect(unit.locator(".recent li", has_text=number)).to_contain_text("COMPLETED")
    clinic.shows(BRIEN, "Done")
    expect(clinic.row(BRIEN)).to_contain_text("4 images at MAMMO1")
    expect(woman(live, number)).to_contain_text("Done")


def test_a_woman_whose_examination_is_broken_off_is_shown_with_the_reason(clinic: Clinic, unit: Page) -> None:
    start(unit, clinic.send(SMITH))
    unit.get_by_label("Reason").select_option(label="Equipment failure")
    unit.get_by_role("button", name="Discontinue").click()
    clinic.shows(SMITH, "Discontinued")
    expect(clinic.row(SMITH)).to_contain_text("Equipment failure")


def test_a_woman_who_did_not_attend_is_on_no_list_any_more(clinic: Clinic, unit: Page) -> None:
    number = clinic.send(NGUYEN)
    unit.get_by_role("button", name="This scanner").click()
    expect(unit.locator("tbody tr", has_text=number)).to_be_visible()
    clinic.row(NGUYEN).get_by_role("button", name="Did not attend").click()
    clinic.shows(NGUYEN, "Did not attend")
    unit.get_by_role("button", name="This scanner").click()
    expect(unit.locator("caption, .answer")).to_be_visible()
    expect(unit.locator("tbody tr", has_text=number)).to_have_count(0)


def test_what_the_gateway_refuses_stands_at_the_clinic_and_on_the_live_page_with_the_reason(
    windows: Windows, clinic: Clinic
) -> None:
    live = windows.open("clinic")
    clinic.send(FEATHERSTONE, "Failed")
    expect(clinic.row(FEATHERSTONE)).to_contain_text("birth_date")
    expect(live.get_by_role("region", name="Needs attention")).to_contain_text("failed today")


def test_from_a_line_of_the_live_page_an_engineer_comes_to_all_that_has_happened(
    windows: Windows, clinic: Clinic, unit: Page
) -> None:
    number = clinic.send(BRIEN)
    start(unit, number)
    unit.get_by_role("button", name="Finish").click()
    clinic.shows(BRIEN, "Done")
    live = windows.open("admin")
    woman(live, number).get_by_role("link").click()
    for words, title in (
        ("Timeline", f"Timeline of {number}"),
        ("Received actions", "create_item"),
        (number, number),
        ("Queries that showed it", "MAMMO1"),
    ):
        live.locator("#content").get_by_role("link", name=words, exact=True).first.click()
        expect(live.locator("#content")).to_contain_text(title)
