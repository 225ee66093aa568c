"""What people do in a window, and what they look at there."""

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

BRIEN, SMITH, NGUYEN, OKAFOR, GARCIA = "O'BRIEN", "SMITH", "NGUYỄN", "OKAFOR", "GARCÍA"
FEATHERSTONE = "FEATHERSTONE"  # whom the gateway refuses


@dataclass(frozen=True)
class Clinic:
    """Manage's list in a window."""

    page: Page

    @classmethod
    def opened(cls, page: Page) -> "Clinic":
        """With a new list, on which nobody has been sent."""
        page.goto("/nonprod/clinic")
        page.get_by_role("button", name="Start again").click()
        expect(page.locator("tbody tr", has_text="Not sent")).to_have_count(7)
        return cls(page)

    def row(self, name: str) -> Locator:
        """Of one woman."""
        return self.page.locator("tbody tr", has_text=name)

    def send(self, name: str, state: str = "Confirmed") -> str:
        """To the modality, until it is so; her accession number."""
        self.row(name).get_by_role("button", name="Send to modality").click()
        self.shows(name, state)
        return self.number(name)

    def shows(self, name: str, state: str) -> None:
        """Wait until it does."""
        expect(self.row(name).locator(".nhsuk-tag")).to_have_text(state)

    def number(self, name: str) -> str:
        """Her accession number, of the page behind her name."""
        address = self.row(name).get_by_role("link").get_attribute("href") or ""
        found = re.search(r"ACC\w+", self.page.context.request.get(address).text())
        assert found
        return found.group()


def start(unit: Page, number: str) -> None:
    """Ask for the list, and begin with the one who has this number."""
    unit.get_by_role("button", name="This scanner").click()
    unit.locator("tbody tr", has_text=number).get_by_role("button", name="Start").click()
    expect(unit.locator(".status.in")).to_have_text("IN PROGRESS")


def woman(live: Page, number: str) -> Locator:
    """Her line on the live page."""
    return live.locator(".woman", has_text=number)
