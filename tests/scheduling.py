"""Distribute the tests to the workers of pytest-xdist: an idle worker takes the next test.

All browser tests go to one worker, as they share a gateway and a browser, and go first, as they take longest. (xdist's
own `--dist loadgroup` has no effect with pytest 9.)
"""

from typing import Any

from xdist.scheduler import LoadScopeScheduling

BROWSER = "tests/browser/"


class OneBrowser(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Makes all browser tests one unit of work, and every other test a unit by itself."""

    def remove_node(self, node: Any) -> Any:
        """Give back only the unfinished work of a crashed worker. With all of it, as xdist does, the run never ends.

        A worker starts its last test when it receives more tests, and a finished unit brings it none.
        """
        work = self.assigned_work[node]
        self.assigned_work[node] = {scope: tests for scope, tests in work.items() if not all(tests.values())}
        return super().remove_node(node)

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER if nodeid.startswith(BROWSER) else nodeid
