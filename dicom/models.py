"""The configured modalities: who they are, what they may see and how they are answered."""

from django.core.exceptions import ValidationError
from django.db import models, transaction

from core.audit import Auditor
from core.models import PersonalDataModel
from core.value_representations import is_ae
from dicom.modality_policy import CHARACTER_SETS, ModalityPolicy


def validate_ae_title(value: str) -> None:
    """Raise ValidationError unless this is an AE title (PS3.5 table 6.2-1) without spaces around it."""
    if not is_ae(value) or value != value.strip():
        raise ValidationError("Enter 1 to 16 characters: no backslash, no control character, no space at either end")


class Modality(PersonalDataModel):
    """One machine, identified by its calling AE title. Changes take effect within five seconds, without a restart.

    It holds no patient data: it is a PersonalDataModel because the auditor records its changes.
    """

    ae_title = models.CharField("AE title", max_length=16, unique=True, validators=[validate_ae_title])
    name = models.CharField(max_length=64, blank=True, help_text="What staff call this machine.")
    room = models.CharField(max_length=64, blank=True, help_text="The clinic, room or van it is in.")
    is_allowed = models.BooleanField("allowed", default=True, help_text="Clear this to reject its associations.")
    own_list_only = models.BooleanField(
        default=False, help_text="Show only items for its own AE title, or for none, whatever the machine asks for."
    )
    hides_in_progress = models.BooleanField(
        "hide in progress", default=False, help_text="Hide items in progress, unless the machine asks by status."
    )
    character_set = models.CharField(
        max_length=40,
        blank=True,
        choices=[(name, name) for name in CHARACTER_SETS],
        help_text="Use this in responses, whatever the machine asks for. ascii-transliterate writes ł as l, not as ?.",
    )
    max_rows = models.PositiveIntegerField(
        null=True, blank=True, help_text="The most items in one response; MWL_MAX_ROWS if empty."
    )
    expected_address = models.GenericIPAddressField(
        null=True, blank=True, help_text="The only address it may connect from; any if empty."
    )
    is_strict = models.BooleanField(
        "strict MPPS",
        default=False,
        help_text="For acceptance tests: refuse reports that would otherwise raise an MPPS exception.",
    )
    is_test_machine = models.BooleanField(
        "test machine",
        default=False,
        help_text="Show it test items only, and no patient; real machines see no test item.",
    )

    class Meta:
        db_table = "worklist_modality"  # the table belonged to worklist until version 0.2
        ordering = ("ae_title",)
        verbose_name_plural = "modalities"

    def __str__(self) -> str:
        return self.ae_title

    def clean(self) -> None:
        if self.max_rows == 0:
            message = "Enter at least 1: with 0 the machine would see nothing. Leave empty for MWL_MAX_ROWS."
            raise ValidationError({"max_rows": message})

    @classmethod
    @transaction.atomic
    def register_test_machine(cls, ae_title: str, name: str, actor: str) -> None:
        """Mark this AE title as a test machine. A DICOM server knows it within `FRESH_SECONDS`."""
        auditor = Auditor(actor)
        if not auditor.create_unless_known(cls(ae_title=ae_title, name=name, is_test_machine=True)):
            auditor.update(cls.objects.get(ae_title=ae_title), is_test_machine=True)

    @property
    def policy(self) -> ModalityPolicy:
        return ModalityPolicy(
            is_known=True,
            is_allowed=self.is_allowed,
            own_list_only=self.own_list_only,
            hides_in_progress=self.hides_in_progress,
            character_set=self.character_set,
            max_rows=self.max_rows,
            expected_address=self.expected_address or "",
            is_strict=self.is_strict,
            is_test_machine=self.is_test_machine,
        )
