"""How a change of the database is heard."""

import asyncio
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from django.db import connection

from dashboard import change_notifications
from dashboard.change_notifications import _data_version, _open_sqlite, _watch_sqlite


class TestSqlite:
    @pytest.mark.parametrize("name", ["a#b.sqlite3", "a?b.sqlite3", "a%41b.sqlite3", "a b.sqlite3"])
    def test_whatever_its_path_is_the_same_file_is_watched(self, name: str, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / name)) as writer:
            writer.execute("CREATE TABLE one (x)")
            for path in (tmp_path / name, str(tmp_path / name)):
                with closing(_open_sqlite(path)) as watching:
                    before = _data_version(watching)
                    writer.execute("INSERT INTO one VALUES (1)")
                    writer.commit()
                    assert _data_version(watching) != before

    def test_a_file_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(sqlite3.OperationalError):
            _open_sqlite(tmp_path / "none.sqlite3")
        assert list(tmp_path.iterdir()) == []

    async def test_cancelling_during_a_read_does_not_crash_the_process(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """SQLite crashes when a connection is closed during a statement: one cancellation in a hundred hits one."""
        path = tmp_path / "watched.sqlite3"
        path.touch()
        monkeypatch.setitem(connection.settings_dict, "NAME", path)
        monkeypatch.setattr(change_notifications, "POLL_SECONDS", 0)
        for attempt in range(300):
            watching = asyncio.create_task(_watch_sqlite(lambda: None))
            await asyncio.sleep(0.001 + 0.0003 * (attempt % 7))
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            assert watching.cancelled()
