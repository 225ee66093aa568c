"""DICOM over TCP: the server, its association policy and the configured modalities. It knows no other app."""
