"""The unit's console, with the gateway's worklist server."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from django.test import modify_settings
from pytest_django.fixtures import Settings

from dicom.server import DicomServer, stop_server
from images.models import ReceivedImage
from images.scp import image_context, start_image_server
from nonprod.models import Examination
from tests.dicom.serving import port_of, serving
from tests.factories import WorklistItemFactory
from tests.nonprod.pages.conftest import Browser
from worklist.models import PerformedProcedureStep, WorklistItem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

TODAY = date.today()


def item(name: str, number: str, **values: object) -> WorklistItem:
    """Create an item for today without a station."""
    kept: WorklistItem = WorklistItemFactory.create(
        patient_name=name,
        accession_number=number,
        **{"scheduled_date": TODAY, "station_ae_title": "", "modality": "MG", "status": "SCHEDULED", **values},
    )
    return kept


@pytest.fixture
def server(settings: Settings, tmp_path: Path) -> Iterator[DicomServer]:
    """Run the worklist server and the image server, and point the settings at them."""
    settings.IMAGE_SPOOL_DIR, settings.IMAGE_MIN_FREE_BYTES = tmp_path / "spool", 0
    context = image_context()
    context.spool.prepare()
    images = start_image_server("127.0.0.1", 0, context)
    settings.IMAGE_PORT = port_of(images)
    with serving() as running:
        settings.MWL_PORT = port_of(running)
        yield running
    stop_server(images)


@pytest.mark.usefixtures("server")
class TestQueries:
    @pytest.fixture(autouse=True)
    def listed(self) -> None:
        item("O'BRIEN-ŁUKASZ^ZOË", "HERE", station_ae_title="MAMMO1")
        item("SMITH^JANE", "THERE", station_ae_title="MAMMO2")
        item("SMITHERS^ANN", "CT", modality="CT", station_ae_title="CT1")
        item("OKAFOR^ADAEZE", "TOMORROW", scheduled_date=TODAY + timedelta(days=3), station_ae_title="MAMMO1")

    @pytest.mark.parametrize(
        ("button", "text", "expected"),
        [
            ("scanner", "", {"HERE"}),
            ("modality", "", {"HERE", "THERE"}),
            ("today", "", {"HERE", "THERE", "CT"}),
            ("all", "", {"HERE", "THERE", "CT", "TOMORROW"}),
            ("name", "smith", {"THERE"}),
            ("name", "O'BRIEN-ŁUKASZ, Z", {"HERE"}),
            ("accession", "TOMORROW", {"TOMORROW"}),
            ("accession", "NOBODY", set()),
        ],
    )
    def test_a_search_lists_its_matches(self, browser: Browser, button: str, text: str, expected: set[str]) -> None:
        shown = browser.modality(unit="MAMMO1", ask=button, text=text)
        numbers = ("HERE", "THERE", "CT", "TOMORROW")
        assert {number for number in numbers if f'name="accession_number" value="{number}"' in shown} == expected

    def test_a_name_is_shown_letter_by_letter(self, browser: Browser) -> None:
        assert "O&#x27;BRIEN-ŁUKASZ, ZOË" in browser.modality(ask="scanner")

    def test_the_other_unit_asks_for_itself(self, browser: Browser) -> None:
        assert "SMITH, JANE" in browser.modality(unit="MAMMO2", ask="scanner")

    def test_nothing_is_asked_before_a_button_is_pressed(self, browser: Browser) -> None:
        assert "Press a button" in browser.modality()

    def test_a_search_field_must_not_be_empty(self, browser: Browser) -> None:
        assert "Enter a name" in browser.modality(ask="name", text=" ")


@pytest.mark.usefixtures("server")
class TestExaminations:
    def start(self, browser: Browser, number: str = "ACC1", unit: str = "MAMMO1") -> str:
        if not WorklistItem.objects.filter(accession_number=number).exists():
            item("SMITH^JANE", number)
        return browser.press("modality/start", unit=unit, accession_number=number)

    def step(self) -> PerformedProcedureStep:
        return PerformedProcedureStep.objects.get()

    def test_start_reports_a_step_in_progress_and_shows_the_examination(self, browser: Browser) -> None:
        text = self.start(browser)
        assert "Exposures" in text
        assert "N-CREATE: 0000" in text
        assert (self.step().status, WorklistItem.objects.get().status) == ("IN PROGRESS", "IN PROGRESS")

    def test_a_unit_has_one_examination_at_a_time(self, browser: Browser) -> None:
        self.start(browser)
        assert "finish that first" in self.start(browser, "ACC2")
        assert Examination.objects.count() == PerformedProcedureStep.objects.count() == 1

    def test_two_units_have_two(self, browser: Browser) -> None:
        self.start(browser)
        self.start(browser, "ACC2", unit="MAMMO2")
        assert Examination.objects.filter(status="IN PROGRESS").count() == 2

    def test_finish_without_images_takes_the_four_views(self, browser: Browser) -> None:
        self.start(browser)
        assert "N-SET: 0000, COMPLETED" in browser.press("modality/finish", unit="MAMMO1")
        assert (self.step().status, self.step().images) == ("COMPLETED", 4)
        assert WorklistItem.objects.get().status == "COMPLETED"

    def test_each_exposure_is_reported_at_once(self, browser: Browser) -> None:
        self.start(browser)
        assert "1 image" in browser.press("modality/expose", unit="MAMMO1", view="R CC")
        assert (self.step().status, self.step().images) == ("IN PROGRESS", 1)
        browser.press("modality/expose", unit="MAMMO1", view="R CC")
        browser.press("modality/finish", unit="MAMMO1")
        assert self.step().images == 2

    def test_each_image_is_sent_in_the_chosen_transfer_syntax_and_a_view_can_be_repeated(
        self, browser: Browser
    ) -> None:
        self.start(browser)
        shown = browser.press("modality/expose", unit="MAMMO1", view="R CC", transfer_syntax="jpeg-ls")
        assert "C-STORE: 0000, R CC, JPEG-LS Lossless" in shown
        browser.press("modality/expose", unit="MAMMO1", view="R CC", transfer_syntax="jpeg-ls")
        received = ReceivedImage.objects.values_list("image_laterality", "view_position", "item_accession_number")
        assert list(received) == [("R", "CC", "ACC1")] * 2
        assert {image.transfer_syntax_uid for image in ReceivedImage.objects.all()} == {"1.2.840.10008.1.2.4.80"}

    def test_expose_takes_and_sends_the_missing_views(self, browser: Browser) -> None:
        self.start(browser)
        browser.press("modality/expose", unit="MAMMO1", view="L MLO")
        shown = browser.press("modality/expose", unit="MAMMO1")
        assert "All four views are taken" in shown
        assert (self.step().images, ReceivedImage.objects.count()) == (4, 4)

    def test_finish_without_images_sends_the_four_it_takes(self, browser: Browser) -> None:
        self.start(browser)
        browser.press("modality/finish", unit="MAMMO1")
        assert ReceivedImage.objects.count() == 4

    def test_an_image_that_does_not_arrive_is_not_reported_and_can_be_taken_again(
        self, browser: Browser, settings: Settings
    ) -> None:
        self.start(browser)
        there = settings.IMAGE_PORT
        settings.IMAGE_PORT = 1
        assert "no association with" in browser.press("modality/expose", unit="MAMMO1", view="R CC")
        settings.IMAGE_PORT = there
        browser.press("modality/expose", unit="MAMMO1", view="R CC")
        assert (self.step().images, ReceivedImage.objects.count()) == (1, 1)

    def test_with_images_off_it_only_reports_them(self, browser: Browser) -> None:
        self.start(browser)
        with modify_settings(INSTALLED_APPS={"remove": "images"}):
            browser.press("modality/finish", unit="MAMMO1")
        assert (self.step().images, ReceivedImage.objects.count()) == (4, 0)

    def test_discontinue_reports_the_reason(self, browser: Browser) -> None:
        self.start(browser)
        browser.press("modality/discontinue", unit="MAMMO1", reason="110505")
        assert self.step().status == WorklistItem.objects.get().status == "DISCONTINUED"
        assert "Patient refused to continue procedure" in self.step().discontinuation_reason

    def test_an_unknown_reason_is_an_error(self, browser: Browser) -> None:
        self.start(browser)
        assert "no reason matches" in browser.press("modality/discontinue", unit="MAMMO1", reason="rain")
        assert self.step().status == "IN PROGRESS"

    def test_finished_examinations_are_listed(self, browser: Browser) -> None:
        self.start(browser)
        browser.press("modality/finish", unit="MAMMO1")
        assert "Recent examinations" in browser.modality(unit="MAMMO1")
        assert "Recent examinations" not in browser.modality(unit="MAMMO2")

    def test_a_patient_no_longer_on_the_list_cannot_be_started(self, browser: Browser) -> None:
        assert "not on the list any more" in browser.press("modality/start", unit="MAMMO1", accession_number="GONE")
        assert Examination.objects.count() == 0

    def test_without_an_examination_nothing_can_be_finished(self, browser: Browser) -> None:
        assert "has no examination open" in browser.press("modality/finish", unit="MAMMO1")

    def test_images_are_kept_while_the_server_is_down(self, browser: Browser, settings: Settings) -> None:
        self.start(browser)
        there = settings.MWL_PORT
        settings.MWL_PORT = 1
        assert "no association with" in browser.press("modality/expose", unit="MAMMO1", view="R CC")
        assert "no association with" in browser.press("modality/finish", unit="MAMMO1")
        settings.MWL_PORT = there
        browser.press("modality/finish", unit="MAMMO1")
        assert (self.step().status, self.step().images) == ("COMPLETED", 1)

    def test_verify_shows_the_echo_status(self, browser: Browser) -> None:
        assert "C-ECHO: 0000" in browser.press("modality/verify", unit="MAMMO1")


@pytest.mark.usefixtures("gateway_stopped")
class TestWithoutAServer:
    def test_the_console_shows_the_error(self, browser: Browser) -> None:
        assert "no association with" in browser.modality(ask="scanner")
        assert "no association with" in browser.press("modality/verify", unit="MAMMO1")

    def test_an_examination_that_did_not_start_is_not_saved(self, browser: Browser) -> None:
        browser.press("modality/start", unit="MAMMO1", accession_number="ACC1")
        assert Examination.objects.count() == 0
