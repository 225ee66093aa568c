"""C-FIND and N-CREATE are traced as spans without patient data."""

import pytest

from tests.collector import NAME, NUMBER, Collector
from tests.dicom.requests import Unit, request
from tests.factories import create

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


class TestTraces:
    def test_a_query_is_a_span_without_patient_data(self, collector: Collector, unit: Unit) -> None:
        create(patient_name=NAME, patient_id=NUMBER)
        asked = request(SpecificCharacterSet="ISO_IR 192", PatientName="SECRETARY*", PatientID=NUMBER)
        assert len(unit.ask(asked).rows) == 1
        found = collector.wait_for("C-FIND")
        assert (found["gateway.calling_ae_title"], found["gateway.outcome"]) == ("MAMMO1", "answered")
        assert (found["gateway.delivered"], found["gateway.keys"]) == (1, "PatientName,PatientID")
        assert not collector.has_patient_data

    def test_a_procedure_step_is_a_span_without_patient_data(self, collector: Collector, unit: Unit) -> None:
        unit.create("2.25.77", request(PatientName=NAME, PatientID=NUMBER))
        assert collector.wait_for("N-CREATE")["gateway.sop_instance_uid"] == "2.25.77"
        assert not collector.has_patient_data
