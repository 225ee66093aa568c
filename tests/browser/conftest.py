"""A gateway and a browser for all the tests here, and new windows for each of them.

They run one after another in one worker of pytest-xdist. The browser ends with the last of them: as long as it is
there, asyncio runs in this thread.
"""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import AXE
from tests.browser.people import Clinic
from tests.browser.stack import running_gateway
from tests.browser.windows import PATIENCE_MS, Windows, chromium, running_browser
from tests.node_packages import installed
from tests.system.conftest import Gateway

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium; without it the tests are skipped, but never in CI."""
    if not chromium():
        reason = "Chromium is not installed: apt-get install chromium-headless-shell"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with running_browser() as running:
        yield running


@pytest.fixture(scope="package")
def whole_gateway(browser: Browser) -> Iterator[Gateway]:
    """All of it."""
    with running_gateway() as running:
        yield running


@pytest.fixture
def windows(browser: Browser, whole_gateway: Gateway) -> Iterator[Windows]:
    """Nothing may go wrong in them."""
    opened = Windows(browser, f"http://127.0.0.1:{whole_gateway.environment['WEB_PORT']}")
    yield opened
    opened.close()
    assert opened.problems == []


@pytest.fixture
def clinic(windows: Windows) -> Clinic:
    """Manage's list, a new one, in a window of its own."""
    return Clinic.opened(windows.open())


@pytest.fixture
def unit(windows: Windows) -> Page:
    """The console of MAMMO1, which is free."""
    page = windows.open()
    page.goto("/nonprod/modality?unit=MAMMO1")
    if page.get_by_role("button", name="Discontinue").count():
        page.get_by_role("button", name="Discontinue").click()
    return page


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's source."""
    return (installed(AXE) / "axe-core" / "axe.min.js").read_text()
