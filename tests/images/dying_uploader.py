"""Upload images, and kill this process (SIGKILL) at a moment: `claimed`, `copied`, `sending` or `answered`.

`copied`: the copy is in the spool, and its row does not say so. `answered`: Manage has it, and the row does not say so.
"""

import os
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import django

django.setup()

from images.answers import Answer  # noqa: E402
from images.copies.worker import copy_in_process  # noqa: E402
from images.manage_api import ManageApi, configured_manage_api  # noqa: E402
from images.models import ReceivedImage  # noqa: E402
from images.spool import spool  # noqa: E402
from images.uploader import Uploader  # noqa: E402
from tests.processes import KILL  # noqa: E402

MOMENT = sys.argv[1]


def die_at(moment: str) -> None:
    """Kill this process at once, without any clean-up, if this is the moment."""
    if moment == MOMENT:
        os.kill(os.getpid(), KILL)


def copy_and_die(*arguments: Any) -> None:
    """Make a copy in a worker process."""
    copy_in_process(*arguments)
    die_at("copied")


class DyingApi(ManageApi):
    """Dies around the request."""

    def upload(self, action_id: str, file: Path) -> Answer:
        die_at("sending")
        answer = super().upload(action_id, file)
        die_at("answered")
        return answer


class DyingUploader(Uploader):
    """Dies with a claimed image."""

    def _copy_and_send(self, image: ReceivedImage) -> None:
        die_at("claimed")
        super()._copy_and_send(image)


if __name__ == "__main__":
    configured = configured_manage_api()
    api = DyingApi(configured._url, configured._tokens)
    DyingUploader(api, spool(), copy_and_die, threading.Event()).work_once()
