"""Says which worker of pytest-xdist runs which test: whatever has nothing more to do takes the next one.

All that look through a browser go to one worker, as they share a gateway and a browser, and go first, as they take
longest. (xdist's own `--dist loadgroup` has no effect with pytest 9.)
"""

from xdist.scheduler import LoadScopeScheduling

BROWSER = "tests/browser/"


class OneBrowser(LoadScopeScheduling):  # type: ignore[misc] # it has no types
    """One unit of work of all tests in there; every other test is one by itself."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER if nodeid.startswith(BROWSER) else nodeid
