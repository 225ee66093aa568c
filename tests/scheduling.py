"""Distribute the tests to the workers of pytest-xdist: an idle worker takes the next test.

All browser tests go to one worker, as they share a gateway and a browser, and go first, as they take longest. (xdist's
own `--dist loadgroup` has no effect with pytest 9.)
"""

from xdist.scheduler import LoadScopeScheduling

BROWSER = "tests/browser/"


class OneBrowser(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Makes all browser tests one unit of work, and every other test a unit by itself."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER if nodeid.startswith(BROWSER) else nodeid
