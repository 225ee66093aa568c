"""Compare persons' names, and make the form by which the database looks them up (PS3.5 6.2, PS3.4 C.2.2.2.1). Pure.

As the conformance statement declares, names are compared case-folded and composed (NFC), ignoring spaces around
components and empty components at the end, one component group at a time.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

Fold = Callable[[str], str]

WILD_CARDS = re.compile(r"([*?])")
#: Unicode does not decompose letters such as ł and ø, but their names, which never change, contain the plain letter.
STROKED = re.compile(r"LATIN (?:SMALL|CAPITAL) LETTER ([A-Z]{1,2}) WITH .*")


def name_groups(name: str, fold: Fold = str.casefold) -> list[str]:
    """Return the component groups of a PN value in the form in which they are compared."""
    folded = (unicodedata.normalize("NFC", fold(group)) for group in unicodedata.normalize("NFC", name).split("="))
    return ["^".join(component.strip() for component in group.split("^")).rstrip("^") for group in folded]


def is_universal_name(name: str) -> bool:
    """Return whether every group of the name is empty or a lone `*`."""
    return all(map(_is_universal, name_groups(name)))


def _is_universal(group: str) -> bool:
    return group in ("", "*")


def without_accents(text: str) -> str:
    """Return the text in small letters without accents and strokes, however they are encoded."""
    return "".join(map(_without_accent, text))


@lru_cache(maxsize=4096)
def _without_accent(character: str) -> str:
    if character.isascii():
        return character.lower()
    parts = unicodedata.normalize("NFD", unicodedata.normalize("NFD", character).casefold())
    letters = []
    for part in parts:
        if not unicodedata.combining(part):
            stroked = STROKED.fullmatch(unicodedata.name(part, ""))
            letters.append(stroked[1].lower() if stroked else part)
    return "".join(letters)


#: Two ways to ignore case: the first makes ß ss, the second keeps it one character, so that `?` matches it.
FOLDINGS: tuple[Fold, ...] = (str.casefold, str.lower)


@dataclass(frozen=True)
class NamePattern:
    """A matching key for a name; with `folds_accents` MULLER also matches MÜLLER."""

    name: str
    folds_accents: bool = False

    @cached_property
    def _keys(self) -> list[tuple[Fold, list["_Group"]]]:
        # Decided before accents are removed: a group that is only an accent would become empty, and so universal.
        universal = [_is_universal(group) for group in name_groups(self.name)]
        foldings = (*FOLDINGS, without_accents) if self.folds_accents else FOLDINGS
        return [
            (fold, [_Group(*group) for group in zip(name_groups(self.name, fold), universal, strict=True)])
            for fold in foldings
        ]

    def matches(self, name: str) -> bool:
        """Return whether each group of the key matches the same group of the name."""
        return any(
            all(
                key_group.matches(name_group)
                for key_group, name_group in zip(key, [*name_groups(name, fold), "", "", ""], strict=False)
            )
            for fold, key in self._keys
        )


@dataclass(frozen=True)
class _Group:
    """One component group of a key."""

    pattern: str
    is_universal: bool

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return wild_card(self.pattern)

    def matches(self, group: str) -> bool:
        """Match the whole group. Components that it leaves out count as empty: SMITH^* matches SMITH."""
        if self.is_universal:
            return True
        missing = self.pattern.count("^") - group.count("^")
        return bool(group) and self._expression.fullmatch(group + "^" * missing) is not None


def has_wild_card(text: str) -> bool:
    """Return whether a key's value is a pattern."""
    return "*" in text or "?" in text


def wild_card(pattern: str) -> re.Pattern[str]:
    """Return a regular expression for a pattern with `*` and `?` that matches in linear time.

    Atomic groups keep a text between two `*` at the first place it fits, which is always good enough. Without them a
    key with many `*` could backtrack for hours.
    """
    first, *rest = (re.escape(part).replace(r"\?", ".") for part in pattern.split("*"))
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(first + middle + "".join(f".*{part}" for part in rest[-1:]), re.DOTALL)


# For the database -----------------------------------------------------------------------------------------------------


def search_form(name: str) -> str:
    """Return the form of a name that is stored for searching: its alphabetic group without accents, case and spaces."""
    return _folded(name_groups(name)[0]).rstrip("^")


def search_pattern(name: str) -> str:
    """Return a wild card pattern that fits the search form of every name that a key matches, and possibly more.

    `?` becomes any run, as one character may be none or two in the search form. The pattern is open behind its last
    letter, as the key's last components may be empty ones that the name leaves out.
    """
    group = name_groups(name)[0]
    if _is_universal(group):
        return "*"
    parts = ("*" if part in ("*", "?") else _folded(part) for part in WILD_CARDS.split(group))
    pattern = re.sub(r"\*+", "*", "".join(parts))
    core = pattern.rstrip("^*")
    return core if core == pattern else core + "*"


def _folded(text: str) -> str:
    return "".join(without_accents(text).split())
