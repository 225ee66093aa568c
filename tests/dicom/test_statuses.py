"""A failure says what is wrong, in 64 characters."""

from dicom.statuses import IDENTIFIER_DOES_NOT_MATCH, OUT_OF_RESOURCES, failure


class TestFailure:
    def test_names_the_tag_to_blame(self) -> None:
        status = failure(IDENTIFIER_DOES_NOT_MATCH, "is wrong", 0x00400002)
        assert (status.status, status.comment, status.offending) == (0xA900, "is wrong", 0x00400002)

    def test_names_none_where_there_is_none(self) -> None:
        assert failure(OUT_OF_RESOURCES, "too many").offending is None

    def test_has_a_comment_of_64_characters_at_most(self) -> None:
        assert failure(OUT_OF_RESOURCES, "x" * 100).comment == "x" * 64
