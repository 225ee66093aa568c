"""export_schema prints the file that Manage is given."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command


class TestExportSchema:
    @pytest.mark.parametrize("name", ["gateway_action", "gateway_reply"])
    def test_it_prints_the_file_byte_for_byte(self, name: str) -> None:
        output = StringIO()
        call_command("export_schema", name, stdout=output)
        assert output.getvalue() == Path(f"core/contract/schemas/{name}_v1.schema.json").read_text()
