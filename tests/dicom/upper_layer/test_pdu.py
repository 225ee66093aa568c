"""PDUs: read liberally, written to the letter."""

import pytest

from dicom.upper_layer.pdu import (
    AbortReason,
    AssociateRequest,
    MalformedPdu,
    PduType,
    PresentationDataValue,
    decode_pdu,
    encode_message,
    read_ae_title,
)
from tests.dicom import raw

MAX_ITEMS = 100


def request(content: bytes) -> AssociateRequest:
    """Decode an A-ASSOCIATE-RQ."""
    decoded = decode_pdu(PduType.ASSOCIATE_RQ, content[6:], MAX_ITEMS)
    assert isinstance(decoded, AssociateRequest)
    return decoded


class TestAnAssociationRequest:
    def test_has_its_contexts_and_user_information(self) -> None:
        decoded = request(raw.association_request(user=[raw.longest(31), raw.item(raw.CLASS, "1.2.3")]))
        assert [context.id for context in decoded.contexts] == [1, 3, 5]
        assert decoded.contexts[0].abstract_syntax == raw.VERIFICATION
        assert decoded.contexts[0].transfer_syntaxes == (raw.IMPLICIT,)
        assert (decoded.maximum_length, decoded.implementation_class_uid) == (31, "1.2.3")
        assert read_ae_title(decoded.calling_ae_title) == "MAMMO1"

    def test_is_kept_unless_it_has_a_users_identity(self) -> None:
        usual, with_password = (
            raw.association_request(user=[raw.longest(31), *more])
            for more in ([], [raw.item(raw.IDENTITY, b"\2\0\0\4user\0\6secret")])
        )
        assert request(usual) is request(usual)
        assert request(with_password) is not request(with_password)

    def test_may_end_with_padding(self) -> None:
        assert request(raw.association_request(behind=bytes(7))).maximum_length == 16384
        assert request(raw.association_request(behind=b"\x20\x20")).maximum_length == 16384

    @pytest.mark.parametrize("behind", [b"\x5a\x00\x01\xf4x", raw.item(raw.OFFER, b"\1")])
    def test_with_an_item_that_cannot_be_read_is_malformed(self, behind: bytes) -> None:
        with pytest.raises(MalformedPdu) as problem:
            request(raw.association_request(behind=behind))
        assert problem.value.reason is AbortReason.INVALID_PARAMETER

    def test_with_too_many_items_is_malformed(self) -> None:
        with pytest.raises(MalformedPdu, match="too many"):
            request(raw.association_request(behind=raw.item(0x5A, b"") * MAX_ITEMS + raw.item(0x5A, b"x")))


@pytest.mark.parametrize(
    ("title", "read"),
    [
        (b"MAMMO1          ", "MAMMO1"),
        (b"MAMMO1\0\0", "MAMMO1"),
        (b"MAMMO1\0CD", "MAMMO1"),
        (b"  MAMMO 1 ", "MAMMO 1"),
        (b" " * 16, ""),
        (b"\xc0\xb3`I\xfc\x7f  ", r"\xc0\xb3`I\xfc\x7f"),
        (b"A\\B\n", r"A\\B\x0a"),
    ],
)
def test_an_ae_title_is_read_up_to_its_first_nul_and_escaped(title: bytes, read: str) -> None:
    assert read_ae_title(title) == read


class TestPresentationDataValues:
    def test_are_taken_in_their_order(self) -> None:
        content = (raw.data(3, 0b01, b"ab") + raw.data(3, 0b10, b""))[6:]
        content = content[:8] + content[14:]  # both in one PDU
        assert decode_pdu(PduType.P_DATA_TF, content, MAX_ITEMS) == (
            PresentationDataValue(3, is_command=True, is_last=False, fragment=b"ab"),
            PresentationDataValue(3, is_command=False, is_last=True, fragment=b""),
        )

    @pytest.mark.parametrize("content", [b"", b"\0\0\0\1\3", b"\0\0\0\1\3\1", b"\0\0\0\x63\3\1ab"])
    def test_that_are_none_are_malformed(self, content: bytes) -> None:
        with pytest.raises(MalformedPdu):
            decode_pdu(PduType.P_DATA_TF, content, MAX_ITEMS)


@pytest.mark.parametrize("maximum", [8, 9, 31, 33, 1023, 16384])
def test_a_message_is_sent_in_even_fragments_within_the_maximum(maximum: int) -> None:
    command, data_set = bytes(range(60)), bytes(200)
    values = [
        value
        for pdu in encode_message(3, command, data_set, maximum)
        for value in decode_pdu(PduType.P_DATA_TF, pdu[6:], 1)  # type: ignore[union-attr]
        if len(pdu) - 6 <= maximum
    ]
    assert all(len(value.fragment) % 2 == 0 for value in values)
    assert b"".join(value.fragment for value in values if value.is_command) == command
    assert b"".join(value.fragment for value in values if not value.is_command) == data_set
    assert [value.is_command for value in values if value.is_last] == [True, False]
