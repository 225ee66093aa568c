"""How names are folded, and what they are looked up by."""

import sys
import unicodedata

import pytest

from worklist.query.person_names import FOLDINGS, search_form, search_pattern, wild_card, without_accents

EVERY_CHARACTER = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]


class TestWithoutAccents:
    @pytest.mark.parametrize(
        ("text", "plain"),
        [
            ("MÜLLER", "muller"),
            ("MU\u0308LLER", "muller"),
            ("ŁUKASZ", "lukasz"),
            ("SØREN", "soren"),
            ("STRAßE", "strasse"),
            ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
            ("İ", "i"),
            ("李", "李"),
            ("O'BRIEN^SIOBHÁN", "o'brien^siobhan"),
        ],
    )
    def test_neither_case_nor_accent_nor_stroke_counts(self, text: str, plain: str) -> None:
        assert without_accents(text) == plain

    @pytest.mark.parametrize("form", ["NFC", "NFD"])
    @pytest.mark.parametrize("fold", FOLDINGS)
    def test_nor_does_how_a_letter_was_spelled_or_folded_before(self, fold: object, form: str) -> None:
        """Of every character there is: otherwise a name would not be found by what it is looked up by."""
        assert callable(fold)
        differing = [
            character
            for character in EVERY_CHARACTER
            if without_accents(unicodedata.normalize(form, fold(character))) != without_accents(character)  # type: ignore[arg-type]
        ]
        assert differing == []

    def test_it_is_done_once_and_for_all(self) -> None:
        assert [
            each for each in EVERY_CHARACTER if without_accents(without_accents(each)) != without_accents(each)
        ] == []


class TestWhatNamesAreLookedUpBy:
    def test_is_the_alphabetic_group(self) -> None:
        assert search_form(" van der Müller ^ZOË^ ^\u0301=李^安") == "vandermuller^zoe"

    @pytest.mark.parametrize(
        ("key", "pattern"),
        [
            ("SMITH", "smith"),
            ("SMITH*", "smith*"),
            ("SMITH^*", "smith*"),
            ("SMITH^JANE^?*", "smith^jane*"),
            ("SM?TH^J*", "sm*th^j*"),
            ("GRO?", "gro*"),
            ("**", "*"),
            ("=李*", "*"),
            ("*^JANE=李", "*^jane"),
        ],
    )
    def test_a_key_becomes_a_pattern_that_lets_more_through_than_the_key(self, key: str, pattern: str) -> None:
        assert search_pattern(key) == pattern

    @pytest.mark.parametrize(("key", "name"), [("GRO?", "GROß"), ("SMITH^*^DR", "SMITH^^DR"), ("SMITH^*", "SMITH")])
    def test_nothing_is_lost_by_it(self, key: str, name: str) -> None:
        assert wild_card(search_pattern(key)).fullmatch(search_form(name))
