"""docs/conformance.md is what its template and the code's tables make of it."""

import re

import pytest

from tests.docs.conformance import STATEMENT, TABLES, TEMPLATE, statement
from worklist.performed_step.report import TABLE_F_7_2_1
from worklist.query.information_model import rows


class TestConformance:
    def test_it_is_up_to_date(self) -> None:
        assert STATEMENT.read_text() == statement(), "run make conformance"

    def test_every_table_stands_in_it(self) -> None:
        assert set(re.findall(r"<<(.*?)>>", TEMPLATE.read_text())) == TABLES.keys()

    def test_it_has_every_attribute_of_the_information_model(self) -> None:
        text = STATEMENT.read_text()
        assert [row.keyword for _, row in rows() if f"{row.keyword} |" not in text] == []

    def test_it_has_every_attribute_of_a_report(self) -> None:
        text = STATEMENT.read_text()
        assert [row.keyword for row in TABLE_F_7_2_1 if f"| {row.keyword} |" not in text] == []

    @pytest.mark.parametrize(
        "chapter",
        [
            "Overview",
            "Application data flow",
            "Functional definitions of the application entity",
            "Sequencing of real-world activities",
            "Association policies",
            "Presentation contexts",
            "SOP specific conformance",
            "Association acceptance policy",
            "Network interfaces",
            "Configuration",
            "Media interchange",
            "Support of character sets",
            "Security",
            "Annexes",
        ],
    )
    def test_it_has_the_chapters_of_ps3_2(self, chapter: str) -> None:
        assert re.search(rf"^#+ (\d+(\.\d+)*\.? )?{chapter}", STATEMENT.read_text(), re.MULTILINE)

    @pytest.mark.parametrize(
        "declared",
        [
            "Optional matching keys",
            "Type 3 return keys",
            "not case-sensitive",
            "no fuzzy",
            "TimezoneOffsetFromUTC",
            "Modality Performed Procedure Step | 1.2.840.10008.3.1.2.3.3 | no | yes",
        ],
    )
    def test_it_declares_what_ps3_4_demands(self, declared: str) -> None:
        """PS3.4 section K.6.1.3.2."""
        assert declared in STATEMENT.read_text()
