"""Owns the checks of what production must not start with, run before every command."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

#: Id → setting, lowest, highest, hint.
Ranges = dict[str, tuple[str, int, int, str]]

RANGES: Ranges = {
    "core.E006": ("DATABASE_WAIT_SECONDS", 1, 12, "An action may wait twice so long, and its sender waits 30 seconds."),
    "core.E007": ("WEB_PORT", 1, 65535, "8000 unless set; below 1024 needs a privilege."),
}


@register
def check_core_settings(**kwargs: Any) -> Sequence[CheckMessage]:
    """Nothing of security outside production: local settings are insecure on purpose, and on loopback."""
    return [*errors_of_ranges(RANGES), *_errors_of_networks(), *(_complaints() if settings.PRODUCTION else ())]


def errors_of_ranges(ranges: Ranges) -> Iterator[CheckMessage]:
    """An error for each setting that is outside its range."""
    for identifier, (name, lowest, highest, hint) in ranges.items():
        value = getattr(settings, name)
        if not lowest <= value <= highest:
            yield Error(f"{name} is {value}, and not from {lowest} to {highest}", hint=hint, id=identifier)


def _errors_of_networks() -> Iterator[CheckMessage]:
    for network in settings.METRICS_ALLOWED_NETWORKS:
        try:
            ip_network(network)
        except ValueError:
            problem = f"METRICS_ALLOWED_NETWORKS names {network!r}, which is no network"
            yield Error(problem, hint="Such as 10.1.2.0/24 or 10.1.2.3, with commas between them.", id="core.E008")


def _complaints() -> Iterator[CheckMessage]:
    if _secret_key_strength() < 50:
        yield Error(
            "SECRET_KEY is missing or short",
            hint="50 characters or more: python -c 'import secrets; print(secrets.token_urlsafe(64))'. "
            "SECRET_KEY_FILE names a file that holds it.",
            id="core.E001",
        )
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        yield Error(
            "ALLOWED_HOSTS does not say by which names the web server is called",
            hint="The host names in the browser's address line, with commas between them.",
            id="core.E002",
        )
    if settings.DEBUG:
        yield Error("DEBUG is on in production", hint="It shows patient data in error pages.", id="core.E003")
    if "nonprod" in settings.INSTALLED_APPS:
        yield Error("nonprod is installed in production", hint="It has emulators in it.", id="core.E004")
    if not settings.DATABASE_URL_IS_SET:
        yield Error(
            "DATABASE_URL is not set",
            hint="postgres://user:password@host:5432/name, or sqlite:////var/lib/gateway/gateway.sqlite3.",
            id="core.E005",
        )


def _secret_key_strength() -> int:
    """The number of different characters counts, too: fifty times the same is not a key."""
    try:
        key: str = settings.SECRET_KEY
    except ImproperlyConfigured:  # Django's word for an empty one
        return 0
    return len(key) if len(set(key)) >= 5 else 0
