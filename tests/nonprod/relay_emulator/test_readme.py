"""The emulator's README tells the truth."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

from nonprod.relay_emulator.configuration import read_namespace
from nonprod.relay_emulator.faults import FAULTS

PACKAGE = Path("nonprod/relay_emulator")
README = (PACKAGE / "README.md").read_text()


class TestReadme:
    def test_the_table_has_every_fault_with_all_that_it_may_say(self) -> None:
        rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\|", README, re.MULTILINE)
        documented = {name: set(re.findall(r"`(\w+)`", options)) for name, options in rows}
        has = {name: {field.name for field in fields(kind)} - {"path"} for name, kind in FAULTS.items()}
        assert list(documented) == list(FAULTS)
        assert documented == has

    def test_the_file_can_be_read(self) -> None:
        text = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
        assert text
        namespace = read_namespace(tomllib.loads(text[1]))
        assert [connection.path for connection in namespace.hybrid_connections] == ["my-connection"]

    def test_every_module_that_is_named_is_there(self) -> None:
        assert {name for name in re.findall(r"`(\w+\.py)`", README) if not (PACKAGE / name).exists()} == set()
