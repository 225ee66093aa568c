"""List the steps of a probe, their order and what each needs. Read it as you would urls.py."""

import asyncio

from django.core.checks import run_checks

from relay.hybrid_connection.failures import PROXY_SYNTAX
from relay.probe.network import compare_clocks, connect, look_up, pass_proxy, shake_hands
from relay.probe.report import Problem, Step, StepFailed
from relay.probe.route import BadProxy
from relay.probe.service import get_token, go_round, listen
from relay.probe.site import Site


async def look_at_settings(site: Site) -> str:
    """Every system check holds, and HTTPS_PROXY can be used. Without an address nothing else can be tried."""
    messages = await asyncio.to_thread(run_checks)
    problems = [
        Problem(f"{message.id}: {message.msg}", message.hint or "See docs/configuration.md.")
        for message in messages
        if message.is_serious() and not message.is_silenced()
    ]
    try:
        route = site.route
    except BadProxy as error:
        raise StepFailed(*problems, Problem(str(error), f"Write it as {PROXY_SYNTAX}.")) from None
    except ValueError:  # one of the checks has said so
        raise StepFailed(*problems) from None
    if problems:
        raise StepFailed(*problems, goes_on=True)
    way = f"through the proxy {route.proxy}" if route.proxy else "with no proxy"
    return f"{route.target}, hybrid connection {site.address.path}, {way}; every check holds"


STEPS: tuple[Step[Site], ...] = (
    Step("settings", look_at_settings),
    # As long as a resolver may take: its thread cannot be ended.
    Step("DNS", look_up, needs=("settings",), seconds=40),
    Step("TCP", connect, needs=("DNS",)),
    Step("proxy", pass_proxy, needs=("TCP",), seconds=30),
    Step("TLS", shake_hands, needs=("proxy",), seconds=30),
    Step("clock", compare_clocks, needs=("TLS",)),
    Step("token", get_token, needs=("settings",), seconds=60),
    Step("listen", listen, needs=("TLS", "token"), seconds=120),
    Step("round trip", go_round, needs=("listen",), seconds=180),
)
