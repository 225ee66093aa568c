"""Actions and health over HTTP through the relay, as Manage's HTTP client requests them."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.conftest import KEYS, PATH
from tests.factories import payload
from tests.processes import processes
from tests.system.conftest import Gateway
from tests.system.test_database_down import locked_database
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


def ask(gateway: Gateway, method: str = "POST", target: str = "", body: Any = "") -> tuple[int, Any]:
    """The status and the reply."""
    connection = HTTPConnection(gateway.address.namespace, timeout=60)
    headers = {"ServiceBusAuthorization": KEYS.token(gateway.address.audience).value}
    text = body if isinstance(body, str) else json.dumps(body)
    connection.request(method, f"/{PATH}{target}", text.encode(), headers)
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "application/json"
    return response.status, json.loads(response.read())


@pytest.fixture(scope="module")
def running(django_db_setup: None) -> Iterator[Gateway]:
    """A gateway with a relay emulator, which waits no longer than a second for the database."""
    with processes() as start:
        yield Gateway(start).run("run_relay_emulator", "run_relay_listener", DATABASE_WAIT_SECONDS="1")


class TestActions:
    def test_one_is_done_once_whichever_way_it_comes(self, running: Gateway) -> None:
        action = payload()
        done = {"status": "created", "action_id": action["action_id"]}
        assert ask(running, body=action) == (200, done)
        assert ask(running, body=action) == (200, done)
        assert running.reply(action) == done
        assert WorklistItem.objects.count() == 1

    def test_what_is_wrong_has_a_fitting_status_and_the_contracts_reply(self, running: Gateway) -> None:
        action = payload()
        ask(running, body=action)
        conflicting = {**payload(accession_number=WorklistItem.objects.get().accession_number)}
        conflicting["parameters"]["worklist_item"]["participant"]["name"] = "OTHER^NAME"
        for body, status, code in (
            ("no JSON", 400, "invalid_json"),
            (payload(participant__birth_date="19701345"), 400, "invalid_action"),
            ({**payload(), "action_type": "dance"}, 400, "unsupported_action"),
            ({**payload(), "action_id": action["action_id"]}, 409, "action_id_reused"),
            (conflicting, 409, "accession_conflict"),
            ("x" * (2**20 + 1), 413, "too_large"),
            ("x" * (8 * 2**20), 413, "too_large"),
        ):
            got, reply = ask(running, body=body)
            assert (got, reply["status"], reply["code"]) == (status, "error", code)

    def test_a_large_one_is_done_like_a_small_one(self, running: Gateway) -> None:
        action = {**payload(), "more": "x" * 200_000}
        assert ask(running, body=action)[0] == 200

    def test_a_locked_store_is_503(self, running: Gateway) -> None:
        with locked_database():
            status, reply = ask(running, body=payload())
        assert (status, reply["code"]) == (503, "temporarily_unavailable")


class TestAnythingElse:
    def test_health_is_answered(self, running: Gateway) -> None:
        status, reply = ask(running, "GET", "/health")
        assert (status, reply["status"]) == (200, "ok")
        assert reply["health"]["checks"]["database"] == {"ok": True}

    @pytest.mark.parametrize(("method", "target"), [("GET", ""), ("POST", "/health"), ("DELETE", "/x"), ("PUT", "")])
    def test_everything_else_is_404_in_json(self, running: Gateway, method: str, target: str) -> None:
        status, reply = ask(running, method, target)
        assert (status, reply["status"]) == (404, "error")
