"""Ask a person for a note or a reason, which the audit log keeps and which must not say who the patient is."""

import re
from typing import Any

from django import forms

from core.value_representations import NHS_NUMBER

NO_PATIENT_DATA = "The audit log keeps this. Do not enter a patient's name or NHS number."


class NoteForm(forms.Form):
    """Asks for an optional note about a record."""

    note = forms.CharField(
        max_length=300, required=False, help_text=NO_PATIENT_DATA, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, *args: Any, about: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.about = about

    def clean_note(self) -> str:
        """Refuse a note with what looks like an NHS number: only those with the permission may see who it is."""
        note: str = self.cleaned_data["note"]
        if re.search(rf"(?<!\d){NHS_NUMBER.pattern}(?!\d)", note):
            raise forms.ValidationError("Remove the 10 digits that look like an NHS number.")
        return note


class ReasonForm(NoteForm):
    """Asks for a reason."""

    note = forms.CharField(
        label="Reason", max_length=300, help_text=NO_PATIENT_DATA, widget=forms.Textarea(attrs={"rows": 3})
    )
