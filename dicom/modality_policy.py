"""What one modality may see, how much of it, and in which character set."""

from dataclasses import dataclass

#: The character sets that a modality's responses can be forced into: defined terms of PS3.3 section C.12.1.1.2, and one
#: that we have added.
TRANSLITERATED = "ascii-transliterate"
CHARACTER_SETS = ("ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 144", "ISO_IR 192", TRANSLITERATED)


@dataclass(frozen=True)
class ModalityPolicy:
    """How one calling AE title is treated; the defaults are for one that is not configured.

    `max_rows` None means MWL_MAX_ROWS; an empty `character_set`, the one that the request names; an empty
    `expected_address`, any address.
    """

    is_known: bool = False
    is_allowed: bool = True
    own_list_only: bool = False
    hides_in_progress: bool = False
    character_set: str = ""
    max_rows: int | None = None
    expected_address: str = ""
    is_strict: bool = False
    is_test_machine: bool = False


UNKNOWN = ModalityPolicy()
