"""Hybrid Connections protocol: shared access signature."""

import base64
import hashlib
import hmac
from urllib.parse import unquote

from relay.hybrid_connection.tokens import SharedAccessKey, Token, sign

AUDIENCE = "http://ns.servicebus.windows.net/a/b"


class TestSign:
    def test_the_signature_is_over_the_resource_as_it_stands_and_the_expiry(self) -> None:
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
        # Worked out with openssl: printf 'http%%3A%%2F%%2Fns%%2Fp\n1700000000' | openssl dgst -sha256 -hmac key -binary
        assert sign("http://ns/p", "n", "key", 1700000000) == (
            "SharedAccessSignature sr=http%3A%2F%2Fns%2Fp"
            "&sig=D3H45zVf9h2suKjDbgqE48%2ByamE3zPylLTRPzKLpbm8%3D&se=1700000000&skn=n"
        )

    def test_the_name_of_the_policy_is_encoded(self) -> None:
        assert sign(AUDIENCE, "a policy&", "key", 1).endswith("&skn=a%20policy%26")


class TestSharedAccessKey:
    def test_a_token_lives_as_long_as_it_says(self) -> None:
        token = SharedAccessKey("policy", "key", lifetime=600, clock=lambda: 1000).token(AUDIENCE)
        assert token.expires_at == 1600
        assert "&se=1600&" in token.value

    def test_neither_key_nor_token_shows_in_a_representation(self) -> None:
        assert "secret" not in repr(SharedAccessKey("policy", "secret"))
        assert "secret" not in repr(Token("secret", 1.0))
