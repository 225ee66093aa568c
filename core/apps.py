"""Registers core's system checks, and keeps patients out of what a crash says."""

from django.apps import AppConfig
from django.conf import settings


class CoreConfig(AppConfig):
    """The words that both edges use."""

    name = "core"

    def ready(self) -> None:
        from core import checks, logging  # noqa: F401

        if settings.PRODUCTION:
            logging.log_uncaught_exceptions()
