"""Owns how a text is spelled for a console that has not all its letters: never with a question mark. Pure.

Letters are spelled as anyascii has them: Á as A, ł as l, ß as ss.
"""

import unicodedata
from collections.abc import Callable
from functools import lru_cache

from anyascii import anyascii

from core.value_representations import MAX_LENGTHS, PN_GROUP_LENGTH

#: What a spelling may not bring into a text: they mean something in DICOM, or stand for what could not be read.
SPECIAL = frozenset("\\^=*?")

Holds = Callable[[str], bool]


def transliterated(text: str, vr: str, holds: Holds) -> str:
    """The text with every character that the console does not hold spelled in others, no longer than its VR allows.

    A text of which nothing would be left is returned as it is.
    """
    if holds(text):
        return text
    composed = unicodedata.normalize("NFC", text)
    spelled = _name(composed, holds) if vr == "PN" else _spelled(composed, holds)[: MAX_LENGTHS[vr]]
    return spelled if spelled.strip(" ^=") else text


def _name(name: str, holds: Holds) -> str:
    """Of a name its alphabetic group is spelled; the others are for those who read them as they are."""
    alphabetic, *others = name.split("=")
    if not alphabetic.strip(" ^"):
        alphabetic = next((group for group in others if group.strip(" ^")), "")
    kept = [group if holds(group) else "" for group in others]
    return "=".join([_spelled(alphabetic, holds)[:PN_GROUP_LENGTH], *kept]).rstrip("=")


def _spelled(text: str, holds: Holds) -> str:
    in_capitals = text.replace("ß", "").isupper()  # ß has none, and stands among them as it is
    letters = (character if holds(character) else _letters(character, in_capitals) for character in text)
    return "".join(letters).strip(" ")


@lru_cache(maxsize=4096)
def _letters(character: str, in_capitals: bool) -> str:
    spelled = "".join(letter for letter in anyascii(character) if letter.isprintable() and letter not in SPECIAL)
    return spelled.upper() if in_capitals else spelled
