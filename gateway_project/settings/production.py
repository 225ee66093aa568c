"""Settings for a hospital: secure by default, without `nonprod`. core/checks.py refuses to start if one is missing."""

from .base import *  # noqa: F403
from .base import LOG_FORMAT, LOG_LEVEL, UNKNOWN_AE_TITLES, env, logging_config

PRODUCTION = True

MWL_HOST = env("MWL_HOST") or "0.0.0.0"  # noqa: S104 - modalities connect over the hospital's network
IMAGE_HOST = env("IMAGE_HOST") or "0.0.0.0"  # noqa: S104 - as for the worklist
MWL_UNKNOWN_AE_TITLES = UNKNOWN_AE_TITLES or "reject-once-configured"
LOGGING = logging_config(LOG_FORMAT or "json", LOG_LEVEL)

SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SESSION_COOKIE_AGE = 12 * 60 * 60  # a working day
SECURE_SSL_REDIRECT = env("SECURE_SSL_REDIRECT")
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SECURE_CONTENT_TYPE_NOSNIFF = True
if env("TRUST_X_FORWARDED_PROTO"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
