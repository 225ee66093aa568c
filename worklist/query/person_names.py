"""Owns how the names of persons are compared and looked up (PN: PS3.5 section 6.2, PS3.4 section C.2.2.2.1). Pure.

Declared in the conformance statement: case-folded, composed (NFC), without spaces around components and without empty
components at the end; component group by component group.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

Fold = Callable[[str], str]

WILD_CARDS = re.compile(r"([*?])")
#: Letters that Unicode does not take apart, such as ł and ø, have the letter in their name; names never change.
STROKED = re.compile(r"LATIN (?:SMALL|CAPITAL) LETTER ([A-Z]{1,2}) WITH .*")


def name_groups(name: str, fold: Fold = str.casefold) -> list[str]:
    """The component groups of a PN value as they are compared."""
    return [_compared(group, fold) for group in unicodedata.normalize("NFC", name).split("=")]


def _compared(group: str, fold: Fold) -> str:
    folded = unicodedata.normalize("NFC", fold(group))
    return "^".join(part.strip() for part in folded.split("^")).rstrip("^")


def is_universal_name(name: str) -> bool:
    """A name of which every group is empty or a lone `*`."""
    return all(map(_is_universal, name_groups(name)))


def _is_universal(group: str) -> bool:
    return group in ("", "*")


def without_accents(text: str) -> str:
    """A text of plain small letters: neither case nor accent nor stroke counts, nor how they are spelled."""
    return "".join(map(_plain, text))


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    if character.isascii():
        return character.lower()
    parts = unicodedata.normalize("NFD", unicodedata.normalize("NFD", character).casefold())
    return "".join(_unstroked(part) for part in parts if not unicodedata.combining(part))


def _unstroked(letter: str) -> str:
    match = STROKED.fullmatch(unicodedata.name(letter, ""))
    return match[1].lower() if match else letter


#: Ways to say that case does not count: ß is ss to the first, and one character, as `?` wants it, to the second.
FOLDINGS: tuple[Fold, ...] = (str.casefold, str.lower)


@dataclass(frozen=True)
class NamePattern:
    """What a name key demands; with `folds_accents` MULLER is MÜLLER, too."""

    name: str
    folds_accents: bool = False

    @cached_property
    def _keys(self) -> list[tuple[Fold, list["_Group"]]]:
        universal = [_is_universal(group) for group in name_groups(self.name)]  # with accents: a lone one is a key
        foldings = (*FOLDINGS, without_accents) if self.folds_accents else FOLDINGS
        return [
            (fold, [_Group(*group) for group in zip(name_groups(self.name, fold), universal, strict=True)])
            for fold in foldings
        ]

    def fits(self, name: str) -> bool:
        """Each group of the key fits the same group of the name."""
        return any(
            all(wanted.fits(has) for wanted, has in zip(key, [*name_groups(name, fold), "", "", ""], strict=False))
            for fold, key in self._keys
        )


@dataclass(frozen=True)
class _Group:
    """What a name key demands of one component group."""

    pattern: str
    is_universal: bool

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return wild_card(self.pattern)

    def fits(self, group: str) -> bool:
        """From end to end; components that the group leaves out are empty ones: SMITH^* finds SMITH."""
        if self.is_universal:
            return True
        missing = self.pattern.count("^") - group.count("^")
        return bool(group) and self._expression.fullmatch(group + "^" * missing) is not None


def wild_card(pattern: str) -> re.Pattern[str]:
    """`*` and `?` as an expression that never tries a text between two `*` at another place than the first it fits:
    no key takes longer than the value is long."""
    first, *rest = (re.escape(part).replace(r"\?", ".") for part in pattern.split("*"))
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(first + middle + "".join(f".*{part}" for part in rest[-1:]), re.DOTALL)


# For a database -------------------------------------------------------------------------------------------------------


def search_form(name: str) -> str:
    """What is kept beside a name, to look it up by: its alphabetic group in plain letters, without spaces."""
    return _searched(name_groups(name)[0]).rstrip("^")


def search_pattern(name: str) -> str:
    """A wild card pattern that the search form of every name fits which a key finds, with accents folded or not.

    It lets through more than the key does. `?` is any run, as one character may be none or two in plain letters; what
    stands behind the last letter may be empty components, which a name need not have.
    """
    group = name_groups(name)[0]
    if _is_universal(group):
        return "*"
    pieces = ("*" if piece in ("*", "?") else _searched(piece) for piece in WILD_CARDS.split(group))
    pattern = re.sub(r"\*+", "*", "".join(pieces))
    core = pattern.rstrip("^*")
    return core if core == pattern else core + "*"


def _searched(text: str) -> str:
    return "".join(without_accents(text).split())
