"""Settings for a developer's machine and `make run`: loopback only, with the emulators of `nonprod`.

Unless a relay is configured, the listener connects to the relay emulator, with a key that is not secret.
"""

from .base import *  # noqa: F403
from .base import INSTALLED_APPS, MANAGE_API_TOKEN, MANAGE_API_URL, SECRET_KEY, WEB_PORT, env

SECRET_KEY = SECRET_KEY or "insecure-and-only-for-a-developers-machine"
# Off by default: with DEBUG on, Django keeps every query in memory, with its values.
DEBUG = env("DEBUG")
ALLOWED_HOSTS = env("ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]
IMAGES = env("IMAGES") or "on"
if "images" not in INSTALLED_APPS and IMAGES == "on":
    INSTALLED_APPS.insert(INSTALLED_APPS.index("dashboard"), "images")
INSTALLED_APPS = [*INSTALLED_APPS, "nonprod"]
# The emulated Manage is one of the pages below /nonprod/.
MANAGE_API_URL = MANAGE_API_URL or f"http://127.0.0.1:{WEB_PORT}/nonprod/manage/api/v1"
MANAGE_API_TOKEN = MANAGE_API_TOKEN or "emulated-token-that-is-no-secret"

RELAY_EMULATOR_PORT = env("RELAY_EMULATOR_PORT")
if not env("AZURE_RELAY_NAMESPACE"):
    AZURE_RELAY_NAMESPACE = f"127.0.0.1:{RELAY_EMULATOR_PORT}"
    AZURE_RELAY_HYBRID_CONNECTION = env("AZURE_RELAY_HYBRID_CONNECTION") or "local-gateway"
    AZURE_RELAY_KEY_NAME = env("AZURE_RELAY_KEY_NAME") or "RootManageSharedAccessKey"
    AZURE_RELAY_SHARED_ACCESS_KEY = env("AZURE_RELAY_SHARED_ACCESS_KEY") or "emulator-key-that-is-no-secret"
    AZURE_RELAY_PLAIN_WEBSOCKET = True
    RELAY_IS_EMULATED = True
