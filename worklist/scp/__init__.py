"""The DICOM wire: with `nonprod`, the only code that knows pynetdicom."""
