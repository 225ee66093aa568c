"""The data sets that the modality emulator sends, as a server receives them (PS3.4 table F.7.2-1)."""

from datetime import UTC, datetime

import pytest
from pydicom.dataset import Dataset

from nonprod.modality_emulator import (
    REASONS,
    Dose,
    RequestFailed,
    Series,
    UnknownReason,
    broad_query,
    reason_named,
)
from tests.dicom.requests import keywords
from tests.nonprod.mpps_server import ABORTS, MppsServer, mpps_server, row

pytestmark = pytest.mark.once

AT = datetime(2026, 11, 23, 14, 31, 7, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 14, 36, 0, tzinfo=UTC)
#: The attributes of types 1 and 2 of an N-CREATE in table F.7.2-1.
TYPE_1 = {
    "ScheduledStepAttributesSequence",
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepStatus",
    "Modality",
}
TYPE_2 = {
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "ReferencedPatientSequence",
    "PerformedStationName",
    "PerformedLocation",
    "PerformedProcedureStepDescription",
    "PerformedProcedureTypeDescription",
    "ProcedureCodeSequence",
    "PerformedProcedureStepEndDate",
    "PerformedProcedureStepEndTime",
    "StudyID",
    "PerformedProtocolCodeSequence",
    "PerformedSeriesSequence",
}
SCHEDULED_TYPE_2 = {
    "ReferencedStudySequence",
    "AccessionNumber",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepDescription",
    "ScheduledProtocolCodeSequence",
}
SERIES = {
    "PerformingPhysicianName",
    "OperatorsName",
    "SeriesDescription",
    "RetrieveAETitle",
    "ProtocolName",
    "SeriesInstanceUID",
    "ReferencedImageSequence",
    "ReferencedNonImageCompositeSOPInstanceSequence",
}
SET_LATER = {
    "PerformedProcedureStepEndDate",
    "PerformedProcedureStepEndTime",
    "PerformedProcedureStepDiscontinuationReasonCodeSequence",
    "PerformedProtocolCodeSequence",
    "PerformedSeriesSequence",
    "EntranceDose",
    "EntranceDoseInmGy",
    "ImageAndFluoroscopyAreaDoseProduct",
}


@pytest.fixture
def server(module_server: MppsServer) -> MppsServer:
    """Return the server with one row on its worklist and no requests yet."""
    module_server.reset(row())
    return module_server


def created(server: MppsServer, found: Dataset | None = None) -> Dataset:
    """Start a step; return the Attribute List that the server receives."""
    server.modality().start(found or row(), at=AT)
    return server.received[-1].attributes


class TestStart:
    def test_an_n_create_has_all_of_types_1_and_2(self, server: MppsServer) -> None:
        attributes = created(server)
        assert keywords(attributes) >= TYPE_1 | TYPE_2
        assert [keyword for keyword in TYPE_1 if not attributes.get(keyword)] == []

    def test_an_n_create_copies_the_scheduled_step_from_the_row(self, server: MppsServer) -> None:
        (scheduled,) = created(server).ScheduledStepAttributesSequence
        assert keywords(scheduled) == SCHEDULED_TYPE_2 | {"StudyInstanceUID", "RequestedProcedureCodeSequence"}
        assert scheduled.StudyInstanceUID == "2.25.1"
        assert (scheduled.AccessionNumber, scheduled.RequestedProcedureID) == ("ACC1", "RP1")
        assert scheduled.ScheduledProcedureStepID == "SP1"
        assert scheduled.ScheduledProtocolCodeSequence[0].CodeValue == "MAMMO"

    def test_an_n_create_has_the_station_and_the_start(self, server: MppsServer) -> None:
        attributes = created(server)
        assert attributes.PerformedStationAETitle == "MAMMO1"
        assert attributes.PerformedProcedureStepStartDate == "20261123"
        assert attributes.PerformedProcedureStepStartTime == "143107"
        assert attributes.PerformedProcedureStepStatus == "IN PROGRESS"
        assert attributes.Modality == "MG"
        assert 0 < len(attributes.PerformedProcedureStepID) <= 16

    def test_attributes_known_at_the_end_are_sent_zero_length(self, server: MppsServer) -> None:
        attributes = created(server)
        assert keywords(attributes) >= SET_LATER
        assert [keyword for keyword in SET_LATER if attributes[keyword].value] == []

    def test_a_step_without_a_row_is_unscheduled_and_in_a_new_study(self, server: MppsServer) -> None:
        server.modality().start()
        (scheduled,) = server.received[-1].attributes.ScheduledStepAttributesSequence
        assert keywords(scheduled) == SCHEDULED_TYPE_2 | {"StudyInstanceUID"}
        assert scheduled.StudyInstanceUID
        assert [keyword for keyword in SCHEDULED_TYPE_2 if scheduled.get(keyword)] == []

    def test_each_step_has_its_own_uid(self, server: MppsServer) -> None:
        created(server)
        created(server)
        assert len({one.uid for one in server.received}) == 2


class TestCharacterSets:
    @pytest.mark.parametrize(
        ("terms", "name"),
        [
            ("ISO_IR 192", "O'BRIEN-ŁUKASZ^ZOË"),
            ("ISO_IR 192", "LEE^ANN=李^安"),
            ("ISO_IR 100", "MÜLLER^ZOË"),
            (["ISO 2022 IR 6", "ISO 2022 IR 100", "ISO 2022 IR 144"], "MÜLLER^ЗОЯ"),
        ],
    )
    def test_a_name_keeps_the_rows_character_sets(self, server: MppsServer, terms: str | list[str], name: str) -> None:
        server.rows = [row(SpecificCharacterSet=terms, PatientName=name)]
        (found,) = server.modality().query(broad_query())
        attributes = created(server, found)
        assert attributes.SpecificCharacterSet == terms
        assert attributes.PatientName == name

    def test_an_ascii_row_needs_no_character_set(self, server: MppsServer) -> None:
        assert "SpecificCharacterSet" not in created(server)

    def test_text_outside_the_rows_character_sets_is_sent_in_unicode(self, server: MppsServer) -> None:
        step = server.modality().start(row(SpecificCharacterSet="ISO_IR 100", PatientName="MÜLLER"))
        step.complete([Series("Überblick", "Überblick", ())])
        step.modality.start(row(), operator="ŁUKASZ^ZOË").complete()
        assert [one.attributes.get("SpecificCharacterSet") for one in server.received] == [
            "ISO_IR 100",
            "ISO_IR 100",
            None,
            "ISO_IR 192",
        ]
        assert server.received[1].attributes.PerformedSeriesSequence[0].SeriesDescription == "Überblick"
        assert server.received[3].attributes.PerformedSeriesSequence[0].OperatorsName == "ŁUKASZ^ZOË"


class TestComplete:
    def test_a_completed_step_lists_the_four_views_with_one_image_each(self, server: MppsServer) -> None:
        step = server.modality().start(row(), at=AT)
        step.complete(at=LATER)
        assert [one.uid for one in server.received] == [step.uid, step.uid]
        attributes = server.received[-1].attributes
        assert attributes.PerformedProcedureStepStatus == "COMPLETED"
        assert attributes.PerformedProcedureStepEndDate == "20261123"
        assert attributes.PerformedProcedureStepEndTime == "143600"
        listed = attributes.PerformedSeriesSequence
        assert [series.SeriesDescription for series in listed] == ["R CC", "L CC", "R MLO", "L MLO"]
        assert [keywords(series) for series in listed] == [SERIES] * 4
        images = [image for series in listed for image in series.ReferencedImageSequence]
        assert {image.ReferencedSOPClassUID for image in images} == {"1.2.840.10008.5.1.4.1.1.1.2"}
        uids = [image.ReferencedSOPInstanceUID for image in images] + [series.SeriesInstanceUID for series in listed]
        assert len(set(uids)) == 8

    def test_a_completed_step_reports_the_dose(self, server: MppsServer) -> None:
        server.modality().start(row()).complete(dose=Dose(149.6, 88.128))
        attributes = server.received[-1].attributes
        assert (attributes.EntranceDoseInmGy, attributes.EntranceDose) == (149.6, 1)
        assert attributes.ImageAndFluoroscopyAreaDoseProduct == 88.13
        assert attributes.TotalNumberOfExposures == 4

    def test_an_n_set_has_only_attributes_of_the_n_create(self, server: MppsServer) -> None:
        step = server.modality().start(row())
        step.complete()
        step.discontinue()
        first, *later = (keywords(one.attributes) for one in server.received)
        assert [changes - first for changes in later] == [set(), set()]

    def test_a_step_can_be_completed_with_other_series(self, server: MppsServer) -> None:
        server.modality().start(row()).complete([Series("Tomo", "DBT", ("1.2.3", "1.2.4"))])
        (series,) = server.received[-1].attributes.PerformedSeriesSequence
        assert (series.ProtocolName, len(series.ReferencedImageSequence)) == ("DBT", 2)


class TestProgress:
    def test_each_n_set_lists_all_series_so_far(self, server: MppsServer) -> None:
        step = server.modality().start(row())
        step.expose("R CC")
        step.progress()
        step.expose("L CC")
        step.complete()
        assert server.requests == ["N-CREATE IN PROGRESS", "N-SET IN PROGRESS", "N-SET COMPLETED"]
        one, two = (request.attributes.PerformedSeriesSequence for request in server.received[1:])
        assert [len(one), len(two)] == [1, 2]
        assert one[0].SeriesInstanceUID == two[0].SeriesInstanceUID


class TestDiscontinue:
    def test_a_step_without_images_reports_the_reason_and_one_series(self, server: MppsServer) -> None:
        server.modality().start(row()).discontinue(reason_named("refused"), at=LATER)
        attributes = server.received[-1].attributes
        (reason,) = attributes.PerformedProcedureStepDiscontinuationReasonCodeSequence
        assert (reason.CodeValue, reason.CodingSchemeDesignator) == ("110505", "DCM")
        assert attributes.PerformedProcedureStepStatus == "DISCONTINUED"
        assert attributes.PerformedProcedureStepEndTime == "143600"
        (series,) = attributes.PerformedSeriesSequence
        assert keywords(series) == SERIES
        assert not series.ReferencedImageSequence

    def test_a_discontinued_step_lists_its_images(self, server: MppsServer) -> None:
        step = server.modality().start(row())
        step.expose("R CC")
        step.discontinue()
        attributes = server.received[-1].attributes
        assert len(attributes.PerformedSeriesSequence[0].ReferencedImageSequence) == 1
        assert attributes.PerformedProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110513"


class TestReasons:
    @pytest.mark.parametrize("text", ["110501", "equipment failure", " Equipment Fail "])
    def test_a_reason_is_found_by_code_or_part_of_its_meaning(self, text: str) -> None:
        assert reason_named(text).code == "110501"

    @pytest.mark.parametrize(
        ("text", "message"), [("equipment", "110516 Equipment change"), ("bad", "110500"), ("", "no")]
    )
    def test_no_match_or_several_matches_list_the_reasons(self, text: str, message: str) -> None:
        with pytest.raises(UnknownReason, match=message):
            reason_named(text)

    def test_each_reason_has_its_own_code(self) -> None:
        assert len({reason.code for reason in REASONS}) == len(REASONS)


class TestAssociations:
    def test_one_association_can_carry_query_step_and_echo(self, server: MppsServer) -> None:
        with server.modality().in_one_association() as modality:
            modality.echo()
            (found,) = modality.query(broad_query())
            modality.start(found).complete()
            modality.echo()
        assert server.requests == ["N-CREATE IN PROGRESS", "N-SET COMPLETED"]
        assert server.associations == 1

    def test_otherwise_each_request_has_its_own_association(self, server: MppsServer) -> None:
        server.modality().start(row()).complete()
        assert server.associations == 2


class TestRequestFailed:
    def test_the_error_has_the_status_and_the_error_comment(self, server: MppsServer) -> None:
        server.answers, server.comment = [0x0110], "the database does not answer"
        with pytest.raises(RequestFailed) as caught:
            server.modality().start(row())
        assert str(caught.value) == "N-CREATE was answered with 0110 the database does not answer"
        assert (caught.value.status, caught.value.comment) == (0x0110, "the database does not answer")

    def test_a_failed_n_set_can_be_sent_again(self, server: MppsServer) -> None:
        step = server.modality().start(row())
        server.answers = [0x0110]
        with pytest.raises(RequestFailed, match="N-SET was answered with 0110"):
            step.complete()
        step.complete()
        first, again = (request.attributes.PerformedSeriesSequence for request in server.received[1:])
        assert [one.SeriesInstanceUID for one in first] == [one.SeriesInstanceUID for one in again]

    def test_a_broken_association_has_no_status(self, server: MppsServer) -> None:
        server.answers = [ABORTS]
        with pytest.raises(RequestFailed, match="broke before the N-CREATE was answered") as caught:
            server.modality().start(row())
        assert caught.value.status is None

    def test_a_server_without_mpps_is_an_error(self) -> None:
        with mpps_server(accepts_mpps=False) as server, pytest.raises(RequestFailed, match="does not accept"):
            server.modality().start(row())

    def test_an_association_that_has_ended_is_an_error(self, server: MppsServer) -> None:
        server.answers = [ABORTS]
        with server.modality().in_one_association() as modality:
            with pytest.raises(RequestFailed, match="broke"):
                modality.start(row())
            with pytest.raises(RequestFailed, match="has ended"):
                modality.echo()
