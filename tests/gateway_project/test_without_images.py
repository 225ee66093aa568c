"""Where IMAGES is off, nothing of images is imported, can be started or is shown."""

import json

import pytest

from tests.processes import Start

pytestmark = pytest.mark.once

PROGRAM = """
import json, sys
import django
django.setup()
from django.contrib.auth.models import User
from django.core.management import get_commands
from django.test import Client
client = Client(SERVER_NAME="localhost")
client.force_login(User.objects.create_superuser("jane"))
live, admin, metrics = (client.get(path).content.decode() for path in ("/", "/admin/", "/metrics"))
print(json.dumps({
    "live page is empty": '<div class="images" data-slot="images"></div>' in live,
    "admin has them": "images" in admin.lower(),
    "metrics have them": "image" in metrics,
    "commands": [name for name in get_commands() if "image" in name],
    "modules": [name for name in sys.modules if name.split(".")[0] in ("images", "httpx")],
}))
"""


@pytest.mark.django_db(transaction=True)
def test_nothing_of_images_is_imported_started_or_shown(start: Start) -> None:
    process = start(PROGRAM, program="-c", IMAGES="off")
    assert process.exit_status() == 0, process.output
    assert json.loads(process.lines[-1]) == {
        "live page is empty": True,
        "admin has them": False,
        "metrics have them": False,
        "commands": [],
        "modules": [],
    }
