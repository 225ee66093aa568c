"""Frames that are strict JSON objects are parsed; every other frame is refused without being quoted."""

import pytest

from core import contract
from core.contract import ActionRefused, ErrorCode


def refusal_of(frame: str | bytes) -> ActionRefused:
    """Parse a frame that must be refused, and return the refusal."""
    with pytest.raises(ActionRefused) as refused:
        contract.parse(frame)
    return refused.value


class TestParse:
    def test_an_object_is_parsed_from_text_and_from_bytes(self) -> None:
        assert contract.parse('{"a": "Ł"}') == contract.parse('{"a": "Ł"}'.encode()) == {"a": "Ł"}

    @pytest.mark.parametrize(
        ("frame", "message"),
        [
            (b"\xff\xfe", "is not UTF-8"),
            ("", "is not JSON"),
            ("{", "is not JSON"),
            ("[1]", "not an object"),
            ('"text"', "not an object"),
            ('{"a": 1, "a": 2}', "duplicate key"),
            ('{"b": {"a": 1, "a": 1}}', "duplicate key"),
            ('{"a": NaN}', "NaN"),
            ('{"a": -Infinity}', "-Infinity"),
            ('{"a": 1e999}', "too large"),
            ('{"a": "\\ud800"}', "surrogate"),
            ('{"\\udfff": 1}', "surrogate"),
            ('{"a": ' + "9" * 5000 + "}", "too many digits"),
            ('{"a": ' + "[" * 64 + "]" * 64 + "}", "deeper than 64"),
            ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "deeper than 64"),
            ('{"a": "\n"}', "is not JSON"),
        ],
    )
    def test_a_frame_that_is_not_a_strict_json_object_is_refused_with_the_reason(
        self, frame: str | bytes, message: str
    ) -> None:
        refusal = refusal_of(frame)
        assert refusal.code is ErrorCode.INVALID_JSON
        assert message in refusal.message

    def test_a_refusal_does_not_quote_the_frame(self) -> None:
        assert "SMITH" not in refusal_of('{"SMITH": 1, "SMITH": 1}').message
        assert "SMITH" not in refusal_of('{"name": SMITH}').message

    def test_sixty_three_levels_are_accepted(self) -> None:
        contract.parse('{"a": ' + "[" * 62 + "]" * 62 + "}")

    def test_a_frame_of_one_mebibyte_is_accepted_and_one_byte_more_is_not(self) -> None:
        filler = "x" * (contract.MAX_FRAME_BYTES - len('{"a": ""}'))
        contract.parse(f'{{"a": "{filler}"}}')
        assert refusal_of(f'{{"a": "{filler}x"}}').code is ErrorCode.TOO_LARGE

    def test_the_limit_counts_bytes_not_characters(self) -> None:
        assert refusal_of('{"a": "' + "Ł" * 600_000 + '"}').code is ErrorCode.TOO_LARGE
