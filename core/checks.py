"""Refuse to start with wrong or insecure settings: Django system checks, run before every command."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

#: The tag of our own checks. A command that shows no page needs no others, which would import every page.
GATEWAY = "gateway"

#: Check id → setting, lowest value, highest value, hint.
Ranges = dict[str, tuple[str, int, int, str]]

RANGES: Ranges = {
    "core.E006": ("DATABASE_WAIT_SECONDS", 1, 12, "An action may wait twice as long, and its sender waits 30 seconds."),
    "core.E007": ("WEB_PORT", 1, 65535, "The default is 8000. A port below 1024 needs a privilege."),
}


@register(GATEWAY)
def check_core_settings(**kwargs: Any) -> Sequence[CheckMessage]:
    """Check the settings of core. Security is checked in production only: local settings are insecure on purpose."""
    errors = [*errors_of_ranges(RANGES)]
    if settings.PRODUCTION:
        errors += _production_errors()
    for network in settings.METRICS_ALLOWED_NETWORKS:
        try:
            ip_network(network)
        except ValueError:
            problem = f"METRICS_ALLOWED_NETWORKS has {network!r}, which is not a network"
            errors.append(Error(problem, hint="Separate networks by commas: 10.1.2.0/24,10.1.2.3.", id="core.E008"))
    return errors


def errors_of_ranges(ranges: Ranges) -> Iterator[CheckMessage]:
    """Yield an error for each setting outside its range."""
    for identifier, (name, lowest, highest, hint) in ranges.items():
        value = getattr(settings, name)
        if not lowest <= value <= highest:
            yield Error(f"{name} is {value}; it must be from {lowest} to {highest}", hint=hint, id=identifier)


def _production_errors() -> Iterator[CheckMessage]:
    try:
        key: str = settings.SECRET_KEY
    except ImproperlyConfigured:  # Django raises it for an empty key
        key = ""
    if len(key) < 50 or len(set(key)) < 5:  # one character fifty times is no key
        yield Error(
            "SECRET_KEY is missing or too short",
            hint="Use 50 characters or more: python -c 'import secrets; print(secrets.token_urlsafe(64))'. "
            "To read it from a file, set SECRET_KEY_FILE.",
            id="core.E001",
        )
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        yield Error(
            "ALLOWED_HOSTS does not list the web server's host names",
            hint="List the host names that browsers use, separated by commas.",
            id="core.E002",
        )
    if settings.DEBUG:
        yield Error("DEBUG is on in production", hint="Its error pages show patient data.", id="core.E003")
    if "nonprod" in settings.INSTALLED_APPS:
        yield Error("nonprod is installed in production", hint="It contains emulators.", id="core.E004")
    if not settings.DATABASE_URL_IS_SET:
        yield Error(
            "DATABASE_URL is not set",
            hint="postgres://user:password@host:5432/name, or sqlite:////var/lib/gateway/gateway.sqlite3.",
            id="core.E005",
        )
