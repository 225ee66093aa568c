"""Owns how one asker is treated: what it may see, how much, and in which character set. Pure."""

from dataclasses import dataclass

#: What a modality's answers can be forced into: defined terms of PS3.3 section C.12.1.1.2, and one of our own.
TRANSLITERATED = "ascii-transliterate"
CHARACTER_SETS = ("ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 144", "ISO_IR 192", TRANSLITERATED)


@dataclass(frozen=True)
class ModalityPolicy:
    """How one calling AE title is treated; as it stands here, one that nobody has configured.

    `max_rows` None is MWL_MAX_ROWS; an empty `character_set` is whatever the request says; an empty
    `expected_address` is any.
    """

    is_known: bool = False
    is_allowed: bool = True
    own_list_only: bool = False
    hides_in_progress: bool = False
    character_set: str = ""
    max_rows: int | None = None
    expected_address: str = ""
    is_strict: bool = False


UNKNOWN = ModalityPolicy()
