"""Owns what this hospital has chosen about matching and answers, as the settings say it."""

from django.conf import settings

from worklist.information_model import Site


def site() -> Site:
    """The site's choices."""
    return Site(
        folds_accents=settings.MWL_FOLD_ACCENTS,
        procedure_id_finds_accession=settings.MWL_PROCEDURE_ID_FINDS_ACCESSION,
        issuer_of_patient_id=settings.MWL_ISSUER_OF_PATIENT_ID,
    )
