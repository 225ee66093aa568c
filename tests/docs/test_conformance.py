"""docs/conformance.md has the attributes of the information model."""

from pathlib import Path

from worklist.information_model import ROOT, STEP, Attribute, Matching

DOCUMENT = Path("docs/conformance.md").read_text()


def row(attribute: Attribute, mark: str) -> str:
    """An attribute's row of the table."""
    matching = f"{'**required**, ' if attribute.required else ''}{attribute.matching.value}"
    shown = "not matched" if attribute.matching is Matching.NONE else matching
    tag = f"({attribute.tag.group:04X},{attribute.tag.element:04X})"
    return f"| {mark}{attribute.keyword} | {tag} | {shown} | {attribute.return_type} |"


class TestConformance:
    def test_the_table_is_that_of_the_information_model(self) -> None:
        expected = [*(row(attribute, "") for attribute in ROOT), *(row(attribute, "> ") for attribute in STEP)]
        table = DOCUMENT.split("| attribute | tag |")[1].split("\n\n")[0].splitlines()[2:]
        assert table == expected, "replace the table by:\n" + "\n".join(expected)
