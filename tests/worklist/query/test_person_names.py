"""Names without accents, and the search form by which the database finds them."""

import sys
import unicodedata
from unicodedata import normalize

import pytest

from worklist.query.person_names import FOLDINGS, search_form, search_pattern, wild_card, without_accents

#: Surrogates are no characters, and what Unicode has not assigned has neither case nor accents.
EVERY_CHARACTER = [
    character
    for character in map(chr, range(sys.maxunicode + 1))
    if unicodedata.category(character) not in ("Cs", "Cn")
]


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
    def test_case_accents_and_strokes_are_removed(self, text: str, plain: str) -> None:
        assert without_accents(text) == plain

    def test_normal_forms_earlier_foldings_and_repetition_make_no_difference(self) -> None:
        """For every character; otherwise the search form of a name would not find it."""
        differing = []
        for character in EVERY_CHARACTER:
            plain = without_accents(character)
            others = {normalize(form, fold(character)) for form in ("NFC", "NFD") for fold in FOLDINGS} | {plain}
            differing += [(character, other) for other in others - {character} if without_accents(other) != plain]
        assert differing == []


class TestSearchForm:
    def test_is_made_from_the_alphabetic_group(self) -> None:
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
    def test_a_key_becomes_a_wider_pattern(self, key: str, pattern: str) -> None:
        assert search_pattern(key) == pattern

    @pytest.mark.parametrize(("key", "name"), [("GRO?", "GROß"), ("SMITH^*^DR", "SMITH^^DR"), ("SMITH^*", "SMITH")])
    def test_the_pattern_fits_every_name_that_the_key_matches(self, key: str, name: str) -> None:
        assert wild_card(search_pattern(key)).fullmatch(search_form(name))
