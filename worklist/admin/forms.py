"""Owns what a person must say: to deal with an MPPS exception, to export a list, to make a test item."""

import re
from typing import Any

from django import forms
from django.utils import timezone

from dicom.models import Modality
from worklist.models import MppsException, WorklistItem
from worklist.performed_step.report import NHS_NUMBER, is_same_patient

NOBODYS_DATA = "It stays in the audit log: write no patient's name or NHS number."


class NoteForm(forms.Form):
    """Whatever it is that is done, with a note."""

    note = forms.CharField(
        max_length=300, required=False, help_text=NOBODYS_DATA, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, *args: Any, exception: MppsException, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.exception = exception

    def clean_note(self) -> str:
        """Without what looks like an NHS number: who it is stands in the item, and there by permission."""
        note: str = self.cleaned_data["note"]
        if re.search(rf"(?<!\d){NHS_NUMBER.pattern}(?!\d)", note):
            raise forms.ValidationError("Ten digits look like an NHS number: leave out who it is.")
        return note


class ReasonForm(NoteForm):
    """To dismiss an exception is to say why."""

    note = forms.CharField(
        label="Reason", max_length=300, help_text=NOBODYS_DATA, widget=forms.Textarea(attrs={"rows": 3})
    )


class LinkForm(NoteForm):
    """Which item it is."""

    accession_number = forms.CharField(max_length=16, help_text="Of the item that the machine has worked on.")
    another_patient = forms.BooleanField(
        label="Link it to another patient than the machine's",
        required=False,
        help_text="Only if you know that the machine had the wrong NHS number.",
    )
    field_order = ("accession_number", "another_patient", "note")

    def clean(self) -> dict[str, Any]:
        """With the item itself; a slip of the pen must not say of another woman that she was imaged."""
        given = super().clean() or self.cleaned_data
        number = given.get("accession_number")
        if not number:
            return given
        item = WorklistItem.objects.filter(accession_number=number).first()
        if item is None:
            self.add_error("accession_number", "No worklist item has this accession number.")
        elif not (given.get("another_patient") or is_same_patient(self.exception.step.patient_id, item.patient_id)):
            self.add_error("another_patient", "The machine's NHS number is not the item's: is it this woman?")
        return {**given, "item": item}


class ExportForm(forms.Form):
    """Which day."""

    day = forms.DateField(initial=timezone.localdate, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))


class TestItemForm(forms.Form):
    """For which machine."""

    ANY = "any machine that asks"

    station_ae_title = forms.ChoiceField(label="Machine", required=False)
    modality = forms.ChoiceField(
        choices=[(code, code) for code in ("MG", "CR", "CT", "DX", "MR", "US")],
        help_text="What the machine asks for: mammography is MG.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = Modality.objects.filter(is_allowed=True)
        machines = [(each.ae_title, f"{each.ae_title} {each.name}".strip()) for each in known]
        self.fields["station_ae_title"].choices = [("", self.ANY), *machines]  # type: ignore[attr-defined]
