"""Tell whether the codestream of a compressed frame is cut off, without decoding it. Pure."""

#: How JPEG and JPEG-LS begin (SOI), JPEG 2000 (SOC, SIZ), and JPEG 2000 in a JP2 file. PS3.5 section A.4.4 forbids the
#: boxes of such a file, but some units send them, and Pillow decodes them.
BEGINNINGS = (b"\xff\xd8", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")
#: EOI of JPEG and JPEG-LS, EOC of JPEG 2000: nowhere else in a codestream.
END = b"\xff\xd9"
#: How many bytes are needed to tell how one begins, and how it ends: NULs may follow, to an even length or further.
LONGEST_BEGINNING, LONGEST_END = 8, 64


def has_beginning(stream: bytes) -> bool:
    """Tell whether a codestream, or the first bytes of one, begins as one."""
    return stream.startswith(BEGINNINGS)


def has_end(stream: bytes) -> bool:
    """Tell whether a codestream, or the last bytes of one, ends as one."""
    return stream[-LONGEST_END:].rstrip(b"\0").endswith(END)
