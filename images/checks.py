"""Check the settings of images before every command (Django's system checks)."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from core.checks import GATEWAY, Ranges, errors_of_ranges
from dicom.checks import ServerErrorIds, server_errors

GIB = 1 << 30
RANGES: Ranges = {
    "images.E002": ("IMAGE_PORT", 0, 65535, "The default is 11113. A port below 1024 needs a privilege; 0: TLS only."),
    "images.E003": ("IMAGE_TLS_PORT", 0, 65535, "A port below 1024 needs a privilege; 0 means no TLS."),
    "images.E004": ("IMAGE_MAX_ASSOCIATIONS", 1, 1000, "The default is 20."),
    "images.E005": ("IMAGE_MAX_ASSOCIATIONS_PER_PEER", 1, 1000, "The default is 10."),
    "images.E006": ("IMAGE_IDLE_SECONDS", 5, 3600, "The default is 60."),
    "images.E007": ("IMAGE_MAX_BYTES", 1 << 20, 16 * GIB, "The default is 1 GiB; an image has 8 to 60 MB."),
    "images.E008": ("IMAGE_MIN_FREE_BYTES", 0, 1024 * GIB, "The default is 2 GiB."),
    "images.E009": ("IMAGE_KEEP_HOURS", 0, 720, "The default is 24."),
    "images.E010": ("IMAGE_KEEP_FAILED_DAYS", 1, 90, "The default is 7."),
    "images.E011": ("IMAGE_KEEP_UNLINKED_DAYS", 1, 90, "The default is 7."),
    "images.E012": ("IMAGE_COMPLETED_AFTER_MINUTES", 0, 1440, "The default is 0: never."),
    "images.E013": ("IMAGE_PREVIEW_PIXELS", 64, 4096, "The default is 400, as much as Manage shows."),
    "images.E014": ("IMAGE_PREVIEW_RATIO", 1, 100, "The default is 15."),
    "images.E015": ("IMAGE_RETRY_SECONDS", 1, 300, "The default is 300, five minutes."),
    "images.E016": ("IMAGE_FAILURE_DELAY_SECONDS", 1, 3600, "The default is 120."),
    "images.E025": ("IMAGE_MAX_PER_SECOND_PER_PEER", 1, 1000, "The default is 20."),
    "images.E026": ("TEST_MACHINE_MWL_TLS_PORT", 0, 65535, "0 means MWL_TLS_PORT."),
    "images.E027": ("TEST_MACHINE_IMAGE_TLS_PORT", 0, 65535, "0 means IMAGE_TLS_PORT."),
}
SERVER_ERRORS = ServerErrorIds(
    ae_title="images.E001",
    no_port="images.E017",
    same_port="images.E022",
    tls_file_missing="images.E023",
    tls_files_unusable="images.E024",
)


@register(GATEWAY)
def check_image_settings(**kwargs: Any) -> Sequence[CheckMessage]:
    """Report every setting that would keep an image from Manage."""
    return [*_errors(), *errors_of_ranges(RANGES)]


def _errors() -> Iterator[CheckMessage]:
    yield from server_errors("IMAGE", 11113, SERVER_ERRORS)
    address = urlsplit(settings.MANAGE_API_URL)
    if address.scheme not in {"http", "https"} or not address.hostname:
        yield Error(
            "MANAGE_API_URL is not the address of Manage's API",
            hint="Set it to an https:// address that ends in /api/v1; or set IMAGES=off.",
            id="images.E018",
        )
    elif settings.PRODUCTION and address.scheme != "https":
        yield Error(
            "MANAGE_API_URL is not an https:// address",
            hint="In production copies of images, and the token, go to Manage over TLS only.",
            id="images.E019",
        )
    if not settings.MANAGE_API_RESOURCE and not settings.MANAGE_API_TOKEN:
        yield Error(
            "Neither MANAGE_API_RESOURCE nor MANAGE_API_TOKEN is set",
            hint="Set MANAGE_API_RESOURCE to the application ID URI that Manage has in Entra ID.",
            id="images.E020",
        )
    elif settings.PRODUCTION and settings.MANAGE_API_TOKEN:
        yield Error(
            "MANAGE_API_TOKEN is set",
            hint="A static token is for development. Set MANAGE_API_RESOURCE, and leave MANAGE_API_TOKEN empty.",
            id="images.E021",
        )
