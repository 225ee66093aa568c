"""Owns the buttons with which a unit's console asks for its worklist, as real units have them. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from pydicom.dataset import Dataset

from nonprod.modality_emulator import step_query

MODALITY = "MG"


@dataclass(frozen=True)
class Asker:
    """Who asks, when, and what was typed."""

    ae_title: str
    today: date
    text: str = ""


@dataclass(frozen=True)
class Search:
    """A button: its key, its words, what it means, and its query; with `field` it needs something typed."""

    key: str
    label: str
    meaning: str
    identifier: Callable[[Asker], Dataset]
    field: str = ""


def _by_name(asker: Asker) -> Dataset:
    """The family name's beginning, as typed on a console: with the wildcard that a person leaves out."""
    identifier = step_query(modality=MODALITY)
    name = asker.text.replace(", ", "^").replace(",", "^")
    identifier.PatientName = name if "*" in name or "?" in name else f"{name}*"
    return identifier


SEARCHES = {
    search.key: search
    for search in (
        Search(
            "scanner",
            "This scanner",
            "scheduled for this unit today",
            lambda asker: step_query(ae_title=asker.ae_title, day=asker.today, modality=MODALITY),
        ),
        Search(
            "modality",
            "This modality",
            "all mammography of today",
            lambda asker: step_query(day=asker.today, modality=MODALITY),
        ),
        Search("today", "Today", "everything of today", lambda asker: step_query(day=asker.today)),
        Search("all", "All", "everything of any day", lambda _: step_query()),
        Search("name", "Search by name", "name begins with", _by_name, "Name"),
        Search(
            "accession",
            "Search by accession",
            "accession number is",
            lambda asker: step_query(asker.text),
            "Accession number",
        ),
    )
}
