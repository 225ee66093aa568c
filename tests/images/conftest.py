"""Fixtures for tests of images: an emulated Manage over real sockets, a spool, and items that the worklist knows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from images.manage_api import ManageApi, configured_manage_api
from images.spool import Spool
from tests.images.waiting import API, KNOWN, KnownItems


@pytest.fixture
def items(settings: Any) -> Iterator[KnownItems]:
    """A worklist of the items that the test adds."""
    settings.IMAGE_WORKLIST = "tests.images.waiting.KNOWN"
    yield KNOWN
    KNOWN.items.clear()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool."""
    made = Spool(tmp_path / "spool")
    made.prepare()
    return made


@pytest.fixture
def manage(live_server: Any, settings: Any) -> Iterator[ManageApi]:
    """A client of an emulated Manage that runs."""
    settings.MANAGE_API_URL = f"{live_server.url}{API}"
    api = configured_manage_api()
    yield api
    api.close()
