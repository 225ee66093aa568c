"""docs/architecture.md lists every module and draws every import, as the code has them."""

from pathlib import Path

import pytest

from tests.docs import architecture


class TestArchitecture:
    def test_its_listing_and_its_diagram_are_what_the_code_says(self) -> None:
        assert architecture.DOCUMENT.read_text() == architecture.document(), "run `make architecture`"

    @pytest.mark.parametrize("package", architecture.PACKAGES)
    def test_every_module_says_what_it_does_in_one_sentence(self, package: str) -> None:
        modules = [
            path
            for path in Path(package).rglob("*.py")
            if path.name not in ("__init__.py", "apps.py") and not architecture.DJANGO & set(path.parts)
        ]
        assert [str(path) for path in modules if not 10 < len(architecture.summary(path)) < 200] == []
