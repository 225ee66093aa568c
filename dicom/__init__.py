"""DICOM over TCP and TLS: the server, its association policy and the configured modalities. Imports no other app."""
