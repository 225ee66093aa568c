"""Act as a modality with DCMTK's programs findscu, echoscu and dcmdump."""

import subprocess
from pathlib import Path

from tests.dicom.requests import CALLED, PATIENCE, Unit


def dcmtk(program: str, *arguments: str) -> str:
    """Run a program of DCMTK, which must succeed; return what it prints."""
    done = subprocess.run([program, *arguments], capture_output=True, timeout=3 * PATIENCE, check=False)
    output = (done.stdout + done.stderr).decode("utf-8", errors="replace")
    assert done.returncode == 0, output
    return output


class Console:
    """A modality that queries with findscu and reads the responses with dcmdump."""

    def __init__(self, unit: Unit, folder: Path) -> None:
        self._peer = ["-aet", "MAMMO1", "-aec", CALLED, "127.0.0.1", str(unit.port)]
        self._folder = folder

    def find(self, *keys: str, options: tuple[str, ...] = ()) -> str:
        """Send a C-FIND; return what findscu prints."""
        arguments = [part for key in keys for part in ("-k", key)]
        return dcmtk("findscu", "-v", "-W", "-X", "-od", str(self._folder), *options, *self._peer, *arguments)

    def shown(self, *keys: str, options: tuple[str, ...] = ("+U8",)) -> list[str]:
        """Send a C-FIND; return each response as dcmdump prints it, its texts converted to UTF-8."""
        self.find(*keys)
        return [dcmtk("dcmdump", *options, str(file)) for file in sorted(self._folder.glob("rsp*.dcm"))]

    def echo(self) -> str:
        """Send a C-ECHO; return what echoscu prints."""
        return dcmtk("echoscu", "-v", *self._peer)
