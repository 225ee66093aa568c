"""Who a patient is said to be, and which item of the worklist a report names. Pure, and without pydicom."""

import re
from dataclasses import dataclass

from core import value_representations as vr
from worklist.query.person_names import search_form


@dataclass(frozen=True)
class ScheduledStep:
    """One item of the ScheduledStepAttributesSequence: the modality says here which worklist item the step was for."""

    study_instance_uid: str = ""
    accession_number: str = ""
    requested_procedure_id: str = ""
    scheduled_procedure_step_id: str = ""

    @property
    def names_nothing(self) -> bool:
        """Whether the modality knows of no order, and has made the Study Instance UID itself."""
        return not (self.accession_number or self.requested_procedure_id or self.scheduled_procedure_step_id)


@dataclass(frozen=True)
class PatientIdentity:
    """Who a patient is said to be; an empty field says nothing. `birth_date` as DA, `family_name` as search form."""

    patient_id: str = ""
    birth_date: str = ""
    family_name: str = ""

    def contradicts(self, other: "PatientIdentity") -> bool:
        """Return whether the two are different patients: by Patient ID, or without one by birth date and family name.

        A value that begins with the other one is the same, as modalities cut off long values.
        """
        if self.patient_id:
            return not is_same_patient(self.patient_id, other.patient_id)
        pairs = ((self.birth_date, other.birth_date), (self.family_name, other.family_name))
        return any(a and b and not a.startswith(b) and not b.startswith(a) for a, b in pairs)


def family_name(name: str) -> str:
    """Return the search form of the family name."""
    return search_form(name.partition("=")[0]).partition("^")[0].strip()


def is_same_patient(one: str, other: str) -> bool:
    """Return whether two Patient IDs may be one patient's.

    Spaces and dashes in an NHS number are not significant. An empty Patient ID contradicts none.
    """
    one, other = (re.sub("[ -]", "", text) if vr.NHS_NUMBER.fullmatch(text) else text for text in (one, other))
    return not one or not other or one == other
