"""PS3.5 section 6.2: what a value may look like."""

from datetime import date, datetime, time

import pytest

from core import value_representations as vr


class TestDates:
    @pytest.mark.parametrize(
        "text", ["19701345", "20270229", "1970-3-1", "197003", "", "２０２６１１２３", "20261123 "]
    )
    def test_what_is_no_date_is_refused_with_the_rule(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"^is not a date \(YYYYMMDD\)$"):
            vr.parse_da(text)

    def test_a_leap_day_is_a_date(self) -> None:
        assert vr.parse_da("20280229") == date(2028, 2, 29)

    def test_a_date_is_written_with_four_digits_of_year(self) -> None:
        assert vr.format_da(date(987, 1, 2)) == "09870102"


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("14", time(14)),
            ("1430", time(14, 30)),
            ("143059", time(14, 30, 59)),
            ("143059.5", time(14, 30, 59, 500000)),
            ("143059.000001", time(14, 30, 59, 1)),
        ],
    )
    def test_parts_from_the_right_may_be_missing(self, text: str, value: time) -> None:
        assert vr.parse_tm(text) == value

    @pytest.mark.parametrize(
        "text", ["24", "2460", "246000", "14:30", "1", "143", "143059.", "143059.1234567", "1430.5"]
    )
    def test_what_is_no_time_is_refused_with_the_rule(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"^is not a time \(HHMMSS\)$"):
            vr.parse_tm(text)

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2026070114", "2026-07-01T14:00"),
            ("20260701143059.5", "2026-07-01T14:30:59.500000"),
            ("202607011430+0530", "2026-07-01T14:30+05:30"),
            ("202607011430-0100", "2026-07-01T14:30-01:00"),
        ],
    )
    def test_a_date_and_time_may_have_an_offset(self, text: str, moment: str) -> None:
        assert vr.parse_dt(text) == datetime.fromisoformat(moment)

    @pytest.mark.parametrize("text", ["", "20260701", "2026070125", "2026130114", "2026070114+2400", "2026070114+1"])
    def test_what_is_no_moment_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            vr.parse_dt(text)

    def test_a_time_is_written_with_exactly_six_digits(self) -> None:
        assert vr.format_tm(time(9, 5, 0, 123456)) == "090500"


class TestTexts:
    @pytest.mark.parametrize("text", ["A", " A ", "O'BRIEN-ŁUKASZ", "李", "😀", "a" * 64])
    def test_a_text_may_hold_any_letter(self, text: str) -> None:
        assert vr.is_text(text)

    @pytest.mark.parametrize("text", ["", "  ", "A\\B", "A\nB", "A\x00", "A\x1b", "A\x7f", "A\x85"])
    def test_a_text_holds_no_backslash_and_no_control_character(self, text: str) -> None:
        assert not vr.is_text(text)

    def test_a_long_text_holds_lines_and_backslashes(self) -> None:
        assert vr.is_long_text("first\r\nsecond\t\\")
        assert not vr.is_long_text("escape \x1b")

    @pytest.mark.parametrize("text", ["A\ud800", "\udcff", "A\udfffB"])
    def test_half_a_character_is_in_none(self, text: str) -> None:
        assert not vr.is_text(text)
        assert not vr.is_long_text(text)
        assert not vr.is_pn(text)

    @pytest.mark.parametrize("text", ["MÜLLER", "A" * 17, " "])
    def test_an_ae_title_is_ascii_of_at_most_sixteen(self, text: str) -> None:
        assert not vr.is_ae(text)

    @pytest.mark.parametrize(
        ("text", "legal"), [("MG", True), ("M_1 X", True), ("mg", False), ("", False), (" ", False)]
    )
    def test_a_code_string_is_upper_case(self, text: str, legal: bool) -> None:
        assert vr.is_cs(text) is legal

    @pytest.mark.parametrize(("text", "legal"), [("2.25.1", True), ("1.02", False), ("1", False), ("1.", False)])
    def test_a_uid_has_no_leading_zeros(self, text: str, legal: bool) -> None:
        assert vr.is_ui(text) is legal

    @pytest.mark.parametrize(("text", "legal"), [("61.5", True), ("-1E3", True), ("61,5", False), ("heavy", False)])
    def test_a_decimal_string_is_a_number(self, text: str, legal: bool) -> None:
        assert vr.is_ds(text) is legal


class TestNames:
    @pytest.mark.parametrize(
        "name", ["SMITH^JANE", "LEE^ANN=李^安=イ^アン", "X", "A^B^C^D^E", "É" * 64 + "=" + "É" * 64]
    )
    def test_a_name_has_up_to_three_groups_of_five_components(self, name: str) -> None:
        assert vr.is_pn(name)

    @pytest.mark.parametrize("name", ["^", "^^^^", "=", " ", "A=B=C=D", "A^B^C^D^E^F", "É" * 65, "A\\B"])
    def test_what_names_nobody_or_breaks_the_form_is_none(self, name: str) -> None:
        assert not vr.is_pn(name)
