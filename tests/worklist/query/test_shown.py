"""What is kept of a query is what was: whom the asker called, and what really went out."""

import pytest
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]
from pytest_django.fixtures import Settings

from tests.dicom.requests import Unit, request
from tests.factories import WorklistItemFactory
from tests.worklist_fixtures import LogLines
from worklist.models import Delivery, WorklistItem, WorklistQuery
from worklist.query.find import ROWS_BETWEEN_PAUSES, WorklistContext

pytestmark = pytest.mark.django_db(transaction=True)


class TestARecord:
    def test_has_the_title_that_was_called(self, unit: Unit, context: WorklistContext) -> None:
        Unit(unit.port, called="ANY-SCP").ask(request(AccessionNumber="", PatientName=""))
        assert context.deliveries.flush()
        assert WorklistQuery.objects.get().called_ae_title == "ANY-SCP"

    def test_of_an_asker_that_broke_off_has_whole_rounds_of_rows_that_went_out(
        self, unit: Unit, context: WorklistContext, log: LogLines, settings: Settings
    ) -> None:
        settings.MWL_MAX_ROWS = 1000
        WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(300))
        with unit.associated() as association:
            next(association.send_c_find(request(PatientID=""), ModalityWorklistInformationFind))
            association.abort()
        log.wait_for("worklist query answered")
        assert context.deliveries.flush()
        query = WorklistQuery.objects.get()
        assert (query.outcome, query.matched % ROWS_BETWEEN_PAUSES) == ("interrupted", 0)
        assert Delivery.objects.count() == query.matched < 300
