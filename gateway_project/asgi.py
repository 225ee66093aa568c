"""The web server's application (ASGI). Whatever server loads it, it runs the system checks first."""

import warnings

from django.core.asgi import get_asgi_application
from django.core.management.base import BaseCommand

from gateway_project.settings import choose_settings

choose_settings("production")

# WhiteNoise sends its files, of some kilobytes each, by a synchronous iterator, which Django reads at once.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

application = get_asgi_application()
BaseCommand().check()
