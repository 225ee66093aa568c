"""Associations as machines in the field request them: liberal in what comes in, strict in what goes out (PS3.8).

After each test the fixture `modality` checks that the server is never silent and keeps nothing.
"""

import struct

import pytest

from dicom.association import Association
from tests.dicom.odd_modality import OddModality, assert_is_served, found, refusal, statuses
from tests.dicom.raw import (
    ABORT,
    ABSTRACT,
    APPLICATION,
    APPLICATION_CONTEXT,
    CLASS,
    CLOSED,
    ECHO_CONTEXT,
    FIND_CONTEXT,
    IDENTITY,
    IMPLEMENTATION,
    IMPLICIT,
    IS_LAST,
    ITEMS_AT,
    LONGEST,
    MPPS,
    OFFER,
    OPERATIONS_WINDOW,
    REJECT,
    RESULT,
    ROLES,
    TRANSFER,
    USER,
    USUAL_USER,
    VERIFICATION,
    VERSION,
    WORKLIST,
    Element,
    accepted_user_items,
    association_request,
    data,
    echo_request,
    encoded,
    find_request,
    item,
    items,
    longest,
    message,
    offer,
    pdu,
    request_of_items,
    results,
    usual_offers,
    values,
)
from tests.dicom.requests import CALLED
from tests.dicom.serving import port_of, serving
from tests.factories import WorklistItemFactory

pytestmark = pytest.mark.once

UNKNOWN_SUB_ITEMS = [
    pytest.param(kind, content, id=f"{kind:02X}, {len(content)} bytes")
    for kind, content in [(0x5A, b""), (0x5A, b"\x01\x02\x03"), (0x7F, b"abc"), (0xFE, b"\xff" * 300), (0x00, b"")]
]
PLACES = [0, 1, 2]


class TestUnknownItems:
    """PS3.8 section 9.3.1 and annex D.2: an item of an unknown type is skipped."""

    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize(("kind", "content"), UNKNOWN_SUB_ITEMS)
    def test_in_the_user_information_are_skipped(
        self, modality: OddModality, kind: int, content: bytes, place: int
    ) -> None:
        user = list(USUAL_USER)
        user.insert(place, item(kind, content))
        line = modality.sends(association_request(user=user))
        assert set(accepted_user_items(line.accepted())) >= {LONGEST, CLASS}
        assert_is_served(line)

    @pytest.mark.parametrize("place", range(6))
    @pytest.mark.parametrize("kind", [0x22, 0x5A, 0x60, 0xFF])
    def test_of_the_request_are_skipped(self, modality: OddModality, kind: int, place: int) -> None:
        parts = [item(APPLICATION, APPLICATION_CONTEXT), *usual_offers(), item(USER, b"".join(USUAL_USER))]
        parts.insert(place, item(kind, b"\x00\x01\x02"))
        line = modality.sends(request_of_items(b"".join(parts)))
        assert set(results(line.accepted()).values()) == {0}
        assert_is_served(line)

    @pytest.mark.parametrize("place", PLACES)
    def test_of_a_presentation_context_are_skipped(self, modality: OddModality, place: int) -> None:
        parts = [item(ABSTRACT, VERIFICATION), item(TRANSFER, IMPLICIT)]
        parts.insert(place, item(0x41, b"1.2.3"))
        line = modality.sends(association_request([item(OFFER, bytes([1, 0, 0, 0]) + b"".join(parts))]))
        assert results(line.accepted()) == {1: 0}
        assert_is_served(line)

    def test_that_are_longer_than_the_request_end_it_at_once(self, modality: OddModality) -> None:
        for kind, at in ((0x5A, USER), (0x60, None)):
            broken = struct.pack(">BxH", kind, 500) + b"x"
            line = modality.sends(
                association_request(user=[*USUAL_USER, broken]) if at else association_request(behind=broken)
            )
            assert refusal(line)[0] in (REJECT, ABORT)


class TestTheUserInformation:
    @pytest.mark.parametrize(
        "user",
        [
            pytest.param([], id="is empty"),
            pytest.param([item(CLASS, IMPLEMENTATION)], id="has no maximum length"),
            pytest.param([longest(16384)], id="has no implementation class"),
            pytest.param([longest(16384), longest(8192), item(CLASS, IMPLEMENTATION)], id="repeats the maximum length"),
            pytest.param([*USUAL_USER, item(CLASS, "1.2.3")], id="repeats the implementation class"),
            pytest.param([longest(16384), item(CLASS, b"")], id="has an empty implementation class"),
            pytest.param([longest(16384), item(CLASS, "1.2." + "3" * 80)], id="has a long implementation class"),
            pytest.param([longest(16384), item(CLASS, "not a UID")], id="has no UID as implementation class"),
            pytest.param([longest(16384), item(CLASS, b"1.2.3\0")], id="pads its implementation class"),
            pytest.param([*USUAL_USER, item(VERSION, b"")], id="has an empty version name"),
            pytest.param([*USUAL_USER, item(VERSION, b"x" * 17)], id="has a version name of 17 characters"),
            pytest.param([*USUAL_USER, item(VERSION, b"x" * 20)], id="has a version name of 20 characters"),
            pytest.param([*USUAL_USER, item(VERSION, b"x" * 300)], id="has a version name of 300 characters"),
            pytest.param([*USUAL_USER, item(VERSION, b"M\xdcLLER \x80\xff")], id="has a version name beyond ASCII"),
            pytest.param([*USUAL_USER, item(VERSION, b"ACME\0\0\0\0")], id="pads its version name with NULs"),
            pytest.param([*USUAL_USER, item(VERSION, b"A")] * 2, id="repeats everything"),
        ],
    )
    def test_only_informs(self, modality: OddModality, user: list[bytes]) -> None:
        line = modality.sends(association_request(user=user))
        sent = accepted_user_items(line.accepted())
        assert len(sent[LONGEST]) == 4
        assert 1 <= len(sent[VERSION]) <= 16
        assert_is_served(line)

    def test_may_be_missing(self, modality: OddModality) -> None:
        line = modality.sends(request_of_items(item(APPLICATION, APPLICATION_CONTEXT) + b"".join(usual_offers())))
        if line.receive().kind not in (REJECT, ABORT):
            assert_is_served(line)

    @pytest.mark.parametrize("offered", [(0, 0), (1, 1), (5, 9), (65535, 65535)])
    def test_may_offer_asynchronous_operations_which_are_limited_to_one(
        self, modality: OddModality, offered: tuple[int, int]
    ) -> None:
        """PS3.7 annex D.3.3.3: without an answer, or with a window of one, operations are synchronous."""
        line = modality.sends(
            association_request(user=[*USUAL_USER, item(OPERATIONS_WINDOW, struct.pack(">HH", *offered))])
        )
        answered = accepted_user_items(line.accepted()).get(OPERATIONS_WINDOW, struct.pack(">HH", 1, 1))
        assert answered == struct.pack(">HH", 1, 1)
        assert_is_served(line)

    @pytest.mark.parametrize("wants_response", [0, 1])
    @pytest.mark.parametrize(
        ("kind", "secret"), [(1, b"nurse"), (2, b"nurse"), (3, b"\x60\x82"), (5, b"e30.e30."), (77, b"")]
    )
    def test_may_identify_a_user(self, modality: OddModality, kind: int, secret: bytes, wants_response: int) -> None:
        """PS3.7 annex D.3.3.7: an acceptor that does not support it sends no answer."""
        passcode = b"pass" if kind == 2 else b""
        identity = bytes([kind, wants_response])
        for part in (secret, passcode):
            identity += struct.pack(">H", len(part)) + part
        line = modality.sends(association_request(user=[*USUAL_USER, item(IDENTITY, identity)]))
        assert 0x59 not in accepted_user_items(line.accepted())
        assert_is_served(line)

    @pytest.mark.parametrize(("as_scu", "as_scp"), [(1, 0), (1, 1), (0, 1), (0, 0)])
    def test_may_select_roles(self, modality: OddModality, as_scu: int, as_scp: int) -> None:
        """PS3.7 annex D.3.3.4: the acceptor takes no role that was not offered, and none that it does not have."""
        role = struct.pack(">H", len(WORKLIST)) + WORKLIST.encode() + bytes([as_scu, as_scp])
        line = modality.sends(association_request(user=[*USUAL_USER, item(ROLES, role)]))
        answered = accepted_user_items(line.accepted()).get(ROLES)
        if answered is not None:
            assert (answered[-2] <= as_scu, answered[-1]) == (True, 0)
        assert_is_served(line)

    @pytest.mark.parametrize("kind", [LONGEST, OPERATIONS_WINDOW, ROLES, 0x56, 0x57, IDENTITY])
    @pytest.mark.parametrize(
        "content", [b"", b"\x00", b"\xff\xff", b"\xff" * 5], ids=lambda content: content.hex() or "-"
    )
    def test_may_hold_a_sub_item_that_cannot_be_read(self, modality: OddModality, kind: int, content: bytes) -> None:
        line = modality.sends(association_request(user=[*USUAL_USER, item(kind, content)]))
        received = line.receive()
        if received.kind not in (REJECT, ABORT):
            assert_is_served(line)


class TestPresentationContexts:
    @pytest.mark.parametrize(
        "ids",
        [(3, 5, 2, 4), (2,), (1, 2), (2, 1), (1, 1), (3, 1, 3), (1, 1, 1), (0,), (0, 1), (254, 255), (2, 2, 1)],
        ids=str,
    )
    def test_whose_ids_are_even_or_doubled_are_rejected_and_the_others_served(
        self, modality: OddModality, ids: tuple[int, ...]
    ) -> None:
        """PS3.8 section 9.3.2.2: ids are odd and differ. A context that breaks this is rejected without a reason."""
        line = modality.sends(association_request([offer(each, VERIFICATION) for each in ids]))
        answered = [(each[0], each[2]) for kind, each in items(line.accepted(), ITEMS_AT) if kind == RESULT]
        right = [each for each in dict.fromkeys(ids) if each % 2 and ids.count(each) == 1]
        assert answered == [(each, 0 if each in right else 2) for each in dict.fromkeys(ids)]
        for context_id in right:
            assert statuses(line.ask(context_id, echo_request())) == [0x0000]
        line.release()

    @pytest.mark.parametrize("ids", [(5, 3, 1), (255, 1, 127), (3, 5, 1)], ids=str)
    def test_may_come_in_any_order(self, modality: OddModality, ids: tuple[int, ...]) -> None:
        line = modality.sends(association_request([offer(each, VERIFICATION) for each in ids]))
        assert results(line.accepted()) == dict.fromkeys(ids, 0)
        assert_is_served(line, ids[-1])

    def test_may_be_all_that_there_are(self, modality: OddModality) -> None:
        ids = range(1, 256, 2)
        line = modality.sends(association_request([offer(each, VERIFICATION, IMPLICIT, "1.2.3") for each in ids]))
        assert results(line.accepted()) == dict.fromkeys(ids, 0)
        assert_is_served(line, 255)

    @pytest.mark.parametrize(
        ("offered", "result"),
        [
            (item(ABSTRACT, "1.2.840.10008.5.1.4.1.1.2") + item(TRANSFER, IMPLICIT), 3),
            (item(ABSTRACT, VERIFICATION) + item(TRANSFER, "1.2.840.10008.1.2.2"), 4),
            (item(ABSTRACT, VERIFICATION + "\0") + item(TRANSFER, IMPLICIT + "\0"), 0),
            (item(ABSTRACT, VERIFICATION + " ") + item(TRANSFER, IMPLICIT + " "), 0),
            (item(ABSTRACT, VERIFICATION) + item(TRANSFER, "1.2.3") + item(TRANSFER, IMPLICIT), 0),
            (item(TRANSFER, IMPLICIT) + item(ABSTRACT, VERIFICATION), 0),
        ],
    )
    def test_are_accepted_or_rejected_one_by_one(self, modality: OddModality, offered: bytes, result: int) -> None:
        first = item(OFFER, bytes([1, 0, 0, 0]) + offered)
        line = modality.sends(association_request([first, offer(3, VERIFICATION)]))
        assert results(line.accepted()) == {1: result, 3: 0}
        assert_is_served(line, 3)

    @pytest.mark.parametrize(
        "offered",
        [
            b"",
            item(ABSTRACT, VERIFICATION),
            item(TRANSFER, IMPLICIT),
            item(ABSTRACT, b"") + item(TRANSFER, b""),
            item(ABSTRACT, VERIFICATION) * 2 + item(TRANSFER, IMPLICIT),
            item(ABSTRACT, b"\xff\xfe") + item(TRANSFER, b"\x80"),
            item(ABSTRACT, "1." * 60 + "1") + item(TRANSFER, IMPLICIT),
        ],
        ids=range(7),
    )
    def test_that_lack_a_sub_item_are_refused_and_the_others_served(
        self, modality: OddModality, offered: bytes
    ) -> None:
        first = item(OFFER, bytes([1, 0, 0, 0]) + offered)
        line = modality.sends(association_request([first, offer(3, VERIFICATION)]))
        received = line.receive()
        if received.kind not in (REJECT, ABORT):
            assert results(received.content)[3] == 0
            assert_is_served(line, 3)

    def test_may_be_none(self, modality: OddModality) -> None:
        line = modality.sends(association_request([]))
        if line.receive().kind not in (REJECT, ABORT):
            line.release()

    def test_that_are_cut_off_end_the_request_at_once(self, modality: OddModality) -> None:
        for cut in (b"", b"\x01", b"\x01\x00\x00"):
            line = modality.sends(association_request([item(OFFER, cut)]))
            assert line.receive().kind in (REJECT, ABORT)

    def test_of_another_application_context_are_rejected(self, modality: OddModality) -> None:
        """PS3.8 table 9-21: rejected-permanent, service-user, application context name not supported."""
        parts = [item(APPLICATION, "1.2.3"), *usual_offers(), item(USER, b"".join(USUAL_USER))]
        line = modality.sends(request_of_items(b"".join(parts)))
        received = line.receive()
        if received.kind == REJECT:
            assert received.content[1:] == b"\x01\x01\x02"
        else:
            assert_is_served(line)


class TestTheProtocolVersion:
    @pytest.mark.parametrize("version", [0, 2, 0x8000])
    def test_without_bit_0_is_rejected(self, modality: OddModality, version: int) -> None:
        """PS3.8 section 9.3.2 and table 9-21: only bit 0 is tested."""
        wanted = bytearray(association_request())
        wanted[6:8] = struct.pack(">H", version)
        assert refusal(modality.sends(bytes(wanted))) == (REJECT, 1, 2, 2)

    @pytest.mark.parametrize("version", [3, 0xFFFF])
    def test_may_have_other_bits(self, modality: OddModality, version: int) -> None:
        wanted = bytearray(association_request())
        wanted[6:8] = struct.pack(">H", version)
        line = modality.sends(bytes(wanted))
        line.accepted()
        assert_is_served(line)

    def test_reserved_bytes_are_not_tested(self, modality: OddModality) -> None:
        wanted = bytearray(association_request())
        wanted[1], wanted[8:10], wanted[42:74] = 0xFF, b"\xff\xff", b"\xff" * 32
        line = modality.sends(bytes(wanted))
        line.accepted()
        assert_is_served(line)


class TestAeTitles:
    """PS3.8 sections 9.3.2 and PS3.5 table 6.2-1."""

    @pytest.mark.parametrize(
        "title",
        [
            b"MAMMO1".ljust(16, b"\0"),
            b"MAMMO1\0".ljust(16),
            b"MAMMO1 \0\0".ljust(16, b"\xff"),
            b"MAMMO1\0CD".ljust(16),
            b"MAMMO1\0" + b"\xcd" * 9,
            b"  MAMMO1".ljust(16),
            b"MAMMO1".rjust(16),
            b"ROOM 1/LEFT-HAND",
        ],
    )
    def test_end_with_their_first_nul(
        self, modality: OddModality, title: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        line = modality.sends(association_request(calling=title))
        line.accepted()
        assert_is_served(line)
        read = title.split(b"\0")[0].strip().decode()
        assert read in {vars(record).get("calling_ae_title") for record in caplog.records}

    @pytest.mark.parametrize(
        "called", [CALLED.encode().ljust(16, b"\0"), CALLED.encode() + b"\0CD", CALLED.encode().rjust(16)]
    )
    def test_of_the_called_entity_too(self, modality: OddModality, called: bytes) -> None:
        line = modality.sends(association_request(called=called))
        line.accepted()
        assert_is_served(line)

    @pytest.mark.parametrize(
        "title",
        [
            b" " * 16,
            bytes(16),
            b"\0MAMMO1",
            b"\xc0\xb3\x60\x49\xfc\x7f".ljust(16),
            b"MAMMO\t1",
            b"MAMMO\x1b[31m",
            b"MAMMO\\1",
            b"\r\nlevel=ERROR",
        ],
    )
    def test_that_are_none_are_rejected_and_logged_escaped(
        self, modality: OddModality, title: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        """PS3.8 table 9-21: 3 is calling, 7 called AE title not recognised."""
        assert refusal(modality.sends(association_request(calling=title))) == (REJECT, 1, 1, 3)
        assert refusal(modality.sends(association_request(called=title))) == (REJECT, 1, 1, 7)
        written = " ".join(str(vars(record)) for record in caplog.records if record.name.startswith("dicom"))
        assert not {character for character in written if not character.isprintable()}
        if b"\xc0" in title:
            assert r"\xc0\xb3`I\xfc\x7f" in written.replace("\\\\", "\\")

    def test_come_back_as_they_were_sent(self, modality: OddModality) -> None:
        """PS3.8 section 9.3.3: the bytes of the titles are those of the request."""
        sent = association_request(calling=b"MAMMO1".ljust(16, b"\0"))
        line = modality.sends(sent)
        assert line.accepted()[4:36] in (sent[10:42], sent[10:42].replace(b"\0", b" "))
        assert_is_served(line)


class TestTheMaximumLength:
    @pytest.fixture(autouse=True)
    def _items(self, transactional_db: None) -> None:
        WorklistItemFactory.create_batch(3, patient_comments="x" * 999)

    @pytest.mark.parametrize("length", [8, 31, 33, 1023, 16383, 131072, 0xFFFFFFFF, 0])
    def test_is_kept_to_with_fragments_of_an_even_length(self, modality: OddModality, length: int) -> None:
        """PS3.8 annexes D.1.1 and E.1: the length counts all values of a P-DATA-TF; 0 is no limit."""
        line = modality.sends(association_request(user=[longest(length), item(CLASS, IMPLEMENTATION)]))
        line.accepted()
        keys = encoded([Element(0x00080050, "SH"), Element(0x00104000, "LT")])
        line.send(message(FIND_CONTEXT, find_request(), keys, 30))
        fragments, last_fragments = [], 0
        while last_fragments < 3 + 4:  # the data sets of three rows, and four command sets
            received = line.receive()
            assert len(received.content) <= (length or 1 << 40)
            for context_id, header, fragment in values(received.content):
                assert context_id == FIND_CONTEXT
                fragments.append(fragment)
                last_fragments += header >> 1 & 1
        assert not [len(fragment) for fragment in fragments if len(fragment) % 2 or not fragment]
        assert sum(map(len, fragments)) > 2997
        assert_is_served(line)

    @pytest.mark.parametrize("length", range(1, 8))
    def test_in_which_no_message_fits_is_refused_at_once(self, modality: OddModality, length: int) -> None:
        line = modality.sends(association_request(user=[longest(length), item(CLASS, IMPLEMENTATION)]))
        assert refusal(line)[0] in (REJECT, ABORT)

    def test_that_we_announce_is_our_own(self, modality: OddModality) -> None:
        line = modality.sends(association_request(user=[longest(100), item(CLASS, IMPLEMENTATION)]))
        (announced,) = struct.unpack(">L", accepted_user_items(line.accepted())[LONGEST])
        assert announced >= 4096
        fragment = bytes(announced - 6)
        line.send(data(ECHO_CONTEXT, IS_LAST, fragment))  # no command set comes first
        assert refusal(line)[0] == ABORT

    def test_that_we_announce_is_a_limit(self, modality: OddModality) -> None:
        line = modality.associated()
        line.send(pdu(4, struct.pack(">LBB", 1 << 24, ECHO_CONTEXT, 0)), bytes(200_000))
        assert refusal(line) == (ABORT, 0, 2, 6)


class TestWhatGoesOut:
    def test_is_strict(self, modality: OddModality) -> None:
        """PS3.8 section 9.3.3: reserved bytes 0, items in order, one transfer syntax a context."""
        line = modality.sends(association_request([offer(1, VERIFICATION), offer(3, MPPS), offer(5, "1.2.3")]))
        accept = line.accepted()
        assert accept[:4] == b"\x00\x01\x00\x00"
        kinds = [kind for kind, _ in items(accept, 68)]
        assert kinds == [APPLICATION, 0x21, 0x21, 0x21, USER]
        for kind, content in items(accept, 68):
            if kind == 0x21:
                assert (content[1], content[3]) == (0, 0)
                assert [sub for sub, _ in items(content, 4)] == [TRANSFER]
        user = accepted_user_items(accept)
        assert set(user) <= {LONGEST, CLASS, VERSION, OPERATIONS_WINDOW}
        assert user[CLASS].decode().replace(".", "").isdigit()
        assert_is_served(line)


def test_found_rows_reach_a_modality_with_the_usual_habits(modality: OddModality, transactional_db: None) -> None:
    WorklistItemFactory.create_batch(2)
    line = modality.associated()
    assert statuses(found(line, [Element(0x00080050, "SH")])) == [0xFF00, 0xFF00, 0x0000]
    line.release()


def test_a_connection_that_gets_no_thread_keeps_no_place(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: Association) -> None:
        raise RuntimeError("can't start new thread")

    with serving(max_associations=1, max_per_peer=1) as running:
        with monkeypatch.context() as patch:
            patch.setattr(Association, "start", no_thread)
            for _ in range(3):
                line = OddModality(port_of(running)).sends()
                assert line.receive().kind == CLOSED
        assert running.associations == []
        assert_is_served(OddModality(port_of(running)).associated())
