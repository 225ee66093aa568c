"""Open browser windows on the gateway: Debian's Chromium, driven by Playwright.

Whatever goes wrong in one is noted: an error on the console (a violation of the Content-Security-Policy is one), an
exception, a request to another machine.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, WebSocket, sync_playwright

#: Widths in CSS pixels of a desktop, and of a telephone.
DESKTOP, PHONE = 1280, 390
PATIENCE_MS = 60_000
#: Nothing but this machine has an address in there.
ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
OURS = {"127.0.0.1"}


def chromium() -> str:
    """Where the browser is; empty where there is none. The one without windows takes less than half the time."""
    return shutil.which("chromium-headless-shell") or shutil.which("chromium") or ""


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium, without a screen."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)


@dataclass
class Windows:
    """Opens windows at one gateway, and notes what goes wrong in them."""

    browser: Browser
    address: str
    problems: list[str] = field(default_factory=list)
    #: Errors with one of these texts are what the test is about.
    forgiven: list[str] = field(default_factory=list)
    #: What came over WebSockets.
    frames: list[str] = field(default_factory=list)

    def open(self, who: str = "", *, width: int = DESKTOP, height: int = 900) -> Page:
        """A window of a browser of one's own, logged in as somebody."""
        context = self.browser.new_context(
            base_url=self.address, viewport={"width": width, "height": height}, locale="en-GB", reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE_MS)
        self._watch(context)
        page = context.new_page()
        if who:
            log_in(page, who)
        return page

    def close(self) -> None:
        """All of them."""
        for context in self.browser.contexts:
            context.close()

    @contextmanager
    def inspected(self) -> Iterator[None]:
        """What goes wrong until the block ends is the inspector's: axe-core itself sets inline styles."""
        before = list(self.problems)
        yield
        self.problems[:] = before

    def _watch(self, context: BrowserContext) -> None:
        context.on("console", self._heard)
        context.on("weberror", lambda error: self._note(str(error.error)))
        context.on("request", self._asked)
        context.on("page", lambda page: page.on("websocket", self._connected))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._note(f"{message.text} at {message.location.get('url', '')}")

    def _asked(self, request: Request) -> None:
        self._look_at(request.url)

    def _connected(self, socket: WebSocket) -> None:
        self._look_at(socket.url)
        socket.on("framereceived", lambda frame: self.frames.append(str(frame)))

    def _look_at(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname not in OURS:
            self._note(f"a request to {parts.hostname}")

    def _note(self, problem: str) -> None:
        if not any(text in problem for text in self.forgiven):
            self.problems.append(problem)


def log_in(page: Page, who: str) -> None:
    """Through the page for that."""
    page.goto("/login/")
    page.get_by_label("Username").fill(who)
    page.get_by_label("Password").fill(who)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Log out").wait_for()
