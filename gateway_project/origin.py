"""Owns who may open a WebSocket: a page of this site, by Django's own rule for a form (RFC 6455 section 10.2).

Another site's page, open in the same browser, has the cookie too; so has one of another port or scheme of this host.
The origin tells them apart.
"""

from io import BytesIO
from typing import Any

from channels.security.websocket import WebsocketDenier
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

#: A WebSocket's scheme → that of the page which opens it.
PAGE_SCHEMES = {"ws": "http", "wss": "https"}


class OwnPagesOnly:
    """The application, for pages of this site and of CSRF_TRUSTED_ORIGINS; all others are refused with 403."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._denier = WebsocketDenier.as_asgi()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        application = self._application if _is_ours(_handshake(scope)) else self._denier
        await application(scope, receive, send)


def _handshake(scope: dict[str, Any]) -> ASGIRequest:
    """The WebSocket's opening as the request that it was, so that all settings about proxies hold for it."""
    scheme = PAGE_SCHEMES[scope.get("scheme", "ws")]
    return ASGIRequest({**scope, "method": "GET", "scheme": scheme}, BytesIO())


def _is_ours(request: HttpRequest) -> bool:
    if "Origin" not in request.headers:
        return False
    try:
        request.get_host()  # another site's name that leads here (DNS rebinding) is its own origin, too
    except DisallowedHost:
        return False
    return bool(CsrfViewMiddleware(_nothing)._origin_verified(request))  # type: ignore[attr-defined]


def _nothing(request: HttpRequest) -> HttpResponse:
    """What CsrfViewMiddleware goes on to, where it is one."""
    return HttpResponse()
