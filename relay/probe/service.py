"""Check what the relay itself must grant: a token, a control channel, an echo there and back."""

import json
import re
import time
from collections.abc import Mapping

from django.conf import settings

from relay.configuration import configured_listener
from relay.hybrid_connection.failures import HybridConnectionError
from relay.hybrid_connection.sender import send
from relay.hybrid_connection.tokens import fresh_token
from relay.probe.report import NotNeeded, Problem, StepFailed
from relay.probe.site import Site
from relay.probe.visit import Visit, visiting

#: A little longer than the service waits for a listener, so that it is the service that says so. Seconds.
PATIENCE = 35.0
ECHO = json.dumps({"action_type": "echo", "source_system": "probe_relay"})
#: What the name of a policy consists of: a key that was put in its place has other characters, too.
POLICY_NAME = re.compile(r"[A-Za-z0-9._-]{1,256}")

#: Kind of failure → what to do; "" is for any other.
Remedies = Mapping[str, str]

AZURE_HAS_TROUBLE = "Wait and try again; if it stays so, ask Azure's support, with the tracking id."
FIREWALL = (
    "A rendezvous is on another host than the namespace: firewall and proxy must let this machine out to "
    "*.servicebus.windows.net on port 443."
)
TOKEN: Remedies = {
    "": "For a key set AZURE_RELAY_KEY_NAME and AZURE_RELAY_SHARED_ACCESS_KEY. For Entra ID this machine needs a "
    "managed identity, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET and a way out to "
    "login.microsoftonline.com.",
}
LISTEN: Remedies = {
    "unauthorized": "AZURE_RELAY_KEY_NAME and AZURE_RELAY_SHARED_ACCESS_KEY must be name and key of one policy of this "
    "hybrid connection or its namespace (portal: Shared access policies), with the right Listen; an identity of Entra "
    "ID needs the role Azure Relay Listener.",
    "forbidden": "Give the policy the right Listen on this hybrid connection (portal: Shared access policies), or the "
    "identity the role Azure Relay Listener. The brackets say if it is too many listeners, or a forbidden IP, instead.",
    "not_found": "AZURE_RELAY_HYBRID_CONNECTION must be the name of a hybrid connection in this namespace (portal: "
    "Hybrid Connections).",
    "service_trouble": AZURE_HAS_TROUBLE,
    "": "If all before this holds, something on the way lets HTTPS through but no WebSockets: ask whoever runs it.",
}
ROUND_TRIP: Remedies = {
    "gateway_timeout": f"{FIREWALL} If that holds, the listener that is connected is dead: restart run_relay_listener.",
    "no_reply": "The log of run_relay_listener says what it did; check_health says whether the database answers.",
    "service_trouble": AZURE_HAS_TROUBLE,
    "": FIREWALL,
}


def problem_of(error: HybridConnectionError, remedies: Remedies) -> Problem:
    """A failure of the wire, with what to do about it in this step."""
    return Problem(str(error), remedies.get(error.failure.kind, remedies[""]))


async def get_token(site: Site) -> str:
    """A token is to be had. Its value is never told."""
    try:
        token = await fresh_token(site.tokens, site.address.audience)
    except HybridConnectionError as error:
        raise StepFailed(problem_of(error, TOKEN)) from None
    minutes = round((token.expires_at - time.time()) / 60)
    kind = "Entra ID's" if token.value.startswith("Bearer ") else f"a shared access signature of the policy {policy()}"
    return f"{kind}, good for {minutes} min"


def policy() -> str:
    """The policy's name, unless a key stands in its place."""
    name: str = settings.AZURE_RELAY_KEY_NAME
    if POLICY_NAME.fullmatch(name):
        return name
    cause = "AZURE_RELAY_KEY_NAME is no name that a policy can have"
    remedy = "Letters, digits, '.', '-', '_'. Is it the key instead? That goes into AZURE_RELAY_SHARED_ACCESS_KEY."
    raise StepFailed(Problem(cause, remedy))


async def listen(site: Site) -> str:
    """The service registers a control channel, which is closed at once."""
    try:
        async with visiting(configured_listener(lambda _status: None)) as visit:
            pass
    except HybridConnectionError as error:
        raise StepFailed(problem_of(error, LISTEN)) from None
    return f"Listen is granted on {site.address.path}{visitors(visit)}"


def visitors(visit: Visit) -> str:
    """What is told of senders that came to a probe by chance."""
    return f"; {visit.served} that came meanwhile were served as the listener does" if visit.served else ""


async def go_round(site: Site) -> str:
    """An echo to whatever listener is there or, where there is none, to this probe itself."""
    try:
        await echo(site)
    except HybridConnectionError as error:
        if error.status in (401, 403):
            raise NotNeeded(
                "Send is not granted to this policy, and need not be: the listener then relies on pings and on the age "
                "of the channel"
            ) from None
        if error.status != 404:
            raise StepFailed(problem_of(error, ROUND_TRIP)) from None
        return await go_round_alone(site)
    return "an echo was answered, by a listener that runs already"


async def go_round_alone(site: Site) -> str:
    """An echo to a channel of this probe's own."""
    try:
        async with visiting(configured_listener(lambda _status: None)):
            await echo(site)
    except HybridConnectionError as error:
        raise StepFailed(problem_of(error, ROUND_TRIP)) from None
    return "an echo was answered, by this probe itself: no listener runs now (start run_relay_listener)"


async def echo(site: Site) -> None:
    """Send an echo; StepFailed when what comes back is none."""
    reply = await send(site.address, site.tokens, ECHO, PATIENCE)
    if not is_echo(reply):
        remedy = "The hybrid connection must be this gateway's own: does another program listen on it?"
        raise StepFailed(Problem("a listener answered, but not as a gateway does", remedy))


def is_echo(reply: str) -> bool:
    """Whether a gateway has answered."""
    try:
        return bool(json.loads(reply)["status"] == "echo")
    except (ValueError, TypeError, KeyError):
        return False
