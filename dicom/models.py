"""Owns what is known of each modality by its AE title, and what it may ask for and how it is answered."""

from django.core.exceptions import ValidationError
from django.db import models

from core.models import PersonalDataModel
from core.value_representations import is_ae
from dicom.modality_policy import CHARACTER_SETS, ModalityPolicy


def validate_ae_title(value: str) -> None:
    """An AE title, as PS3.5 table 6.2-1 has it, without spaces around it."""
    if not is_ae(value) or value != value.strip():
        raise ValidationError("1 to 16 characters, none of them a backslash, a control character or a space at an end")


class Modality(PersonalDataModel):
    """One machine, known by its calling AE title. Changes are in force within five seconds, without a restart.

    It holds nobody's data; the auditor, which records each change, asks what of it does.
    """

    ae_title = models.CharField("AE title", max_length=16, unique=True, validators=[validate_ae_title])
    name = models.CharField(max_length=64, blank=True, help_text="What people call it.")
    room = models.CharField(max_length=64, blank=True, help_text="The clinic, the room or the van.")
    is_allowed = models.BooleanField("allowed", default=True, help_text="Its associations are rejected otherwise.")
    own_list_only = models.BooleanField(
        default=False, help_text="It is shown items of its own AE title and of none, whatever it asks for."
    )
    hides_in_progress = models.BooleanField(
        "hide in progress", default=False, help_text="An item in progress leaves its list, unless it asks by status."
    )
    character_set = models.CharField(
        max_length=40,
        blank=True,
        choices=[(name, name) for name in CHARACTER_SETS],
        help_text="Of the answers, whatever it asks for; ascii-transliterate writes ł as l, and never a question mark.",
    )
    max_rows = models.PositiveIntegerField(
        null=True, blank=True, help_text="Items in one answer; MWL_MAX_ROWS if empty."
    )
    expected_address = models.GenericIPAddressField(
        null=True, blank=True, help_text="Where its associations must come from; anywhere if empty."
    )
    is_strict = models.BooleanField(
        "strict MPPS",
        default=False,
        help_text="For acceptance tests: what is otherwise an MPPS exception is refused.",
    )

    class Meta:
        db_table = "worklist_modality"  # its name from before images used it, too
        ordering = ("ae_title",)
        verbose_name_plural = "modalities"

    def __str__(self) -> str:
        return self.ae_title

    def clean(self) -> None:
        """What a person may have meant otherwise."""
        if self.max_rows == 0:
            raise ValidationError({"max_rows": "At least 1: with 0 it would see nobody. Empty: MWL_MAX_ROWS."})

    @property
    def policy(self) -> ModalityPolicy:
        """What the worklist server needs of it."""
        return ModalityPolicy(
            is_known=True,
            is_allowed=self.is_allowed,
            own_list_only=self.own_list_only,
            hides_in_progress=self.hides_in_progress,
            character_set=self.character_set,
            max_rows=self.max_rows,
            expected_address=self.expected_address or "",
            is_strict=self.is_strict,
        )
