"""The web server's application (ASGI)."""

import os
import warnings

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings.production")

# WhiteNoise sends its files, of some kilobytes each, by a synchronous iterator, which Django reads at once.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

application = get_asgi_application()
