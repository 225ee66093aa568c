"""The DICOM app: the server, its association policy and the table of modalities."""

from django.apps import AppConfig


class DicomConfig(AppConfig):
    name = "dicom"
    verbose_name = "DICOM"
