"""docs/architecture.md tells the truth."""

import re
from pathlib import Path

import grimp
import pytest

DOCUMENT = Path("docs/architecture.md").read_text()
ROOTS = ("core", "dicom", "relay", "worklist", "dashboard", "gateway_project", "nonprod")
ROOMS = (*ROOTS, "relay.hybrid_connection")


def room_of(module: str) -> str:
    """The innermost room that a module is in."""
    return max((room for room in ROOMS if module == room or module.startswith(f"{room}.")), key=len)


def drawn() -> str:
    """The imports between rooms, as mermaid draws them."""
    graph = grimp.build_graph(*ROOTS, cache_dir=None)
    edges = {
        (room_of(importer), room_of(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    lines = [f"    {one} --> {other}" for one, other in sorted(edges) if one != other]
    return "\n".join(["graph TD", *lines])


class TestArchitecture:
    def test_the_diagram_is_what_the_code_imports(self) -> None:
        diagram = re.search(r"```mermaid\n(.*?)\n```", DOCUMENT, re.DOTALL)
        assert diagram
        assert diagram[1] == drawn(), f"replace the diagram by:\n{drawn()}"

    @pytest.mark.parametrize(
        "package",
        [
            *ROOTS,
            "relay/hybrid_connection",
            "relay/probe",
            "worklist/query",
            "worklist/performed_step",
            "worklist/services",
            "worklist/models",
            "worklist/admin",
            "nonprod/relay_emulator",
            "nonprod/modality_emulator",
            "nonprod/pages",
        ],
    )
    def test_every_module_of_a_package_is_named(self, package: str) -> None:
        modules = {path.name for path in Path(package).glob("*.py")} - {"__init__.py", "apps.py"}
        unnamed = {name for name in modules if not re.search(rf"\b{name}\b", DOCUMENT)}
        assert unnamed == set()

    def test_every_file_that_is_named_is_there(self) -> None:
        listing = DOCUMENT.split("```")[1]
        names = set(re.findall(r"\b(\w+\.py)\b", listing))
        there = {path.name for root in ROOTS for path in Path(root).rglob("*.py")}
        assert names - there == set()
