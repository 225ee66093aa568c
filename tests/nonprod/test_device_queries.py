"""Every query of a real device, against a running worklist server."""

from collections.abc import Iterator
from datetime import date, time
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from nonprod.device_queries import DEVICE_QUERIES, DeviceQuery, QueryValues
from nonprod.modality_emulator import ModalityEmulator, broad_query
from tests.dicom.requests import CALLED, illegal
from tests.dicom.serving import port_of, serving
from tests.factories import WorklistItemFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

DAY = date(2026, 3, 10)
CONSOLE = QueryValues("MAMMO1", DAY, "MG", "MINE", "SMITH*")
MINE, OTHER_ROOM, CT, TOMORROW = "MINE", "ROOM2", "CT", "TOMORROW"
#: The accession numbers that each button lists.
SHOWN = {
    "ge-this-scanner": {MINE, TOMORROW},
    "ge-this-modality": {MINE, OTHER_ROOM, TOMORROW},
    "ge-all": {MINE, OTHER_ROOM, CT, TOMORROW},
    "samsung-today": {MINE, OTHER_ROOM},
    "agfa-broad": {MINE, TOMORROW},
    "agfa-accession": {MINE},
    "model-today": {MINE, OTHER_ROOM},
    "model-own-today": {MINE},
    "radlink-search": {MINE},
    "dcmtk-afternoon": {MINE, OTHER_ROOM, CT, TOMORROW},
    "dcmtk-comments": {MINE, CT, TOMORROW},
    "dcm4che-all": {MINE, OTHER_ROOM, CT, TOMORROW},
    "no-return-keys": {MINE, OTHER_ROOM},
    "prefetch": {MINE, TOMORROW},
}


def test_the_broad_query_leaves_keys_empty_that_match_any() -> None:
    step = broad_query("MAMMO1", DAY).ScheduledProcedureStepSequence[0]
    assert (step.ScheduledStationAETitle, step.ScheduledProcedureStepStartDate, step.Modality) == (
        "MAMMO1",
        "20260310",
        "MG",
    )
    step = broad_query(modality="").ScheduledProcedureStepSequence[0]
    wanted = ("ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "Modality")
    assert [step[keyword].value or "" for keyword in wanted] == ["", "", ""]


@pytest.fixture(scope="module")
def scp_port(django_db_setup: None) -> Iterator[int]:
    """Run a worklist server; yield its port."""
    with serving() as server:
        yield port_of(server)


@pytest.fixture
def port(scp_port: int, transactional_db: None) -> int:
    """Return the port of a worklist server with four items."""
    items: dict[str, dict[str, Any]] = {
        MINE: {},
        OTHER_ROOM: {"station_ae_title": "MAMMO2"},
        CT: {"modality": "CT"},
        TOMORROW: {"scheduled_date": date(2026, 3, 11)},
    }
    for name, changes in items.items():
        WorklistItemFactory.create(
            **{
                "accession_number": name,
                "patient_id": name,
                "scheduled_date": DAY,
                "scheduled_time": time(14),
                **changes,
            }
        )
    return scp_port


class TestDeviceQueries:
    @pytest.mark.parametrize("query", DEVICE_QUERIES, ids=lambda query: query.name)
    def test_each_query_finds_the_rows_of_its_button(self, query: DeviceQuery, port: int) -> None:
        rows = ModalityEmulator("127.0.0.1", port, CALLED).query(
            query.identifier(CONSOLE), implicit_only=query.implicit_only
        )
        assert len(rows) == len(SHOWN[query.name])
        shown = {str(row.get("PatientID") or row.get("AccessionNumber") or "") for row in rows} - {""}
        assert shown <= SHOWN[query.name]
        assert [keyword for row in rows for keyword in illegal(row)] == []

    def test_each_query_has_its_own_name(self) -> None:
        assert {query.name for query in DEVICE_QUERIES} == SHOWN.keys()
        assert len(DEVICE_QUERIES) == len(SHOWN)


class TestQueryWorklist:
    def output(self, port: int, *arguments: str) -> str:
        """Run the command; return its output."""
        output = StringIO()
        call_command("query_worklist", "--port", str(port), "--date", "20260310", *arguments, stdout=output)
        return output.getvalue()

    def test_a_preset_prints_the_rows_of_one_button(self, port: int) -> None:
        text = self.output(port, "--preset", "ge-this-scanner")
        assert "GE, button This Scanner" in text
        assert "MINE" in text
        assert "ROOM2" not in text
        assert "2 on the list" in text

    def test_all_presets_can_be_sent(self, port: int) -> None:
        text = self.output(port, "--preset", "all", "--accession", "MINE")
        assert text.count("on the list") == len(DEVICE_QUERIES)

    def test_without_a_preset_the_modalitys_own_worklist_is_queried(self, port: int) -> None:
        assert "1 on the list" in self.output(port)
