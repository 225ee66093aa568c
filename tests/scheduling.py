"""Distribute the tests to the workers of pytest-xdist: an idle worker takes the next test.

Tests that share what takes long to start (a gateway, a browser, a migrated database) go to one worker, one after
another, so that it is started once. Those of FIRST go first, so that none of them is left when all others have ended.
(xdist's own `--dist loadgroup` has no effect with pytest 9.)
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

BROWSER, BENCHMARKS = "tests/browser/", "tests/benchmarks/"
#: They take half of the browser's time, so they have a browser and a gateway of their own.
ACCESSIBILITY = f"{BROWSER}test_accessibility.py"
#: The tests that take longest. They do not use the test database, which other tests empty, so their place is free.
FIRST = (BROWSER, BENCHMARKS)
#: What the node ids of tests begin with that share something. The benchmarks share nothing, but several at once would
#: leave nothing of the machine to others.
TOGETHER = (
    ACCESSIBILITY,
    BROWSER,
    BENCHMARKS,
    "tests/dashboard/test_socket.py",
    "tests/nonprod/pages/test_clinic.py::TestWithAGateway",
    "tests/nonprod/pages/test_journey.py",
    "tests/nonprod/test_modality_emulator.py",
    "tests/nonprod/test_modality_worker.py",
    "tests/system/test_http_actions.py",
    "tests/system/test_main_job.py::TestMainJob",
    "tests/system/test_make_run.py::TestOnce",
    "tests/system/test_proxy_and_private_ca.py",
    "tests/upgrades/test_upgrade.py",
)


class TogetherScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Make the tests that share something one unit of work, and every other test a unit by itself."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # the largest units first would undo the order of the collection

    def remove_node(self, node: Any) -> Any:
        """Give back only the unfinished work of a crashed worker. With all of it, as xdist does, the run never ends.

        A worker starts its last test when it receives more tests, and a finished unit brings it none.
        """
        work = self.assigned_work[node]
        self.assigned_work[node] = {scope: tests for scope, tests in work.items() if not all(tests.values())}
        return super().remove_node(node)

    def _split_scope(self, nodeid: str) -> str:
        return next(filter(nodeid.startswith, TOGETHER), nodeid)
