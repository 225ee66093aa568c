"""Text is transliterated for modalities that lack some of its characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import value_representations as vr
from worklist.query.transliteration import transliterate


def plain(text: str, vr_name: str = "PN") -> str:
    """Transliterate for a modality that has ASCII only."""
    return transliterate(text, vr_name, str.isascii)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "spelled"),
        [
            ("O'BRIEN^SIOBHÁN", "O'BRIEN^SIOBHAN"),
            ("O'BRIEN^SIOBHA\u0301N", "O'BRIEN^SIOBHAN"),
            ("ŁUKASZ^Ŵyn", "LUKASZ^Wyn"),
            ("łukasz", "lukasz"),
            ("STRAßE^ÆØÐ", "STRASSE^AEOD"),
            ("Straße^Æsa", "Strasse^Aesa"),
            ("LEE^ANN=李^安", "LEE^ANN"),
            ("LEE^ANN=Lee^Ann", "LEE^ANN=Lee^Ann"),
            ("=李^安", "Li^An"),
            ("MÜ¿LLER＝X＾Y＼Z", "MULLERXYZ"),
            ("SMITH^JANE", "SMITH^JANE"),
        ],
    )
    def test_are_transliterated(self, name: str, spelled: str) -> None:
        assert plain(name) == spelled

    def test_keep_the_characters_that_the_modality_has(self) -> None:
        def latin_1(text: str) -> bool:
            return all(ord(character) < 256 for character in text)

        assert transliterate("MÜLLER^ŁUCJA=李", "PN", latin_1) == "MÜLLER^LUCJA"

    def test_are_no_longer_than_a_name_may_be(self) -> None:
        assert plain("ß" * 64) == "s" * 64

    def test_that_would_end_up_empty_are_unchanged(self) -> None:
        assert plain("\ue000^\ue001") == "\ue000^\ue001"

    @given(name=st.text(max_size=64).filter(vr.is_pn))
    def test_stay_valid_names_without_new_question_marks(self, name: str) -> None:
        spelled = plain(name)
        assert vr.is_pn(spelled)
        assert spelled == name or (spelled.isascii() and spelled.count("?") <= name.count("?"))


class TestTexts:
    @pytest.mark.parametrize(
        ("vr_name", "text", "spelled"),
        [("SH", "ß" * 16, "s" * 16), ("LO", "Æ" * 40, "AE" * 32), ("LT", "Größe\r\n175 cm", "Grosse\r\n175 cm")],
    )
    def test_are_no_longer_than_their_vr_allows(self, vr_name: str, text: str, spelled: str) -> None:
        assert plain(text, vr_name) == spelled
