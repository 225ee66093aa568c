"""/$emulator: what is to be seen, and faults by HTTP."""

import json
from typing import Any

import pytest

from nonprod.relay_emulator import RelayEmulator
from nonprod.relay_emulator.emulator_page import respond
from nonprod.relay_emulator.faults import FAULTS
from nonprod.relay_emulator.http_messages import HttpRequest, Refused
from tests.conftest import KEYS, PATH
from tests.nonprod.relay_emulator.clients import ask, call, close_of, join, listen, refusal_of

FAULTS_TARGET = "/$emulator/faults"


async def state_of(emulator: RelayEmulator) -> dict[str, Any]:
    """The state as JSON, which needs no token."""
    response = await ask(emulator, "/$emulator", given="")
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    state: dict[str, Any] = json.loads(response.body)
    return state


class TestState:
    async def test_listeners_senders_and_counts_are_shown(self, emulator: RelayEmulator) -> None:
        await call(emulator, await listen(emulator))
        state = await state_of(emulator)
        assert (state["listeners"], state["senders_waiting"], state["counts"]["accepted"]) == ({PATH: 1}, 1, 1)
        assert state["channels"][PATH][0]["state"] == "open"

    async def test_it_is_a_page_for_a_browser(self, emulator: RelayEmulator) -> None:
        response = await ask(emulator, "/$emulator", given="", Accept="text/html,*/*")
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert b"&quot;listeners&quot;" in response.body

    async def test_nothing_secret_and_nothing_that_was_sent_is_shown(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        sender, listener = await join(emulator, channel)
        await sender.send("SMITH")
        await listener.recv()
        called = await call(emulator, channel, more="own=SMITH&")
        for accept in ("*/*", "text/html"):
            shown = (await ask(emulator, "/$emulator", given="", Accept=accept)).body.decode()
            secrets = ("SMITH", KEYS.key, KEYS.name, "sig=", called.address.rpartition("=")[2])
            assert [secret for secret in secrets if secret in shown] == []

    async def test_it_is_for_this_machine_only(self, emulator: RelayEmulator) -> None:
        with pytest.raises(Refused, match="own machine only"):
            await respond(emulator, "192.0.2.1", HttpRequest("GET", "/$emulator", []))


class TestFaults:
    async def test_one_is_injected(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        response = await ask(emulator, FAULTS_TARGET, "POST", b'{"fault": "drop"}', given="")
        assert response.status == 200
        assert (await close_of(channel))[0] == 1006

    async def test_those_that_are_stored_are_shown_and_cleared(self, emulator: RelayEmulator) -> None:
        fault = {"fault": "refuse", "action": "listen", "status": 503, "times": 2}
        await ask(emulator, FAULTS_TARGET, "POST", json.dumps(fault), given="")
        await refusal_of(emulator, "listen")
        stored = (await state_of(emulator))["faults"]
        assert [(one["fault"], one["times"]) for one in stored] == [("refuse", 1)]
        cleared = await ask(emulator, FAULTS_TARGET, "DELETE", given="")
        assert json.loads(cleared.body)["stored"] == []
        await listen(emulator)

    async def test_the_known_faults_are_listed(self, emulator: RelayEmulator) -> None:
        response = await ask(emulator, FAULTS_TARGET, given="")
        assert json.loads(response.body) == {"known": list(FAULTS), "stored": []}

    @pytest.mark.parametrize(
        "body", [b"", b"garbage", b"[]", b'{"fault": "fly"}', b"\xff", b'{"fault": "drop", "x": 1}']
    )
    async def test_nonsense_is_400_with_the_names(self, emulator: RelayEmulator, body: bytes) -> None:
        response = await ask(emulator, FAULTS_TARGET, "POST", body, given="")
        assert response.status == 400
        assert json.loads(response.body)["known"] == list(FAULTS)

    @pytest.mark.parametrize(
        ("method", "target", "status"),
        [("DELETE", "/$emulator", 405), ("PUT", FAULTS_TARGET, 405), ("GET", "/$emulator/nothing", 404)],
    )
    async def test_anything_else_is_refused(
        self, emulator: RelayEmulator, method: str, target: str, status: int
    ) -> None:
        assert (await ask(emulator, target, method, given="")).status == status
