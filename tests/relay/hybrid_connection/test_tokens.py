"""Tokens: shared access signatures (Hybrid Connections protocol) and Entra ID."""

import base64
import hashlib
import hmac
import threading
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from azure.core.exceptions import ClientAuthenticationError

from relay.hybrid_connection.failures import HybridConnectionError
from relay.hybrid_connection.tokens import EntraId, SharedAccessKey, Token, TokenError, fresh_token, sign
from tests import virtual_time

AUDIENCE = "http://ns.servicebus.windows.net/a/b"


class TestSign:
    def test_the_signature_covers_the_encoded_resource_and_the_expiry(self) -> None:
        parts = dict(
            part.split("=", 1) for part in sign(AUDIENCE, "policy", "k+y=", 1700000000).split(" ")[1].split("&")
        )
        signed = f"{parts['sr']}\n1700000000".encode()
        expected = base64.b64encode(hmac.new(b"k+y=", signed, hashlib.sha256).digest()).decode()
        assert unquote(parts["sig"]) == expected

    def test_every_slash_of_the_resource_is_encoded(self) -> None:
        token = sign(AUDIENCE, "policy", "key", 1700000000)
        assert token.startswith("SharedAccessSignature sr=http%3A%2F%2Fns.servicebus.windows.net%2Fa%2Fb&sig=")

    def test_a_known_signature(self) -> None:
        # Calculated with openssl: printf 'http%%3A%%2F%%2Fns%%2Fp\n1700000000' | openssl dgst -sha256 -hmac key -binary
        assert sign("http://ns/p", "n", "key", 1700000000) == (
            "SharedAccessSignature sr=http%3A%2F%2Fns%2Fp"
            "&sig=D3H45zVf9h2suKjDbgqE48%2ByamE3zPylLTRPzKLpbm8%3D&se=1700000000&skn=n"
        )

    def test_the_name_of_the_policy_is_encoded(self) -> None:
        assert sign(AUDIENCE, "a policy&", "key", 1).endswith("&skn=a%20policy%26")


class TestSharedAccessKey:
    def test_a_token_expires_after_its_lifetime(self) -> None:
        token = SharedAccessKey("policy", "key", lifetime=600, clock=lambda: 1000).token(AUDIENCE)
        assert token.expires_at == 1600
        assert "&se=1600&" in token.value

    def test_representations_hide_key_and_token(self) -> None:
        assert "secret" not in repr(SharedAccessKey("policy", "secret"))
        assert "secret" not in repr(Token("secret", 1.0))


class FakeCredential:
    """A credential like those of azure-identity, without a network."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.scopes: list[str] = []

    def get_token(self, scope: str, /) -> SimpleNamespace:
        """Return a token that expires at 5000."""
        self.scopes.append(scope)
        if self.error:
            raise self.error
        return SimpleNamespace(token="jwt", expires_on=5000)


class TestEntraId:
    def test_it_gets_bearer_tokens_for_azure_relay(self) -> None:
        credential = FakeCredential()
        token = EntraId(credential).token(AUDIENCE)
        assert (token.value, token.expires_at) == ("Bearer jwt", 5000)
        assert credential.scopes == ["https://relay.azure.net/.default"]

    def test_the_error_text_of_the_identity_service_is_not_repeated(self) -> None:
        credential = FakeCredential(ClientAuthenticationError("secret of tenant 42"))
        with pytest.raises(TokenError, match=r"Entra ID returned no token \(ClientAuthenticationError\)") as failure:
            EntraId(credential).token(AUDIENCE)
        assert "42" not in str(failure.value)


class TestFreshToken:
    async def test_it_returns_the_token_of_the_provider(self) -> None:
        keys = SharedAccessKey("policy", "key", clock=lambda: 1000)
        assert await fresh_token(keys, AUDIENCE) == keys.token(AUDIENCE)

    async def test_an_error_gives_the_phase(self) -> None:
        credential = FakeCredential(ClientAuthenticationError())
        with pytest.raises(HybridConnectionError, match="getting a token: Entra ID returned no token"):
            await fresh_token(EntraId(credential), AUDIENCE)

    def test_a_provider_that_hangs_times_out(self) -> None:
        done = threading.Event()

        class Hanging:
            def token(self, audience: str) -> Token:
                done.wait(20)
                return Token("late", 0)

        async def play() -> None:
            began = virtual_time.now()
            with pytest.raises(HybridConnectionError, match="getting a token: no token within 30 s"):
                await fresh_token(Hanging(), AUDIENCE)
            assert 30 <= virtual_time.now() - began < 31
            done.set()

        virtual_time.run(play())
