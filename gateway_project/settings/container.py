"""Settings for docker-compose.yml: production settings if a relay is configured, local settings otherwise.

One compose file then serves both a first look at the gateway with the relay emulator, and a hospital.
"""

from importlib.util import find_spec

from .base import env

if env("AZURE_RELAY_NAMESPACE"):
    from .production import *  # noqa: F403
else:
    from .local import *  # noqa: F403
    from .local import INSTALLED_APPS

    MWL_HOST = env("MWL_HOST") or "0.0.0.0"  # noqa: S104 - a published port does not reach a container's loopback
    IMAGE_HOST = env("IMAGE_HOST") or "0.0.0.0"  # noqa: S104 - likewise
    if not find_spec("nonprod"):  # only the emulators' image has it
        INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "nonprod"]
