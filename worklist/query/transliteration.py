"""Transliterate text for a modality that lacks some of its characters, as anyascii spells them. Pure.

Á becomes A, ł becomes l, ß becomes ss. No character ever becomes a question mark.
"""

import unicodedata
from collections.abc import Callable
from functools import lru_cache

from anyascii import anyascii

from core.value_representations import MAX_LENGTHS, PN_GROUP_LENGTH

#: Characters that a transliteration must not add: DICOM gives them a meaning, or they stand for an unreadable one.
SPECIAL = frozenset("\\^=*?")

#: Returns whether the modality can show a text.
CanShow = Callable[[str], bool]


def transliterate(text: str, vr: str, can_show: CanShow) -> str:
    """Return the text with every character that cannot be shown replaced, no longer than its VR allows.

    A text that would end up empty is returned unchanged.
    """
    if can_show(text):
        return text
    composed = unicodedata.normalize("NFC", text)
    replaced = _name(composed, can_show) if vr == "PN" else _replaced(composed, can_show)[: MAX_LENGTHS[vr]]
    return replaced if replaced.strip(" ^=") else text


def _name(name: str, can_show: CanShow) -> str:
    """Transliterate the alphabetic group, or the first that has text; drop other groups that cannot be shown."""
    alphabetic, *others = name.split("=")
    if not alphabetic.strip(" ^"):
        alphabetic = next((group for group in others if group.strip(" ^")), "")
    kept = [group if can_show(group) else "" for group in others]
    return "=".join([_replaced(alphabetic, can_show)[:PN_GROUP_LENGTH], *kept]).rstrip("=")


def _replaced(text: str, can_show: CanShow) -> str:
    in_capitals = text.replace("ß", "").isupper()  # ß has no capital letter and is also written among capitals
    letters = (character if can_show(character) else _letters(character, in_capitals) for character in text)
    return "".join(letters).strip(" ")


@lru_cache(maxsize=4096)
def _letters(character: str, in_capitals: bool) -> str:
    spelled = "".join(letter for letter in anyascii(character) if letter.isprintable() and letter not in SPECIAL)
    return spelled.upper() if in_capitals else spelled
