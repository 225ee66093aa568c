"""Mark AE titles as test machines, which are shown test items and nothing else."""

from django.db import transaction

from core.audit import Auditor
from dicom.models import Modality


@transaction.atomic
def register_test_machine(ae_title: str, name: str, actor: str) -> None:
    """Mark this AE title as a test machine. A worklist server knows it within `FRESH_SECONDS`."""
    auditor = Auditor(actor)
    if not auditor.create_unless_known(Modality(ae_title=ae_title, name=name, is_test_machine=True)):
        auditor.update(Modality.objects.get(ae_title=ae_title), is_test_machine=True)
