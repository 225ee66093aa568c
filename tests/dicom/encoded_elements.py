"""Write data sets by hand, in parts, so that a test can break one part of what it sends (PS3.5 chapter 7)."""

from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from hypothesis import strategies as st

from tests.dicom.raw import EXPLICIT, IMPLICIT, DataSet, Element

SYNTAXES = (IMPLICIT, EXPLICIT)
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
#: The VRs of this module whose length has four bytes in explicit VR.
LONG_VRS = (b"OB", b"OW", b"SQ", b"UN", b"UT")


class Part(NamedTuple):
    """Some bytes of a data set. `is_structure`: they are neither a data element's tag nor a value."""

    content: bytes
    is_structure: bool = False


def header(tag: int, vr: str, length: int, syntax: str) -> bytes:
    """Return the header of an element; of an item or delimiter with an empty VR."""
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    if syntax == IMPLICIT or not vr:
        return head + length.to_bytes(4, "little")
    if vr.encode() in LONG_VRS:
        return head + vr.encode() + bytes(2) + length.to_bytes(4, "little")
    return head + vr.encode() + length.to_bytes(2, "little")


def element(tag: int, vr: str, value: bytes, syntax: str) -> bytes:
    """Return an element with this value, as it stands."""
    return header(tag, vr, len(value), syntax) + value


def item(content: bytes, *, undefined: bool = False) -> bytes:
    """Return an item of a sequence."""
    start = header(ITEM, "", UNDEFINED if undefined else len(content), "")
    return start + content + (header(ITEM_END, "", 0, "") if undefined else b"")


def sequence(tag: int, *items: bytes, syntax: str, undefined: bool = False) -> bytes:
    """Return a sequence of encoded items."""
    content = b"".join(items)
    start = header(tag, "SQ", UNDEFINED if undefined else len(content), syntax)
    return start + content + (header(SEQUENCE_END, "", 0, "") if undefined else b"")


def parts(data_set: DataSet, syntax: str, *, undefined: bool) -> Iterator[Part]:
    """Yield a data set in its parts, its sequences of one item with a defined or undefined length."""
    for tag, vr, value in data_set:
        if isinstance(value, str):
            encoded = element(tag, vr, value.encode(), syntax)
            yield Part(encoded[:4])
            yield Part(encoded[4 : len(encoded) - len(value)], is_structure=True)
            yield Part(value.encode())
            continue
        assert not isinstance(value, bytes)
        inner = tuple(parts(value[0], syntax, undefined=undefined))
        content = b"".join(part.content for part in inner)
        whole = sequence(tag, item(content, undefined=undefined), syntax=syntax, undefined=undefined)
        start, _, end = whole.partition(content)
        yield Part(start[:4])
        yield Part(start[4:], is_structure=True)
        yield from inner
        yield Part(end, is_structure=True)


#: The keys in the scheduled step of the query below.
QUERY_STEP = (
    Element(0x00080060, "CS", "MG"),
    Element(0x00321070, "LO"),
    Element(0x00400001, "AE", "MAMMO1"),
    Element(0x00400002, "DA", "20260310-20260311 "),
)
#: A query of one room, with return keys of many kinds before the keys that narrow it.
QUERY = (
    Element(0x00080005, "CS", "ISO_IR 192"),
    Element(0x00080050, "SH"),
    Element(0x00080090, "PN"),
    Element(0x00091001, "OB"),
    Element(0x00100010, "PN", "SMITH*"),
    Element(0x00100020, "LO", "9990000001"),
    Element(0x00100025, "UN"),
    Element(0x001021C0, "US", "\4\0"),
    Element(0x00321064, "SQ", [[Element(0x00080100, "SH")]]),
    Element(0x00400100, "SQ", [QUERY_STEP]),
)


@st.composite
def broken(draw: st.DrawFn, keys: DataSet) -> tuple[bytes, str]:
    """Draw a data set with one or two faults in its structure, and its transfer syntax.

    A fault is in a VR, a length, an item or a delimiter, or it is an insertion, a repetition, or a cut within an
    element. A changed tag or value is left out: it makes another data set, which nobody can tell from one that was
    meant. So is a cut between two elements, or at what another fault makes the end of one: the fragments say whether
    all of a data set has come (PS3.8 annex E).
    """
    syntax = draw(st.sampled_from(SYNTAXES))
    whole = [part for part in parts(keys, syntax, undefined=draw(st.booleans())) if part.content]
    raw = b"".join(part.content for part in whole)
    starts = list(accumulate((len(part.content) for part in whole), initial=0))
    if draw(st.integers(0, 5)) == 0:
        return raw[: draw(st.sampled_from(sorted(set(range(1, len(raw))) - set(starts))))], syntax
    structure = [(start, part.content) for start, part in zip(starts, whole, strict=False) if part.is_structure]
    few = st.binary(min_size=1, max_size=12)
    faults = draw(st.lists(st.sampled_from(["change", "swallow", "insert", "repeat"]), min_size=1, max_size=2))
    for fault in sorted(faults, key=["change", "swallow", "insert", "repeat"].index):  # the first two keep the places
        start, content = draw(st.sampled_from(structure))
        at = draw(st.integers(0, len(raw) - 1))
        match fault:
            case "change":
                at = start + draw(st.integers(0, len(content) - 1))
                flipped = bytes([raw[at] ^ 1 << draw(st.integers(0, 7))])
                changed = draw(st.sampled_from([flipped, draw(few)]))[: start + len(content) - at]
                raw = raw[:at] + changed + raw[at + len(changed) :]
            case "swallow":
                end = start + len(content)
                length = draw(st.sampled_from([each for each in starts if each >= end])) - end
                size = 2 if syntax == EXPLICIT and content[:2] not in LONG_VRS else 4
                raw = raw[: end - size] + length.to_bytes(size, "little") + raw[end:]
            case "insert":
                raw = raw[:at] + draw(few) + raw[at:]
            case "repeat":
                raw = raw[: at + draw(st.integers(1, 40))] + raw[at:]
    return raw, syntax
