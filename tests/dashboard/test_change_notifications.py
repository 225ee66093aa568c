"""How a change of the database is heard."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dashboard.change_notifications import _data_version, _open_sqlite


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
