"""The DICOM app: the server's association policy and the table of modalities."""

from django.apps import AppConfig


class DicomConfig(AppConfig):
    """DICOM's upper layer and the modalities that use it."""

    name = "dicom"
    verbose_name = "DICOM"
