"""How long to wait, and what to say."""

import socket
import ssl

import pytest

from relay.hybrid_connection.reconnection import Backoff, explain_failure, explain_status


class TestBackoff:
    def test_it_doubles_up_to_the_cap_and_never_gives_up(self) -> None:
        backoff = Backoff(jitter=lambda ceiling: ceiling)
        assert [backoff.delay(failures) for failures in (0, 1, 2, 3, 4, 5, 6, 7, 8, 10_000)] == [
            *(0, 0, 1, 2, 4, 8, 16, 30, 30, 30)
        ]

    def test_the_jitter_spreads_over_the_whole_delay(self) -> None:
        delays = [Backoff().delay(7) for _ in range(500)]
        assert min(delays) < 5
        assert 25 < max(delays) <= 30


class TestExplainStatus:
    @pytest.mark.parametrize(
        ("status", "hint"),
        [(401, "key"), (403, "Listen"), (404, "AZURE_RELAY_HYBRID_CONNECTION"), (407, "HTTPS_PROXY"), (503, "service")],
    )
    def test_each_status_says_what_to_do(self, status: int, hint: str) -> None:
        assert explain_status(status).startswith(f"{status}, ")
        assert hint in explain_status(status)

    def test_the_tracking_id_of_the_service_is_kept(self) -> None:
        assert explain_status(404, " TrackingId:abc_G1 ").endswith("[TrackingId:abc_G1]")


class TestExplainFailure:
    @pytest.mark.parametrize(
        ("error", "hint"),
        [
            (ssl.SSLCertVerificationError("x"), "SSL_CERT_FILE"),
            (ssl.SSLError("x"), "TLS failed"),
            (socket.gaierror(-2, "x"), "DNS"),
            (TimeoutError(), "firewall"),
            (ConnectionRefusedError(), "nothing listens"),
            (ConnectionResetError(), "network failed"),
            (UnicodeError("x"), "AZURE_RELAY_NAMESPACE"),
            (ValueError("x"), "HTTPS_PROXY"),
            (ImportError("x"), "HTTPS_PROXY"),
        ],
    )
    def test_each_kind_of_failure_has_its_sentence(self, error: Exception, hint: str) -> None:
        assert hint in explain_failure(error)

    def test_words_of_an_unknown_failure_are_not_repeated(self) -> None:
        assert explain_failure(KeyError("wss://x?sb-hc-token=secret")) == "KeyError"
