"""The reasons for discontinuing a procedure step (PS3.16 CID 9300, coding scheme DCM). Pure."""

from dataclasses import dataclass

from pydicom.dataset import Dataset


class UnknownReason(ValueError):
    """No reason or several reasons match; the text lists them."""


@dataclass(frozen=True)
class Reason:
    """A coded reason."""

    code: str
    meaning: str

    def item(self) -> Dataset:
        """Return the reason as the item of a code sequence."""
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = self.code, "DCM", self.meaning
        return item


UNSPECIFIED = Reason("110513", "Discontinued for unspecified reason")
REASONS = (
    UNSPECIFIED,
    Reason("110500", "Doctor canceled procedure"),
    Reason("110501", "Equipment failure"),
    Reason("110502", "Incorrect procedure ordered"),
    Reason("110504", "Patient died"),
    Reason("110505", "Patient refused to continue procedure"),
    Reason("110506", "Patient taken for treatment or surgery"),
    Reason("110507", "Patient did not arrive"),
    Reason("110508", "Patient pregnant"),
    Reason("110509", "Change of procedure for correct charging"),
    Reason("110510", "Duplicate order"),
    Reason("110511", "Nursing unit cancel"),
    Reason("110512", "Incorrect side ordered"),
    Reason("110514", "Incorrect worklist entry selected"),
    Reason("110515", "Patient condition prevented continuing"),
    Reason("110516", "Equipment change"),
)


def reason_named(text: str) -> Reason:
    """Return the reason with this code, or the only one whose meaning contains the text; raises UnknownReason."""
    words = text.strip().lower()
    found = [reason for reason in REASONS if words and (words == reason.code or words in reason.meaning.lower())]
    if len(found) != 1:
        problem = f"{len(found)} reasons go by {text!r}" if found else f"no reason goes by {text!r}"
        raise UnknownReason(f"{problem}: {'; '.join(f'{one.code} {one.meaning}' for one in found or REASONS)}")
    return found[0]
