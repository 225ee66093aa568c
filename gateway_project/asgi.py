"""The web server's application (ASGI): pages, and the live page's WebSocket.

Whatever server loads it, it runs the system checks first.
"""

import warnings

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.sessions import CookieMiddleware
from django.core.asgi import get_asgi_application
from django.core.management.base import BaseCommand

from gateway_project.settings import choose_settings

choose_settings("production")

# WhiteNoise sends its files, of some kilobytes each, by a synchronous iterator, which Django reads at once.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

pages = get_asgi_application()
BaseCommand().check()

from dashboard.urls import sockets  # noqa: E402 - once the apps are there
from gateway_project.origin import OwnPagesOnly  # noqa: E402

application = ProtocolTypeRouter({"http": pages, "websocket": OwnPagesOnly(CookieMiddleware(URLRouter(sockets)))})
