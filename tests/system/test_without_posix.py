"""The daemons where Python offers nothing of POSIX, on event loops without add_signal_handler."""

import pytest

from tests.factories import payload
from tests.system.conftest import Gateway
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

PROGRAM = "tests/system/without_posix.py"
DAEMONS = ("run_relay_emulator", "run_relay_listener", "run_mwl_scp", "run_web")


def test_all_daemons_start_work_and_stop(gateway: Gateway) -> None:
    gateway.run()
    for name in DAEMONS:
        gateway.run_one(name, program=PROGRAM)
    assert gateway.reply(payload())["status"] == "created"
    assert WorklistItem.objects.count() == 1
    statuses = {name: gateway.processes[name].stop() for name in reversed(DAEMONS)}
    assert statuses == dict.fromkeys(DAEMONS, 0)
    assert not any("Traceback" in process.output for process in gateway.processes.values())
