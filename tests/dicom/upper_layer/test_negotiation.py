"""What an association request is answered with."""

import weakref

import pytest

from dicom.upper_layer.negotiation import (
    LONGEST_SENT,
    REJECTIONS,
    Acceptance,
    Implementation,
    Negotiator,
    Offer,
    Rejection,
    negotiate,
    rejection_of,
)
from dicom.upper_layer.pdu import LONGEST_KEPT, AssociateRequest, PduType, decode_pdu
from tests.dicom import raw

OFFERS = [
    Offer(raw.VERIFICATION, [raw.EXPLICIT, raw.IMPLICIT]),
    Offer(raw.WORKLIST, [raw.EXPLICIT, raw.IMPLICIT], extended_negotiation=b"\1\1\0\0"),
]
US = Implementation("1.2.3", "TEST")


def decoded(content: bytes) -> AssociateRequest:
    """Decode an A-ASSOCIATE-RQ."""
    request = decode_pdu(PduType.ASSOCIATE_RQ, content[6:], 1000)
    assert isinstance(request, AssociateRequest)
    return request


def negotiated(*offers: bytes, user: tuple[bytes, ...] = raw.USUAL_USER) -> Acceptance:
    """Negotiate a request with these presentation contexts and this user information."""
    return negotiate(decoded(raw.association_request(offers or None, user=user)), OFFERS, US)


def results(acceptance: Acceptance) -> dict[int, int]:
    """The result of each presentation context."""
    return raw.results(bytes(raw.ITEMS_AT) + b"".join(acceptance.items))


def user_items(acceptance: Acceptance) -> dict[int, bytes]:
    """The sub-items of the user information."""
    return raw.accepted_user_items(bytes(raw.ITEMS_AT) + b"".join(acceptance.items))


class TestPresentationContexts:
    def test_are_accepted_one_by_one(self) -> None:
        acceptance = negotiated(
            raw.offer(5, raw.VERIFICATION, raw.IMPLICIT, raw.EXPLICIT),
            raw.offer(1, "1.2.3"),
            raw.offer(3, raw.VERIFICATION, "1.2.840.10008.1.2.2"),
        )
        assert results(acceptance) == {5: 0, 1: 3, 3: 4}
        assert [context.transfer_syntax for context in acceptance.contexts.values()] == [raw.EXPLICIT]

    @pytest.mark.parametrize(
        ("ids", "expected"), [((3, 5, 2, 4), {3: 0, 5: 0, 2: 2, 4: 2}), ((1, 3, 1), {1: 2, 3: 0}), ((0,), {0: 2})]
    )
    def test_with_an_even_or_doubled_id_are_rejected_and_the_others_served(
        self, ids: tuple[int, ...], expected: dict[int, int]
    ) -> None:
        acceptance = negotiated(*(raw.offer(each, raw.VERIFICATION) for each in ids))
        assert results(acceptance) == expected
        assert set(acceptance.contexts) == {each for each, result in expected.items() if result == 0}


class TestTheUserInformation:
    def test_has_what_it_must_and_no_more(self) -> None:
        assert user_items(negotiated()) == {raw.LONGEST: b"\0\0\x40\0", raw.CLASS: b"1.2.3", raw.VERSION: b"TEST"}

    def test_answers_extended_negotiation_in_as_many_bytes(self) -> None:
        uid = bytes([0, len(raw.WORKLIST)]) + raw.WORKLIST.encode()
        asked = raw.item(raw.EXTENDED, uid + b"\1\1\1")
        assert user_items(negotiated(user=(*raw.USUAL_USER, asked)))[raw.EXTENDED] == uid + b"\1\1\0"

    @pytest.mark.parametrize(("proposed", "answered"), [(b"\1\1", b"\1\0"), (b"\0\1", b"\0\0"), (b"", b"\0\0")])
    def test_takes_no_role_but_that_of_the_provider(self, proposed: bytes, answered: bytes) -> None:
        uid = bytes([0, len(raw.WORKLIST)]) + raw.WORKLIST.encode()
        acceptance = negotiated(user=(*raw.USUAL_USER, raw.item(raw.ROLES, uid + proposed)))
        assert user_items(acceptance)[raw.ROLES] == uid + answered

    def test_limits_operations_to_one_at_a_time_and_ignores_a_user_identity(self) -> None:
        asked = (raw.item(raw.OPERATIONS_WINDOW, b"\0\5\0\5"), raw.item(raw.IDENTITY, b"\1\1\0\1a\0\0"))
        answered = user_items(negotiated(user=(*raw.USUAL_USER, *asked)))
        assert answered[raw.OPERATIONS_WINDOW] == b"\0\1\0\1"
        assert 0x59 not in answered

    @pytest.mark.parametrize(
        ("user", "longest"), [((), 16384), ((raw.longest(0),), LONGEST_SENT), ((raw.longest(33),), 33)]
    )
    def test_says_how_long_a_pdu_may_be(self, user: tuple[bytes, ...], longest: int) -> None:
        assert negotiated(user=user).maximum_length == longest


class TestARejection:
    def rejection(
        self, at: int = 0, content: bytes = b"", user: tuple[bytes, ...] = raw.USUAL_USER
    ) -> Rejection | None:
        """What rejects a request with these bytes at this place."""
        request = bytearray(raw.association_request(user=user))
        request[at : at + len(content)] = content
        return rejection_of(decoded(bytes(request)))

    def test_is_for_another_protocol_another_context_or_pdus_without_room(self) -> None:
        assert self.rejection() is None
        assert (
            self.rejection(6, b"\0\2"),
            self.rejection(78, b"9"),
            self.rejection(user=(raw.longest(7),)),
        ) == REJECTIONS

    def test_is_not_for_a_later_version_beside_the_first(self) -> None:
        assert self.rejection(6, b"\0\3") is None


class TestANegotiator:
    def test_keeps_the_acceptance_of_a_request_that_comes_again(self) -> None:
        first, again = (decoded(raw.association_request()) for _ in range(2))
        negotiator = Negotiator(OFFERS, US)
        assert negotiator.acceptance_of(first) is negotiator.acceptance_of(again)
        assert negotiator.acceptance_of(first) == negotiate(first, OFFERS, US)

    @pytest.mark.parametrize(
        "other",
        [
            raw.association_request(calling=b"MAMMO2"),
            raw.association_request(user=[raw.longest(8192)]),
            raw.association_request([raw.offer(1, raw.WORKLIST)]),
        ],
        ids=["AE title", "maximum length", "contexts"],
    )
    def test_negotiates_anew_if_anything_differs(self, other: bytes) -> None:
        negotiator, request = Negotiator(OFFERS, US), decoded(other)
        kept = negotiator.acceptance_of(decoded(raw.association_request()))
        assert negotiator.acceptance_of(request) is not kept
        assert negotiator.acceptance_of(request) == negotiate(request, OFFERS, US)

    def test_keeps_nothing_of_a_long_request(self) -> None:
        long = raw.association_request(behind=raw.item(0x60, bytes(LONGEST_KEPT)))
        negotiator = Negotiator(OFFERS, US)
        acceptance = weakref.ref(negotiator.acceptance_of(decoded(long)))
        assert acceptance() is None
