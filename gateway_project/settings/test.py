"""Settings for the tests: the local ones, with the database of DATABASE_URL but no other value of a `.env`."""

from .base import BASE_DIR, SETTINGS, database, env
from .local import *  # noqa: F403

SECRET_KEY = "only-for-tests"  # noqa: S105
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES = {"default": database(env("DATABASE_URL") or f"sqlite:///{BASE_DIR / 'test.sqlite3'}")}
AZURE_RELAY_HYBRID_CONNECTION = "test-gateway"
AZURE_RELAY_KEY_NAME = "test-policy"
AZURE_RELAY_SHARED_ACCESS_KEY = "test-key-0123456789"
AZURE_RELAY_PLAIN_WEBSOCKET = True
RELAY_IS_EMULATED = True
MWL_AE_TITLE = SETTINGS["MWL_AE_TITLE"][1]
