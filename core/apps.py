"""Register core's system checks, and keep patient data out of the log of a crash."""

from django.apps import AppConfig
from django.conf import settings


class CoreConfig(AppConfig):
    """What the relay, DICOM and the worklist share."""

    name = "core"

    def ready(self) -> None:
        from core import checks, logging  # noqa: F401

        if settings.PRODUCTION:
            logging.log_uncaught_exceptions()
