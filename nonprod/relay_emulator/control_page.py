"""Owns /$emulator: the state as JSON or as a page for people, and faults on demand. Local only, and without a token.

It shows no key, no token, and nothing of what is sent.
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any, Protocol

from nonprod.relay_emulator.faults import FAULTS, BadFault
from nonprod.relay_emulator.plain_http import HttpRequest, HttpResponse
from nonprod.relay_emulator.refusals import Refused, reason_phrase

PATH = "$emulator"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<title>Relay emulator</title><h1>Relay emulator</h1><pre>{state}</pre>
<p>The same as JSON: <code>curl {url}</code>. A fault:
<code>curl -d '{{"fault": "drop"}}' {url}/faults</code>; no more faults: <code>curl -X DELETE {url}/faults</code>.</p>
</html>
"""


class Controlled(Protocol):
    """What the page shows and does."""

    @property
    def namespace(self) -> str:
        """Where it is."""

    def state(self) -> dict[str, Any]:
        """What there is to be seen."""

    async def inject(self, fault: Any) -> None:
        """Make a fault happen; BadFault when there is none such."""

    def clear_faults(self) -> None:
        """No more faults."""


async def control(relay: Controlled, peer: str, request: HttpRequest) -> HttpResponse:
    """The answer to a request for /$emulator or what is below it."""
    if not ipaddress.ip_address(peer).is_loopback:
        raise Refused(403, "The emulator is controlled from its own machine only")
    path = request.target.partition("?")[0].strip("/")
    handlers = HANDLERS.get(path)
    if handlers is None:
        raise Refused(404, f"There is {', '.join(f'/{known}' for known in HANDLERS)}")
    if request.method not in handlers:
        raise Refused(405, f"Here it is {' or '.join(handlers)}")
    return await handlers[request.method](relay, request)


async def _show(relay: Controlled, request: HttpRequest) -> HttpResponse:
    state = json.dumps(relay.state(), indent=2)
    accepted = next((value for name, value in request.headers if name.lower() == "accept"), "")
    if "text/html" not in accepted:
        return _answer(200, f"{state}\n", "application/json")
    host = next((value for name, value in request.headers if name.lower() == "host"), relay.namespace)
    page = PAGE.format(state=escape(state), url=escape(f"http://{host}/{PATH}"))
    return _answer(200, page, "text/html; charset=utf-8")


async def _list(relay: Controlled, request: HttpRequest) -> HttpResponse:
    stored = relay.state()["faults"]
    return _answer(200, json.dumps({"known": list(FAULTS), "stored": stored}, indent=2) + "\n", "application/json")


async def _inject(relay: Controlled, request: HttpRequest) -> HttpResponse:
    try:
        await relay.inject(json.loads(request.body))
    except (BadFault, UnicodeDecodeError, json.JSONDecodeError) as error:
        text = str(error) if isinstance(error, BadFault) else "The body is no JSON"
        answer = {"error": text, "known": list(FAULTS)}
        return _answer(400, json.dumps(answer) + "\n", "application/json")
    return await _list(relay, request)


async def _clear(relay: Controlled, request: HttpRequest) -> HttpResponse:
    relay.clear_faults()
    return await _list(relay, request)


def _answer(status: int, text: str, kind: str) -> HttpResponse:
    return HttpResponse(status, reason_phrase("", status), [("Content-Type", kind)], text.encode())


Handler = Callable[[Controlled, HttpRequest], Awaitable[HttpResponse]]
HANDLERS: dict[str, dict[str, Handler]] = {
    PATH: {"GET": _show, "HEAD": _show},
    f"{PATH}/faults": {"GET": _list, "POST": _inject, "DELETE": _clear},
}
