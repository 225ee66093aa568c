"""The library's README: its example runs, and its table lists every file."""

import asyncio
import re
import shutil
import sys
from pathlib import Path

from nonprod.relay_emulator import RelayEmulator
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.sender import send
from tests.conftest import KEYS, PATH

PACKAGE = Path("relay/hybrid_connection")
README = (PACKAGE / "README.md").read_text()


class TestReadme:
    async def test_its_example_runs_in_a_copy_of_the_folder_without_django(
        self, emulator: RelayEmulator, address: HybridConnectionAddress, tmp_path: Path
    ) -> None:
        (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
        assert len([line for line in example.splitlines() if line.strip()]) <= 10
        here = (
            example.replace("relay.hybrid_connection", "copied")
            .replace('"hospital.servicebus.windows.net", "gateway"', f'"{emulator.namespace}", "{PATH}", plain=True')
            .replace('"policy", "key"', f'"{KEYS.name}", "{KEYS.key}"')
        )
        shutil.copytree(PACKAGE, tmp_path / "copied")
        program = f"import sys\nsys.modules['django'] = None\n{here}"
        running = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=tmp_path)
        await emulator.until(lambda: bool(emulator.channels[PATH]))
        assert await send(address, KEYS, "hello") == "You said 5 bytes"
        running.terminate()
        await running.wait()

    def test_it_lists_exactly_the_files_of_the_folder(self) -> None:
        there = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
        assert set(re.findall(r"`(\w+\.py)`", README)) == there
