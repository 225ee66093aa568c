"""The ASGI application: pages, and the live page's WebSocket.

It runs Django's system checks itself, so that no server can load it with unsafe settings.
"""

import warnings

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.sessions import CookieMiddleware
from django.core.asgi import get_asgi_application
from django.core.management.base import BaseCommand

from gateway_project.settings import choose_settings

choose_settings("production")

# WhiteNoise sends its files, of a few kilobytes each, by a synchronous iterator; Django reads each at once.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

pages = get_asgi_application()
BaseCommand().check()

from dashboard.urls import sockets  # noqa: E402 - needs the apps to be loaded
from gateway_project.origin import OwnPagesOnly  # noqa: E402

application = ProtocolTypeRouter({"http": pages, "websocket": OwnPagesOnly(CookieMiddleware(URLRouter(sockets)))})
