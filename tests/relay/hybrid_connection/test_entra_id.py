"""Azure's library reaches Entra ID through the hospital's proxy, and trusts the hospital's certificate authority."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme
from azure.identity import ManagedIdentityCredential

from core.entra_id import default_credential
from relay.hybrid_connection.tokens import EntraId, TokenError
from tests.certificates import certificate_for
from tests.processes import free_ports
from tests.relay.conftest import Trust
from tests.tinyproxy import USER, TinyProxy

pytestmark = pytest.mark.usefixtures("no_proxy_settings")


class ManagedIdentity(BaseHTTPRequestHandler):
    """Gives a token to any client, as an App Service does."""

    def do_GET(self) -> None:
        """Respond with a token."""
        token = {"access_token": "jwt", "expires_on": "5000000000", "resource": "relay", "token_type": "Bearer"}
        body = json.dumps(token).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture
def authority() -> trustme.CA:
    """The hospital's certificate authority."""
    return trustme.CA()


@pytest.fixture
def port(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a managed identity endpoint with the hospital's certificate."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), ManagedIdentity)
    server.socket = certificate_for(authority, "localhost").context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"https://localhost:{server.server_port}/msi")
    monkeypatch.setenv("IDENTITY_HEADER", "x")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def reason_for_no_token() -> str:
    """Return why the first attempt gives no token."""
    with pytest.raises(TokenError) as failure:
        EntraId(ManagedIdentityCredential(retry_total=0)).token("")
    return str(failure.value)


class TestEntraId:
    def test_an_authority_in_ssl_cert_file_is_trusted(self, port: int, authority: trustme.CA, trust: Trust) -> None:
        trust(authority)
        assert EntraId(default_credential()).token("").value == "Bearer jwt"

    def test_the_connection_goes_through_the_proxy(
        self, port: int, authority: trustme.CA, trust: Trust, tinyproxy: TinyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trust(authority)
        monkeypatch.setenv("HTTPS_PROXY", tinyproxy.url)
        assert EntraId(default_credential()).token("").value == "Bearer jwt"
        assert tinyproxy.connects == [f"localhost:{port}"]

    def test_an_authority_that_is_not_trusted_is_reported(self, port: int) -> None:
        assert "is a private authority missing from SSL_CERT_FILE?" in reason_for_no_token()

    def test_a_proxy_that_refuses_is_reported(
        self, port: int, tinyproxy: TinyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", tinyproxy.url_with(USER, "hunter2"))
        assert "the proxy does not connect us to it: check HTTPS_PROXY" in reason_for_no_token()
        assert "hunter2" not in reason_for_no_token()

    def test_a_proxy_that_does_not_run_is_reported(self, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        (closed,) = free_ports(1)
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed}")
        assert "the proxy cannot be reached: check HTTPS_PROXY" in reason_for_no_token()

    def test_a_host_name_that_cannot_be_resolved_is_reported(self, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IDENTITY_ENDPOINT", "https://identity.invalid/msi")
        assert "its host name cannot be resolved: check DNS" in reason_for_no_token()
