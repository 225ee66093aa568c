"""Tell whole code streams of compressed frames from those that are cut off, without decoding them. Pure."""

#: How JPEG and JPEG-LS begin (SOI), JPEG 2000 (SOC, SIZ), and JPEG 2000 in a JP2 file: some units send its boxes, too,
#: which PS3.5 section A.4.4 forbids, and Pillow decodes them.
BEGINNINGS = (b"\xff\xd8", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")
#: EOI of JPEG and JPEG-LS, EOC of JPEG 2000: nowhere else in a code stream.
END = b"\xff\xd9"
#: How many bytes show how one begins, and how one ends: NULs may follow, to an even length or further.
LONGEST_BEGINNING, LONGEST_END = 8, 64


def has_beginning(stream: bytes) -> bool:
    """Tell whether a code stream, or the first bytes of one, begins as one."""
    return stream.startswith(BEGINNINGS)


def has_end(stream: bytes) -> bool:
    """Tell whether a code stream, or the last bytes of one, ends as one."""
    return stream[-LONGEST_END:].rstrip(b"\0").endswith(END)
