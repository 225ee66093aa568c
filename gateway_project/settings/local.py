"""Settings for a developer's machine and `make run`: loopback only, with the emulators of `nonprod`.

Unless a relay is configured, the listener connects to the relay emulator, with a key that is not secret.
"""

from .base import *  # noqa: F403
from .base import INSTALLED_APPS, SECRET_KEY, env

SECRET_KEY = SECRET_KEY or "insecure-and-only-for-a-developers-machine"
# Off by default: with DEBUG on, Django keeps every query in memory, with its values.
DEBUG = env("DEBUG")
ALLOWED_HOSTS = env("ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]
INSTALLED_APPS = [*INSTALLED_APPS, "nonprod"]

RELAY_EMULATOR_PORT = env("RELAY_EMULATOR_PORT")
if not env("AZURE_RELAY_NAMESPACE"):
    AZURE_RELAY_NAMESPACE = f"127.0.0.1:{RELAY_EMULATOR_PORT}"
    AZURE_RELAY_HYBRID_CONNECTION = env("AZURE_RELAY_HYBRID_CONNECTION") or "local-gateway"
    AZURE_RELAY_KEY_NAME = env("AZURE_RELAY_KEY_NAME") or "RootManageSharedAccessKey"
    AZURE_RELAY_SHARED_ACCESS_KEY = env("AZURE_RELAY_SHARED_ACCESS_KEY") or "emulator-key-that-is-no-secret"
    AZURE_RELAY_PLAIN_WEBSOCKET = True
    RELAY_IS_EMULATED = True
