"""Serve /$emulator: the emulator's state as JSON or HTML, and faults on demand. For this machine only, without a token.

The page shows no key, no token, and nothing of what is sent.
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any, Protocol

from nonprod.relay_emulator.faults import FAULTS, BadFault
from nonprod.relay_emulator.http_messages import HttpRequest, HttpResponse, Refused, reason_phrase

PATH = "$emulator"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<title>Relay emulator</title><h1>Relay emulator</h1><pre>{state}</pre>
<p>The same as JSON: <code>curl {url}</code>. To inject a fault:
<code>curl -d '{{"fault": "drop"}}' {url}/faults</code>.
To clear all faults: <code>curl -X DELETE {url}/faults</code>.</p>
</html>
"""


class Emulator(Protocol):
    """What the page needs of the emulator."""

    @property
    def namespace(self) -> str: ...
    def state(self) -> dict[str, Any]: ...
    async def inject(self, fault: Any) -> None: ...
    def clear_faults(self) -> None: ...


async def respond(emulator: Emulator, peer: str, request: HttpRequest) -> HttpResponse:
    """Answer a request for /$emulator or a path below it; raises Refused. `peer` is the client's IP address."""
    if not ipaddress.ip_address(peer).is_loopback:
        raise Refused(403, "The emulator is controlled from its own machine only")
    path = request.target.partition("?")[0].strip("/")
    handlers = HANDLERS.get(path)
    if handlers is None:
        raise Refused(404, f"The pages here are {', '.join(f'/{known}' for known in HANDLERS)}")
    if request.method not in handlers:
        raise Refused(405, f"The methods here are {' and '.join(handlers)}")
    return await handlers[request.method](emulator, request)


async def _show_state(emulator: Emulator, request: HttpRequest) -> HttpResponse:
    state = json.dumps(emulator.state(), indent=2)
    headers = {name.lower(): value for name, value in reversed(request.headers)}
    if "text/html" not in headers.get("accept", ""):
        return _response(200, f"{state}\n")
    url = f"http://{headers.get('host', emulator.namespace)}/{PATH}"
    return _response(200, PAGE.format(state=escape(state), url=escape(url)), "text/html; charset=utf-8")


async def _list_faults(emulator: Emulator, request: HttpRequest) -> HttpResponse:
    stored = emulator.state()["faults"]
    return _response(200, json.dumps({"known": list(FAULTS), "stored": stored}, indent=2) + "\n")


async def _inject_fault(emulator: Emulator, request: HttpRequest) -> HttpResponse:
    try:
        await emulator.inject(json.loads(request.body))
    except (BadFault, UnicodeDecodeError, json.JSONDecodeError) as error:
        text = str(error) if isinstance(error, BadFault) else "The body is not JSON"
        return _response(400, json.dumps({"error": text, "known": list(FAULTS)}) + "\n")
    return await _list_faults(emulator, request)


async def _clear_faults(emulator: Emulator, request: HttpRequest) -> HttpResponse:
    emulator.clear_faults()
    return await _list_faults(emulator, request)


def _response(status: int, text: str, content_type: str = "application/json") -> HttpResponse:
    return HttpResponse(status, reason_phrase("", status), [("Content-Type", content_type)], text.encode())


Handler = Callable[[Emulator, HttpRequest], Awaitable[HttpResponse]]
HANDLERS: dict[str, dict[str, Handler]] = {
    PATH: {"GET": _show_state, "HEAD": _show_state},
    f"{PATH}/faults": {"GET": _list_faults, "POST": _inject_fault, "DELETE": _clear_faults},
}
