"""Define every setting, and read the environment (django-environ), which no other module does.

`SETTINGS` lists what may be set, with types and defaults. `.env.tpl` and docs/configuration.md list the same names; a
test compares the three. Each setting can also be read from a file, as Docker provides secrets: for example
`AZURE_RELAY_SHARED_ACCESS_KEY_FILE=/run/secrets/relay_key`.
"""

import logging
import warnings
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent.parent

SETTINGS: dict[str, tuple[Any, Any]] = {
    "SECRET_KEY": (str, ""),
    "ALLOWED_HOSTS": (list, []),
    "CSRF_TRUSTED_ORIGINS": (list, []),
    "DEBUG": (bool, False),
    "DATABASE_URL": (str, ""),
    "DATABASE_WAIT_SECONDS": (int, 10),
    "LOG_LEVEL": (str, "INFO"),
    "LOG_FORMAT": (str, ""),
    "METRICS_ALLOWED_NETWORKS": (list, []),
    "OTEL_EXPORTER_OTLP_ENDPOINT": (str, ""),
    "TIME_ZONE": (str, "Europe/London"),
    "AZURE_RELAY_NAMESPACE": (str, ""),
    "AZURE_RELAY_HYBRID_CONNECTION": (str, ""),
    "AZURE_RELAY_KEY_NAME": (str, ""),
    "AZURE_RELAY_SHARED_ACCESS_KEY": (str, ""),
    "AZURE_RELAY_PLAIN_WEBSOCKET": (bool, False),
    "RELAY_MAX_RENDEZVOUS": (int, 64),
    "RELAY_MAX_WAITING": (int, 256),
    "RELAY_RENDEZVOUS_IDLE_SECONDS": (int, 120),
    "RELAY_ECHO_SECONDS": (int, 60),
    "RELAY_MAX_LISTENERS": (int, 2),
    "RELAY_CHANNEL_MAX_AGE_SECONDS": (int, 300),
    "RELAY_STOP_GRACE_SECONDS": (int, 20),
    "MWL_AE_TITLE": (str, "GATEWAY_MWL"),
    "MWL_HOST": (str, ""),
    "MWL_PORT": (int, 11112),
    "MWL_TLS_PORT": (int, 0),
    "MWL_TLS_CERTIFICATE_PATH": (str, ""),
    "MWL_TLS_KEY_PATH": (str, ""),
    "MWL_TLS_CLIENT_CA_PATH": (str, ""),
    "MWL_UNKNOWN_AE_TITLES": (str, ""),
    "MWL_CHECK_CALLED_AE_TITLE": (bool, False),
    "MWL_MAX_ASSOCIATIONS": (int, 60),
    "MWL_MAX_ASSOCIATIONS_PER_PEER": (int, 50),
    "MWL_IDLE_SECONDS": (int, 60),
    "MWL_SHARE_PORT": (bool, False),
    "MWL_MAX_ROWS": (int, 5000),
    "MWL_FOLD_ACCENTS": (bool, False),
    "MWL_PROCEDURE_ID_FINDS_ACCESSION": (bool, False),
    "MWL_ISSUER_OF_PATIENT_ID": (str, ""),
    "MWL_KEEP_QUERIES_DAYS": (int, 30),
    "IMAGES": (str, ""),
    "IMAGE_AE_TITLE": (str, "GATEWAY_IMAGES"),
    "IMAGE_HOST": (str, ""),
    "IMAGE_PORT": (int, 11113),
    "IMAGE_TLS_PORT": (int, 0),
    "IMAGE_TLS_CERTIFICATE_PATH": (str, ""),
    "IMAGE_TLS_KEY_PATH": (str, ""),
    "IMAGE_TLS_CLIENT_CA_PATH": (str, ""),
    "IMAGE_CHECK_CALLED_AE_TITLE": (bool, False),
    "IMAGE_MAX_ASSOCIATIONS": (int, 20),
    "IMAGE_MAX_ASSOCIATIONS_PER_PEER": (int, 10),
    "IMAGE_MAX_PER_SECOND_PER_PEER": (int, 20),
    "IMAGE_IDLE_SECONDS": (int, 60),
    "IMAGE_TOMOSYNTHESIS": (bool, False),
    "IMAGE_SECONDARY_CAPTURE": (bool, False),
    "IMAGE_MAX_BYTES": (int, 1 << 30),
    "IMAGE_SPOOL_DIR": (str, ""),
    "IMAGE_MIN_FREE_BYTES": (int, 2 << 30),
    "IMAGE_KEEP_HOURS": (int, 24),
    "IMAGE_KEEP_FAILED_DAYS": (int, 7),
    "IMAGE_KEEP_UNLINKED_DAYS": (int, 7),
    "IMAGE_COMPLETED_AFTER_MINUTES": (int, 0),
    "IMAGE_PREVIEW_PIXELS": (int, 400),
    "IMAGE_PREVIEW_RATIO": (int, 15),
    "IMAGE_RETRY_SECONDS": (int, 300),
    "IMAGE_FAILURE_DELAY_SECONDS": (int, 120),
    "TEST_MACHINE_MWL_HOST": (str, ""),
    "TEST_MACHINE_IMAGE_HOST": (str, ""),
    "TEST_MACHINE_MWL_TLS_PORT": (int, 0),
    "TEST_MACHINE_IMAGE_TLS_PORT": (int, 0),
    "TEST_MACHINE_TLS_CERTIFICATE_PATH": (str, ""),
    "TEST_MACHINE_TLS_KEY_PATH": (str, ""),
    "TEST_MACHINE_TLS_SERVER_CA_PATH": (str, ""),
    "MANAGE_API_URL": (str, ""),
    "MANAGE_API_RESOURCE": (str, ""),
    "MANAGE_API_TOKEN": (str, ""),
    "WEB_HOST": (str, "127.0.0.1"),
    "WEB_PORT": (int, 8000),
    "SECURE_SSL_REDIRECT": (bool, True),
    "TRUST_X_FORWARDED_PROTO": (bool, False),
    "RELAY_EMULATOR_PORT": (int, 9350),
}

environ.Env.read_env(BASE_DIR / ".env")
_environment = environ.FileAwareEnv(**SETTINGS)


def env(name: str) -> Any:
    """Return the value of a setting; raise ImproperlyConfigured if the text is not of its type."""
    try:
        value = _environment(name)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is not of type {SETTINGS[name][0].__name__}") from None
    return value.strip() if isinstance(value, str) else value  # a secret file often ends with a line break


def one_of(name: str, *choices: str) -> str:
    """Return the value of a setting; raise ImproperlyConfigured if it is not one of the choices."""
    value = str(env(name))
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is not one of {', '.join(filter(None, choices))}")
    return value


PRODUCTION = False

# Web ------------------------------------------------------------------------------------------------------------
SECRET_KEY = env("SECRET_KEY")
DEBUG = False
ALLOWED_HOSTS = env("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env("CSRF_TRUSTED_ORIGINS")
WEB_HOST = env("WEB_HOST")
WEB_PORT = env("WEB_PORT")
ROOT_URLCONF = "gateway_project.urls"
ASGI_APPLICATION = "gateway_project.asgi:application"
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # serve the admin's files from Django's package: no collectstatic, no volume
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
LOGIN_URL = LOGOUT_REDIRECT_URL = "login"
LOGIN_REDIRECT_URL = "live-page"
# All scripts and styles are files of this server; a script injected into a page does not run.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        **{kind: [SELF] for kind in ("script-src", "style-src", "img-src", "connect-src", "form-action")},
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

INSTALLED_APPS = [
    "django.contrib.admin.apps.SimpleAdminConfig",  # urls.py finds the apps' admin pages: the daemons need none
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "core",
    "dicom",
    "relay",
    "worklist",
    "dashboard",
    "csp",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# Scheduled times are the clinic's wall-clock time and are stored as received; our own timestamps are UTC.
LANGUAGE_CODE = "en-gb"
TIME_ZONE = env("TIME_ZONE")
FORMAT_MODULE_PATH = "gateway_project.formats"
USE_I18N = False
USE_TZ = True

# Database -------------------------------------------------------------------------------------------------------
# IMMEDIATE: a deferred transaction fails at once with "database is locked" when it turns from reading to writing.
# synchronous=FULL: without it a power cut may lose an item that was answered with `created`.
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": env("DATABASE_WAIT_SECONDS"),
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
}
# The sender gives up after 30 s: there is no point in waiting longer than that for a lock.
POSTGRESQL_OPTIONS = {
    "connect_timeout": env("DATABASE_WAIT_SECONDS"),
    # synchronous_commit=on, whatever the server's default: an answered commit must survive a power cut.
    "options": f"-c lock_timeout={env('DATABASE_WAIT_SECONDS')}s -c synchronous_commit=on",
    # Notice within half a minute that the server has vanished, instead of after hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


def database(url: str) -> dict[str, Any]:
    """Return Django's settings for a DATABASE_URL, with options that make commits durable and waits short."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exception below says the same
        config: dict[str, Any] = environ.Env.db_url_config(url)
    if "ENGINE" not in config:
        raise ImproperlyConfigured(
            "DATABASE_URL is not a database URL, such as postgres://user:password@host:5432/name"
        )
    ours = SQLITE_OPTIONS if config["ENGINE"].endswith("sqlite3") else POSTGRESQL_OPTIONS
    return {**config, "OPTIONS": {**ours, **config.get("OPTIONS", {})}}


DATABASES = {"default": database(env("DATABASE_URL") or f"sqlite:///{(BASE_DIR / 'gateway.sqlite3').as_posix()}")}
DATABASE_WAIT_SECONDS = env("DATABASE_WAIT_SECONDS")
DATABASE_URL_IS_SET = bool(env("DATABASE_URL"))
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Relay ----------------------------------------------------------------------------------------------------------
GATEWAY_ACTIONS = "gateway_project.actions"
AZURE_RELAY_NAMESPACE = env("AZURE_RELAY_NAMESPACE")
AZURE_RELAY_HYBRID_CONNECTION = env("AZURE_RELAY_HYBRID_CONNECTION")
AZURE_RELAY_KEY_NAME = env("AZURE_RELAY_KEY_NAME")
AZURE_RELAY_SHARED_ACCESS_KEY = env("AZURE_RELAY_SHARED_ACCESS_KEY")
AZURE_RELAY_PLAIN_WEBSOCKET = env("AZURE_RELAY_PLAIN_WEBSOCKET")
RELAY_IS_EMULATED = False
RELAY_MAX_RENDEZVOUS = env("RELAY_MAX_RENDEZVOUS")
RELAY_MAX_WAITING = env("RELAY_MAX_WAITING")
RELAY_RENDEZVOUS_IDLE_SECONDS = env("RELAY_RENDEZVOUS_IDLE_SECONDS")
RELAY_ECHO_SECONDS = env("RELAY_ECHO_SECONDS")
RELAY_MAX_LISTENERS = env("RELAY_MAX_LISTENERS")
RELAY_CHANNEL_MAX_AGE_SECONDS = env("RELAY_CHANNEL_MAX_AGE_SECONDS")
RELAY_STOP_GRACE_SECONDS = env("RELAY_STOP_GRACE_SECONDS")

# Worklist -------------------------------------------------------------------------------------------------------
MWL_AE_TITLE = env("MWL_AE_TITLE")
MWL_HOST = env("MWL_HOST") or "127.0.0.1"
MWL_PORT = env("MWL_PORT")
MWL_TLS_PORT = env("MWL_TLS_PORT")
MWL_TLS_CERTIFICATE_PATH = env("MWL_TLS_CERTIFICATE_PATH")
MWL_TLS_KEY_PATH = env("MWL_TLS_KEY_PATH")
MWL_TLS_CLIENT_CA_PATH = env("MWL_TLS_CLIENT_CA_PATH")
UNKNOWN_AE_TITLES = one_of("MWL_UNKNOWN_AE_TITLES", "", "accept", "warn", "reject")
MWL_UNKNOWN_AE_TITLES = UNKNOWN_AE_TITLES or "warn"
MWL_CHECK_CALLED_AE_TITLE = env("MWL_CHECK_CALLED_AE_TITLE")
MWL_MAX_ASSOCIATIONS = env("MWL_MAX_ASSOCIATIONS")
MWL_MAX_ASSOCIATIONS_PER_PEER = env("MWL_MAX_ASSOCIATIONS_PER_PEER")
MWL_IDLE_SECONDS = env("MWL_IDLE_SECONDS")
MWL_SHARE_PORT = env("MWL_SHARE_PORT")
MWL_MAX_ROWS = env("MWL_MAX_ROWS")
MWL_FOLD_ACCENTS = env("MWL_FOLD_ACCENTS")
MWL_PROCEDURE_ID_FINDS_ACCESSION = env("MWL_PROCEDURE_ID_FINDS_ACCESSION")
MWL_ISSUER_OF_PATIENT_ID = env("MWL_ISSUER_OF_PATIENT_ID")
MWL_KEEP_QUERIES_DAYS = env("MWL_KEEP_QUERIES_DAYS")


# Images ---------------------------------------------------------------------------------------------------------
IMAGE_WORKLIST = "gateway_project.images.WORKLIST"
MANAGE_API_URL = env("MANAGE_API_URL")
MANAGE_API_RESOURCE = env("MANAGE_API_RESOURCE")
MANAGE_API_TOKEN = env("MANAGE_API_TOKEN")
IMAGES = one_of("IMAGES", "", "on", "off") or ("on" if MANAGE_API_URL else "off")
IMAGE_AE_TITLE = env("IMAGE_AE_TITLE")
IMAGE_HOST = env("IMAGE_HOST") or "127.0.0.1"
IMAGE_PORT = env("IMAGE_PORT")
IMAGE_TLS_PORT = env("IMAGE_TLS_PORT")
IMAGE_TLS_CERTIFICATE_PATH = env("IMAGE_TLS_CERTIFICATE_PATH")
IMAGE_TLS_KEY_PATH = env("IMAGE_TLS_KEY_PATH")
IMAGE_TLS_CLIENT_CA_PATH = env("IMAGE_TLS_CLIENT_CA_PATH")
IMAGE_CHECK_CALLED_AE_TITLE = env("IMAGE_CHECK_CALLED_AE_TITLE")
IMAGE_MAX_ASSOCIATIONS = env("IMAGE_MAX_ASSOCIATIONS")
IMAGE_MAX_ASSOCIATIONS_PER_PEER = env("IMAGE_MAX_ASSOCIATIONS_PER_PEER")
IMAGE_MAX_PER_SECOND_PER_PEER = env("IMAGE_MAX_PER_SECOND_PER_PEER")
IMAGE_IDLE_SECONDS = env("IMAGE_IDLE_SECONDS")
IMAGE_TOMOSYNTHESIS = env("IMAGE_TOMOSYNTHESIS")
IMAGE_SECONDARY_CAPTURE = env("IMAGE_SECONDARY_CAPTURE")
IMAGE_MAX_BYTES = env("IMAGE_MAX_BYTES")
IMAGE_SPOOL_DIR = Path(env("IMAGE_SPOOL_DIR") or BASE_DIR / "spool")
IMAGE_MIN_FREE_BYTES = env("IMAGE_MIN_FREE_BYTES")
IMAGE_KEEP_HOURS = env("IMAGE_KEEP_HOURS")
IMAGE_KEEP_FAILED_DAYS = env("IMAGE_KEEP_FAILED_DAYS")
IMAGE_KEEP_UNLINKED_DAYS = env("IMAGE_KEEP_UNLINKED_DAYS")
IMAGE_COMPLETED_AFTER_MINUTES = env("IMAGE_COMPLETED_AFTER_MINUTES")
IMAGE_PREVIEW_PIXELS = env("IMAGE_PREVIEW_PIXELS")
IMAGE_PREVIEW_RATIO = env("IMAGE_PREVIEW_RATIO")
IMAGE_RETRY_SECONDS = env("IMAGE_RETRY_SECONDS")
IMAGE_FAILURE_DELAY_SECONDS = env("IMAGE_FAILURE_DELAY_SECONDS")
TEST_MACHINE_MWL_HOST = env("TEST_MACHINE_MWL_HOST")
TEST_MACHINE_IMAGE_HOST = env("TEST_MACHINE_IMAGE_HOST")
TEST_MACHINE_MWL_TLS_PORT = env("TEST_MACHINE_MWL_TLS_PORT")
TEST_MACHINE_IMAGE_TLS_PORT = env("TEST_MACHINE_IMAGE_TLS_PORT")
TEST_MACHINE_TLS_CERTIFICATE_PATH = env("TEST_MACHINE_TLS_CERTIFICATE_PATH")
TEST_MACHINE_TLS_KEY_PATH = env("TEST_MACHINE_TLS_KEY_PATH")
TEST_MACHINE_TLS_SERVER_CA_PATH = env("TEST_MACHINE_TLS_SERVER_CA_PATH")

if IMAGES == "on":
    INSTALLED_APPS.insert(INSTALLED_APPS.index("dashboard"), "images")

# Monitoring -----------------------------------------------------------------------------------------------------
METRICS_ALLOWED_NETWORKS = env("METRICS_ALLOWED_NETWORKS")
# Switches tracing on. OpenTelemetry reads this and its other variables from the environment itself.
OTEL_EXPORTER_OTLP_ENDPOINT = env("OTEL_EXPORTER_OTLP_ENDPOINT")


# Logging: one handler and one formatter, which apply the rules of core.logging --------------------------------------
def logging_config(log_format: str, level: str) -> dict[str, Any]:
    """Return the logging configuration; `log_format` is `json` or `readable`."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "correlation": {"()": "core.correlation.CorrelationFilter"},
            "libraries": {"()": "core.logging.LibraryFilter"},
        },
        "formatters": {
            "json": {"()": "core.logging.JsonFormatter"},
            "readable": {"()": "core.logging.ReadableFormatter"},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",  # standard output is for the commands' results
                "filters": ["correlation", "libraries"],
                "formatter": log_format,
            },
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {"django": {"handlers": [], "level": "NOTSET", "propagate": True}},
    }


LOG_FORMAT = one_of("LOG_FORMAT", "", "readable", "json")
LOG_LEVEL = one_of("LOG_LEVEL", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
logging.captureWarnings(capture=True)  # a library's warning may quote a value; without this it would bypass the handler
LOGGING = logging_config(LOG_FORMAT or "readable", LOG_LEVEL)
