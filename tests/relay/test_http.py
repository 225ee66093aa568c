"""Actions and health are served over HTTP through the relay."""

import json
from typing import Any

import pytest

from core.contract import ErrorCode
from relay.http import STATUSES, respond
from relay.hybrid_connection.control_protocol import Request, Response


def respond_to(
    method: str, target: str, reply: dict[str, Any] | None = None, body: bytes = b"{}"
) -> tuple[Response, list[Any]]:
    """Return the response to a request, and the arguments of each call of dispatch."""
    dispatched: list[Any] = []

    def dispatch(frame: str | bytes, connection: str, correlation: str) -> str:
        dispatched.append((frame, connection, correlation))
        return json.dumps(reply or {"status": "created"})

    received = Request("r1", "r1", "wss://x", method, target, {}, body)
    return respond(received, "leeds/van-3", dispatch, "ns/leeds/van-3#r1"), dispatched


class TestRespond:
    @pytest.mark.parametrize("target", ["/leeds/van-3", "/leeds/van-3/", "/LEEDS/van-3?x=1", "/leeds%2Fvan-3"])
    def test_a_post_executes_the_body_as_an_action(self, target: str) -> None:
        response, dispatched = respond_to("POST", target, body=b'{"action_id":"a"}')
        assert dispatched == [(b'{"action_id":"a"}', "ns/leeds/van-3#r1", "r1")]
        assert (response.status, json.loads(response.body)) == (200, {"status": "created"})
        assert response.headers["Content-Type"] == "application/json"

    def test_get_health_dispatches_the_health_action(self) -> None:
        response, dispatched = respond_to("GET", "/leeds/van-3/health", {"status": "ok"})
        assert json.loads(dispatched[0][0]) == {"action_type": "health"}
        assert (response.status, json.loads(response.body)) == (200, {"status": "ok"})

    @pytest.mark.parametrize(
        ("method", "target"),
        [
            ("GET", "/leeds/van-3"),
            ("POST", "/leeds/van-3/health"),
            ("POST", "/leeds/van-3x"),
            ("DELETE", "/leeds/van-3/health"),
            ("GET", "/health"),
            ("GET", ""),
        ],
    )
    def test_any_other_request_gets_404_in_json_and_executes_nothing(self, method: str, target: str) -> None:
        response, dispatched = respond_to(method, target)
        assert (response.status, dispatched) == (404, [])
        assert json.loads(response.body)["status"] == "error"

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("invalid_action", 400),
            ("accession_conflict", 409),
            ("too_large", 413),
            ("temporarily_unavailable", 503),
        ],
    )
    def test_a_failure_has_its_http_status_and_the_same_reply(self, code: str, status: int) -> None:
        reply = {"status": "error", "code": code, "message": "m"}
        response, _ = respond_to("POST", "/leeds/van-3", reply)
        assert (response.status, response.description, json.loads(response.body)) == (status, code, reply)

    def test_every_error_code_has_a_status_that_the_relay_does_not_use_itself(self) -> None:
        assert set(STATUSES) == set(ErrorCode)
        assert not {502, 504} & set(STATUSES.values())
