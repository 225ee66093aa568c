"""What is kept in the spool is on the disk, or is not kept."""

import errno
import os
from pathlib import Path

import pytest

from images.spool import STRIDE, CannotStore, IncomingFile, Spool


def test_what_is_half_received_is_found_beside_a_folder_of_somebody_elses(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.prepare()
    (spool.incoming / "lost+found").mkdir()
    (spool.incoming / "half.dcm").touch()
    assert [path.name for path in spool.half_received()] == ["half.dcm"]


def test_a_disk_that_fails_while_data_arrive_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux keeps the error of a write that it had begun for the next fsync."""
    spool = Spool(tmp_path)
    spool.prepare()
    incoming = IncomingFile(spool, b"", max_bytes=1 << 30, min_free_bytes=0)
    incoming.write(bytes(STRIDE))

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CannotStore, match="Not written to disk: Input/output error"):
        incoming.keep()
    assert not list(tmp_path.rglob("*.dcm"))
