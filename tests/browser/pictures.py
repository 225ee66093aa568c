"""Takes the pictures of docs/pictures afresh: `make screenshots`. The women on them are invented.

Each is taken of a gateway that runs, on a desktop and on a telephone; pngquant makes them small, where it is there.
"""

import re
import shutil
import subprocess
from pathlib import Path

from django.conf import settings
from playwright.sync_api import Page

from tests.browser.people import BRIEN, FEATHERSTONE, GARCIA, NGUYEN, OKAFOR, SMITH, Clinic, start, woman
from tests.browser.stack import running_gateway
from tests.browser.windows import DESKTOP, PHONE, Windows, running_browser

FOLDER = Path(settings.BASE_DIR) / "docs" / "pictures"
#: What is taken: pictures of these names, each with `-phone` besides.
NAMES = (
    "clinic",
    "modality-list",
    "modality-examination",
    "live-page",
    "live-page-anonymous",
    "live-page-out-of-date",
    "login",
    "admin",
    "admin-timeline",
    "admin-item",
)
MODALITIES = """
from dicom.models import Modality
for name, room in (("MAMMO1", "Room 1"), ("MAMMO2", "Room 2")):
    Modality.objects.create(ae_title=name, name=f"Mammography, {room.lower()}", room=room)
"""


def take() -> None:
    """All of them."""
    FOLDER.mkdir(exist_ok=True)
    with running_browser() as browser, running_gateway() as gateway:
        gateway.manage("shell", "--command", MODALITIES)
        windows = Windows(browser, f"http://127.0.0.1:{gateway.environment['WEB_PORT']}")
        _journey(windows)
        live = windows.open("clinic")
        gateway.processes["run_web"].stop()
        live.get_by_text("Out of date since").wait_for()
        picture(live, "live-page-out-of-date")
        windows.close()
    shrink()


def _journey(windows: Windows) -> None:
    """A morning."""
    login, clinic, unit = windows.open(), Clinic.opened(windows.open()), windows.open()
    login.goto("/login/")
    picture(login, "login")
    numbers = {name: clinic.send(name) for name in (BRIEN, SMITH, NGUYEN, OKAFOR)}
    clinic.send(FEATHERSTONE, "Failed")
    unit.goto("/nonprod/modality?unit=MAMMO1")
    start(unit, numbers[BRIEN])
    unit.get_by_role("button", name="Finish").click()
    start(unit, numbers[SMITH])
    unit.get_by_label("Reason").select_option(label="Equipment failure")
    unit.get_by_role("button", name="Discontinue").click()
    unit.get_by_role("button", name="This modality").click()
    picture(unit, "modality-list")
    start(unit, numbers[NGUYEN])
    unit.get_by_role("button", name=re.compile("^R CC")).click()
    picture(unit, "modality-examination")
    clinic.row(GARCIA).get_by_role("button", name="Did not attend").click()
    clinic.shows(NGUYEN, "In progress")
    clinic.shows(SMITH, "Discontinued")
    picture(clinic.page, "clinic")
    live = windows.open("clinic")
    woman(live, numbers[NGUYEN]).get_by_text("In progress").wait_for()
    picture(live, "live-page")
    picture(windows.open("support"), "live-page-anonymous")
    admin = windows.open("admin")
    admin.goto("/admin/")
    picture(admin, "admin")
    admin.goto(f"/admin/worklist/worklistitem/?accession_number={numbers[BRIEN]}")
    picture(admin, "admin-item")
    admin.locator(".object-tools").get_by_role("link", name="Timeline").click()
    picture(admin, "admin-timeline")


def picture(page: Page, name: str) -> None:
    """Of the whole page, in both widths."""
    assert name in NAMES
    for width, suffix in ((PHONE, "-phone"), (DESKTOP, "")):
        page.set_viewport_size({"width": width, "height": 800})
        page.screenshot(path=FOLDER / f"{name}{suffix}.png", full_page=True, animations="disabled")


def shrink() -> None:
    """To a palette of 128 colours, which nobody sees in a picture of a page."""
    if pngquant := shutil.which("pngquant"):
        files = map(str, sorted(FOLDER.glob("*.png")))
        subprocess.run([pngquant, "--force", "--skip-if-larger", "--strip", "--ext", ".png", "128", *files], check=True)
