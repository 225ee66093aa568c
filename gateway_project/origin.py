"""Let only this gateway's own pages open its WebSocket (RFC 6455 section 10.2), by Django's CSRF rule for forms.

A browser sends the session cookie with a WebSocket that any page opens, even one of another site, port or scheme. The
Origin header tells them apart.
"""

from io import BytesIO
from typing import Any

from channels.security.websocket import WebsocketDenier
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

#: WebSocket scheme → scheme of the page that opens it.
PAGE_SCHEMES = {"ws": "http", "wss": "https"}


class OwnPagesOnly:
    """ASGI middleware that refuses a WebSocket with 403 unless it comes from this host or CSRF_TRUSTED_ORIGINS."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._denier = WebsocketDenier.as_asgi()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        application = self._application if is_own_page(handshake_request(scope)) else self._denier
        await application(scope, receive, send)


def handshake_request(scope: dict[str, Any]) -> ASGIRequest:
    """Return the WebSocket's opening handshake as a request, so that Django's proxy settings apply to it."""
    scheme = PAGE_SCHEMES[scope.get("scheme", "ws")]
    return ASGIRequest({**scope, "method": "GET", "scheme": scheme}, BytesIO())


def is_own_page(request: HttpRequest) -> bool:
    """Tell whether the request's Origin may send forms to this host."""
    if "Origin" not in request.headers:
        return False
    try:
        request.get_host()  # refuse a foreign name that resolves to this host (DNS rebinding)
    except DisallowedHost:
        return False
    middleware = CsrfViewMiddleware(lambda _: HttpResponse())
    return bool(middleware._origin_verified(request))  # type: ignore[attr-defined]
