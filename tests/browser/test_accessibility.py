"""No page breaks a rule of WCAG 2.2 AA that a program can hold it against, wide or narrow, light or dark."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from nonprod.modality_emulator import ModalityEmulator, step_query
from tests.browser.axe import violations
from tests.browser.people import BRIEN, FEATHERSTONE, GARCIA, NGUYEN, OKAFOR, SMITH, Clinic, start
from tests.browser.stack import WholeGateway
from tests.browser.windows import DESKTOP, PHONE, Windows
from tests.factories import payload

pytestmark = pytest.mark.once

#: Pixels to which a page must fold without being moved sideways (success criterion 1.4.10).
NARROWEST = 320
LIST = "#result_list tbody th a"
ITEMS, ACTIONS = "/admin/worklist/worklistitem/", "/admin/relay/receivedaction/"
IMAGES, TESTS = "/admin/images/receivedimage/", "/admin/images/wholewaytest/"
QUERIES, EXCEPTIONS = "/admin/worklist/worklistquery/", "/admin/worklist/mppsexception/"
#: A page, and what to press from there on; the longer ways begin where the shorter ones before them end.
ADMIN = (
    ("/admin/",),
    ("/admin/worklist/",),
    (ITEMS,),
    (f"{ITEMS}?status=COMPLETED", LIST),
    (f"{ITEMS}?status=COMPLETED", LIST, "text=Timeline"),
    (f"{ITEMS}?status=COMPLETED", LIST, "text=Why it is on a list or not"),
    (f"{ITEMS}?status=COMPLETED", LIST, "text=Why it is on a list or not", "#content-main tbody a"),
    (f"{ITEMS}?status=DISCONTINUED", LIST, "text=Put back on the list"),
    (f"{ITEMS}export/",),
    (f"{ITEMS}outcomes/",),
    (f"{ITEMS}test-item/",),
    (ACTIONS,),
    (f"{ACTIONS}import/",),
    (f"{ACTIONS}?result=failed", LIST),
    (f"{ACTIONS}?result=failed", LIST, "text=Timeline"),
    (f"{ACTIONS}?result=failed", LIST, "text=Execute again"),
    (QUERIES,),
    (QUERIES, LIST),
    (QUERIES, LIST, "text=Find out why an item is missing"),
    (EXCEPTIONS,),
    (EXCEPTIONS, LIST),
    (EXCEPTIONS, LIST, "text=Link to an item"),
    (EXCEPTIONS, LIST, "text=Dismiss"),
    (IMAGES,),
    (f"{IMAGES}?state__exact=held", LIST),
    (f"{IMAGES}?state__exact=held", LIST, ".object-tools >> text=Link to an item"),
    (f"{IMAGES}?state__exact=held", LIST, ".object-tools >> text=Discard"),
    (f"{IMAGES}?state__exact=failed", LIST),
    (f"{IMAGES}?state__exact=failed", LIST, ".object-tools >> text=Send again"),
    (TESTS,),
    (TESTS, ".object-tools >> text=Test the whole way"),
    (TESTS, LIST),
    ("/admin/images/failurereport/",),
    ("/admin/worklist/performedprocedurestep/", LIST),
    ("/admin/dicom/modality/add/?ae_title=MAMMO9",),
    ("/admin/core/auditlog/",),
    ("/admin/core/heartbeat/",),
)
#: One image with Manage, one held back and one that failed, of a woman of today, and a test of the whole way.
IMAGES_OF_TODAY = """
from django.db import transaction
from images.models import ReceivedImage
from images.whole_way import add_step, ask_for_test
from tests.images.received import stored
from worklist.models import WorklistItem
item = WorklistItem.objects.filter(status="IN PROGRESS").first()
named = {"item_accession_number": item.accession_number}
stored(state="uploaded", item_id=item.pk, **named)
stored(state="failed", reason="refused", item_id=item.pk, **named)
stored(state="held", reason="another_patient", **named)
with transaction.atomic():  # or the uploader runs it
    add_step(ask_for_test("admin:jane"), "The worklist shows the test item", "failed", "not found")
"""
UNIT = "/nonprod/modality?unit="
PLAYED = (
    ("/nonprod/clinic",),
    ("/nonprod/clinic", f"tbody tr:has-text({BRIEN!r}) a"),
    ("/nonprod/clinic", f"tbody tr:has-text({FEATHERSTONE!r}) a"),
    (f"{UNIT}MAMMO1",),
    (f"{UNIT}MAMMO2",),
    (f"{UNIT}MAMMO2", "button:has-text('This modality')"),
    (f"{UNIT}MAMMO2&ask=name",),
)
LIVE, OUTSIDE = (("/",),), (("/login/",), *PLAYED)
#: Pages that fold to the narrowest screen.
FOLDING = {*LIVE, *OUTSIDE, ADMIN[0], ADMIN[4]}


@pytest.fixture(scope="module")
def busy_day(browser: Browser, whole_gateway: WholeGateway) -> Iterator[None]:
    """Somebody in every state, a woman refused, a step that nobody has scheduled, and one under a wrong name."""
    windows = Windows(browser, f"http://127.0.0.1:{whole_gateway.environment['WEB_PORT']}")
    clinic, unit = Clinic.opened(windows.open()), windows.open()
    unit.goto(f"{UNIT}MAMMO1")
    for name, ending in ((BRIEN, "Finish"), (SMITH, "Discontinue"), (NGUYEN, "")):
        start(unit, clinic.send(name))
        if ending:
            unit.get_by_role("button", name=ending).click()
    clinic.send(OKAFOR)
    clinic.row(GARCIA).get_by_role("button", name="Did not attend").click()
    clinic.send(FEATHERSTONE, "Failed")
    clinic.shows(SMITH, "Discontinued")
    modality = ModalityEmulator("127.0.0.1", whole_gateway.mwl_port, "GATEWAY_MWL", "MAMMO2")
    modality.start()
    (row, *_) = modality.query(step_query(ae_title="MAMMO2"))
    row.PatientID, row.PatientName = "9990000999", "SOMEBODY^ELSE"
    modality.start(row)
    whole_gateway.manage("shell", "--command", IMAGES_OF_TODAY)
    yield
    windows.close()


@pytest.mark.usefixtures("busy_day")
class TestPages:
    @pytest.mark.parametrize(("who", "pages"), [("admin", ADMIN), ("", OUTSIDE), ("clinic", LIVE), ("support", LIVE)])
    def test_no_rule_is_broken_and_nothing_has_to_be_moved_sideways(
        self, windows: Windows, axe: str, who: str, pages: tuple[tuple[str, ...], ...]
    ) -> None:
        page = windows.open(who)
        addresses: dict[tuple[str, ...], str] = {}
        found = {}
        for way in pages:
            open_page(page, way, addresses)
            with windows.inspected():
                found[way] = broken(page, axe)
            if way in FOLDING and is_moved_sideways(page):
                found[way].append("it has to be moved sideways")
        assert {way: lines for way, lines in found.items() if lines} == {}

    def test_no_rule_is_broken_where_a_file_of_actions_is_checked_and_executed(
        self, windows: Windows, axe: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "actions.json"
        file.write_text(json.dumps([payload(), payload(scheduled__date="soon"), {"action_type": "echo"}]))
        page = windows.open("admin")
        page.goto(f"{ACTIONS}import/")
        page.get_by_label("File").set_input_files(file)
        page.get_by_role("button", name="Check the file").click()
        expect(page.get_by_text("Nothing has been executed yet")).to_be_visible()
        with windows.inspected():
            assert broken(page, axe) == []
        page.get_by_role("button", name="Execute the actions").click()
        expect(page.get_by_text("The actions have been executed")).to_be_visible()
        with windows.inspected():
            assert broken(page, axe) == []

    def test_no_rule_is_broken_where_a_login_is_refused(self, windows: Windows, axe: str) -> None:
        page = windows.open()
        page.goto("/login/")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert broken(page, axe) == []


def open_page(page: Page, way: tuple[str, ...], addresses: dict[tuple[str, ...], str]) -> None:
    """Press the last link of a way on the page where the links before it lead; note where this leads."""
    *before, last = way
    if not before:
        page.goto(last)
    else:
        start = tuple(before)
        if start not in addresses:
            open_page(page, start, addresses)
        elif page.url != addresses[start]:
            page.goto(addresses[start])
        page.locator(last).first.click()
        page.wait_for_load_state()
    addresses[way] = page.url


def is_moved_sideways(page: Page) -> bool:
    """Whether it is wider than the narrowest screen."""
    page.set_viewport_size({"width": NARROWEST, "height": 900})
    width = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size({"width": DESKTOP, "height": 900})
    return bool(width > NARROWEST)


def broken(page: Page, axe: str) -> list[str]:
    """The rules that it breaks on a desktop in light colours, and on a telephone in dark ones."""
    found = violations(page, axe)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": PHONE, "height": 800})
    found += [f"narrow and dark: {line}" for line in violations(page, axe)]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": DESKTOP, "height": 900})
    return found
