"""What each answer of Manage means, over real sockets, a proxy and TLS."""

import http.server
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import trustme
from django.core.exceptions import ImproperlyConfigured

from images.answers import Outcome
from images.manage_api import EntraIdTokens, ManageApi, StaticToken
from nonprod.models import ManageFailure, ManageImage
from tests.certificates import certificate_for
from tests.images.waiting import KnownItems, known_to_manage, order_fault, waiting_image, write_phantom
from tests.processes import free_ports
from tests.tinyproxy import TinyProxy

pytestmark = pytest.mark.once


class Sent(NamedTuple):
    """An image of an action that Manage knows, and its file."""

    action_id: str
    file: Path


@pytest.fixture
def sent(items: KnownItems, tmp_path: Path) -> Sent:
    item = items.add()
    known_to_manage(item)
    return Sent(item.action_id, write_phantom(tmp_path / "copy.dcm", waiting_image(item)))


@pytest.mark.django_db(transaction=True)
class TestUpload:
    def test_a_copy_is_taken_and_has_a_picture(self, manage: ManageApi, sent: Sent) -> None:
        answer = manage.upload(*sent)
        assert (answer.outcome, answer.status, answer.error) == (Outcome.TAKEN, 201, "")
        assert bytes(ManageImage.objects.get().picture).startswith(b"\xff\xd8")

    def test_the_same_again_is_taken_without_a_second_image(self, manage: ManageApi, sent: Sent) -> None:
        assert [manage.upload(*sent).outcome for _ in range(2)] == [Outcome.TAKEN] * 2
        assert ManageImage.objects.get().times_received == 2

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            (400, Outcome.NEVER),
            (403, Outcome.SLOWER),
            (404, Outcome.SLOWER),
            (422, Outcome.OUR_FAULT),
            (302, Outcome.SLOWER),
            (200, Outcome.SLOWER),
            (500, Outcome.UNKNOWN),
            (503, Outcome.UNKNOWN),
        ],
    )
    def test_each_status_has_its_outcome(self, manage: ManageApi, sent: Sent, status: int, outcome: Outcome) -> None:
        order_fault(status=status)
        answer = manage.upload(*sent)
        assert (answer.outcome, answer.status) == (outcome, status)
        assert str(status) in answer.error

    def test_a_refused_token_is_replaced_once(self, manage: ManageApi, sent: Sent) -> None:
        order_fault(status=401)
        assert manage.upload(*sent).outcome is Outcome.TAKEN
        order_fault(status=401, times=2)
        assert manage.upload(*sent).outcome is Outcome.NOT_ARRIVED

    def test_a_broken_connection_leaves_the_outcome_open(self, manage: ManageApi, sent: Sent) -> None:
        with ConnectionCut() as url:
            api = ManageApi(url, StaticToken("x"))
            assert api.upload(*sent).outcome is Outcome.UNKNOWN
            api.close()

    def test_so_does_an_answer_that_does_not_come(self, manage: ManageApi, sent: Sent, live_server: Any) -> None:
        order_fault(delay_seconds=1)
        impatient = ManageApi(str(manage._url), manage._tokens, httpx.Timeout(0.2))
        answer = impatient.upload(*sent)
        assert (answer.outcome, answer.error) == (Outcome.UNKNOWN, "Manage did not answer (ReadTimeout)")
        impatient.close()

    def test_so_does_an_answer_of_which_a_byte_comes_now_and_then(self, sent: Sent) -> None:
        with Dribbling() as url:
            api = ManageApi(url, StaticToken("x"), request_seconds=0.3)
            answer = api.upload(*sent)
            api.close()
        assert (answer.outcome, answer.error) == (Outcome.UNKNOWN, "Manage did not answer (TimeoutError)")

    def test_without_a_server_nothing_has_arrived(self, sent: Sent) -> None:
        (closed,) = free_ports(1)
        api = ManageApi(f"http://127.0.0.1:{closed}/api/v1", StaticToken("x"))
        answer = api.upload(*sent)
        assert (answer.outcome, answer.status) == (Outcome.NOT_ARRIVED, None)
        assert "the connection was refused" in answer.error

    def test_no_redirect_is_followed(self, sent: Sent) -> None:
        with OneAnswer(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n") as url:
            api = ManageApi(url, StaticToken("x"))
            assert api.upload(*sent).status == 307
            api.close()

    def test_the_log_names_neither_the_address_nor_the_token(
        self, manage: ManageApi, sent: Sent, caplog: pytest.LogCaptureFixture
    ) -> None:
        from core.logging import LibraryFilter  # noqa: PLC0415 - beside its use

        caplog.set_level("DEBUG")
        manage.upload(*sent)
        written = [record.getMessage() for record in caplog.records if LibraryFilter().filter(record)]
        assert [line for line in written if "http" in line.lower() or "emulated-token" in line] == []


@pytest.mark.django_db(transaction=True)
class TestFailureReport:
    def test_it_is_recorded_and_then_no_image_is_taken(self, manage: ManageApi, sent: Sent) -> None:
        assert manage.report_failure(sent.action_id, "1 not sent").outcome is Outcome.TAKEN
        assert ManageFailure.objects.get().error == "1 not sent"
        assert manage.upload(*sent).status == 403

    def test_an_unknown_action_is_final(self, manage: ManageApi) -> None:
        answer = manage.report_failure("unknown", "1 not sent")
        assert (answer.outcome, answer.status) == (Outcome.NEVER, 404)


class OneConnection:
    """A server for one connection."""

    def __enter__(self) -> str:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{self._server.getsockname()[1]}/api/v1"

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        with connection, suppress(ConnectionError):
            self.answer(connection)

    def answer(self, connection: socket.socket) -> None:
        """Do with the connection what is to be tested; it is closed afterwards."""
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._thread.join()


class ConnectionCut(OneConnection):
    """A server that closes the connection once a request has begun to come."""

    def answer(self, connection: socket.socket) -> None:
        connection.recv(1)


class Dribbling(OneConnection):
    """A server that answers with one byte after another for as long as the client listens."""

    def answer(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 201 Created\r\nX-Slow: ")
        while not select.select([connection], [], [], 0.05)[0] or connection.recv(1 << 16):
            connection.sendall(b"x")


class OneAnswer:
    """A server that gives this answer to a request and closes the connection."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def __enter__(self) -> str:
        answer = self._answer

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.wfile.write(answer)
                self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nothing."""

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}/api/v1"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


# Through a proxy, with a private authority ----------------------------------------------------------------------------


class TakesAll(http.server.BaseHTTPRequestHandler):
    """A Manage that takes all it is sent, and counts connections."""

    protocol_version = "HTTP/1.1"
    connections = 0

    def setup(self) -> None:
        super().setup()
        TakesAll.connections += 1

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture
def authority() -> trustme.CA:
    """The hospital's certificate authority."""
    return trustme.CA()


@pytest.fixture
def secure_url(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Manage with a certificate of that authority."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), TakesAll)
    server.socket = certificate_for(authority, "localhost").context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_port}/api/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "copy.dcm"
    made.write_bytes(b"copy")
    return made


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway trusts the authority (SSL_CERT_FILE)."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    assert ssl.get_default_verify_paths().cafile == str(tmp_path / "authority.pem")


def upload(url: str, file: Path) -> Any:
    """Upload once with a new client."""
    api = ManageApi(url, StaticToken("x"))
    try:
        return api.upload("action", file)
    finally:
        api.close()


class TestTheWay:
    def test_a_private_authority_is_trusted(self, secure_url: str, trusted: None, file: Path) -> None:
        assert upload(secure_url, file).status == 201

    def test_an_unknown_authority_is_not(self, secure_url: str, file: Path) -> None:
        answer = upload(secure_url, file)
        assert answer.outcome is Outcome.NOT_ARRIVED
        assert "is a private authority missing from SSL_CERT_FILE?" in answer.error

    def test_it_goes_through_the_proxy(
        self, secure_url: str, trusted: None, file: Path, tinyproxy: TinyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", tinyproxy.url)
        assert upload(secure_url, file).status == 201
        assert len(tinyproxy.connects) == 1

    def test_no_proxy_is_honoured(
        self, secure_url: str, trusted: None, file: Path, tinyproxy: TinyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", tinyproxy.url)
        monkeypatch.setenv("NO_PROXY", "localhost")
        assert upload(secure_url, file).status == 201
        assert tinyproxy.connects == []

    def test_a_proxy_that_refuses_is_told_without_its_password(
        self, secure_url: str, trusted: None, file: Path, tinyproxy: TinyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", tinyproxy.url_with("gateway", "hunter2"))
        answer = upload(secure_url, file)
        assert answer.outcome is Outcome.NOT_ARRIVED
        assert "hunter2" not in answer.error

    def test_a_malformed_proxy_is_told_without_its_password(
        self, secure_url: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "ftp://gateway:hunter2@proxy:3128")
        with pytest.raises(ImproperlyConfigured, match="HTTPS_PROXY cannot be used: write it as http://") as refusal:
            upload(secure_url, file)
        assert "hunter2" not in str(refusal.value)

    def test_a_connection_is_kept_for_the_next_image(self, secure_url: str, trusted: None, file: Path) -> None:
        TakesAll.connections = 0
        api = ManageApi(secure_url, StaticToken("x"))
        assert [api.upload("action", file).status for _ in range(3)] == [201] * 3
        api.close()
        assert TakesAll.connections == 1


class Token(NamedTuple):
    """As azure-identity gives one."""

    token: str
    expires_on: float


class Credential:
    """Gives numbered tokens for an hour."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, scope: str) -> Token:
        self.scopes.append(scope)
        return Token(f"token {len(self.scopes)}", 3600.0 * len(self.scopes))


class TestEntraIdTokens:
    def test_a_token_is_kept_until_shortly_before_it_expires(self) -> None:
        now = 0.0
        credential = Credential()
        tokens = EntraIdTokens("api://manage", credential, clock=lambda: now)
        assert [tokens.token(), tokens.token()] == ["token 1", "token 1"]
        now = 3400.0
        assert tokens.token() == "token 2"
        assert credential.scopes == ["api://manage/.default"] * 2

    def test_a_refused_one_is_replaced(self) -> None:
        tokens = EntraIdTokens("api://manage", Credential(), clock=lambda: 0.0)
        assert [tokens.token(), tokens.token(fresh=True), tokens.token()] == ["token 1", "token 2", "token 2"]
