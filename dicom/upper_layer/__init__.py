"""The DICOM upper layer and DIMSE for an acceptor, sans-I/O: bytes in, events out (PS3.7, PS3.8)."""
