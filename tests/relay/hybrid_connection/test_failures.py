"""Each failure is explained in one sentence with its next step."""

import socket
import ssl

import pytest

from relay.hybrid_connection.failures import (
    Failure,
    HybridConnectionError,
    Pace,
    clock_skew,
    explain_close,
    explain_exception,
    explain_proxy_status,
    explain_status,
)

NOON = 1764072000.0  # 25 November 2025, 12:00 UTC
DATE = "Tue, 25 Nov 2025 12:00:00 GMT"


class TestStatuses:
    @pytest.mark.parametrize(
        ("status", "kind", "hint", "pace"),
        [
            (400, "bad_request", "AZURE_RELAY_NAMESPACE", Pace.SLOW),
            (401, "unauthorized", "key", Pace.SLOW),
            (403, "forbidden", "Listen", Pace.SLOW),
            (404, "not_found", "AZURE_RELAY_HYBRID_CONNECTION", Pace.SLOW),
            (410, "gone", "rejection", Pace.BACK_OFF),
            (500, "service_trouble", "service", Pace.BACK_OFF),
            (503, "service_trouble", "service", Pace.BACK_OFF),
            (504, "gateway_timeout", "listener", Pace.BACK_OFF),
            (407, "proxy", "HTTPS_PROXY", Pace.SLOW),
            (429, "busy", "too many requests", Pace.BACK_OFF),
            (302, "unexpected_status", "proxy", Pace.BACK_OFF),
        ],
    )
    def test_each_has_its_kind_its_next_step_and_its_pace(self, status: int, kind: str, hint: str, pace: Pace) -> None:
        failure = explain_status(status)
        assert (failure.kind, failure.pace, failure.status) == (kind, pace, status)
        assert failure.sentence.startswith(f"{status}, ")
        assert hint in failure.sentence

    def test_the_tracking_id_of_the_service_is_kept(self) -> None:
        assert str(explain_status(404, " TrackingId:abc_G1\r\n ")).endswith("[TrackingId:abc_G1]")

    @pytest.mark.parametrize(
        "page",
        [
            "Blocked. ServiceBusAuthorization: SharedAccessSignature sr=http%3A%2F%2Fx&sig=SECRET&se=1&skn=SECRET",
            "Blocked. SharedAccessSignature sr=x&sig=SECRET",
            "Blocked. Authorization: Bearer SECRET",
            "Blocked. Proxy-Authorization: Basic SECRET",
            "Blocked. /$hc/path?sb-hc-token=SECRET",
            "Blocked. eyJSECRET.SECRET.SECRET",
        ],
    )
    def test_credentials_are_not_repeated_even_if_they_are_sent_back_to_us(self, page: str) -> None:
        assert "SECRET" not in str(explain_status(403, page))
        assert "Blocked." in str(explain_status(403, page))
        assert "SECRET" not in str(explain_close(1008, page))

    def test_a_wrong_clock_is_mentioned_with_a_refused_token_only(self) -> None:
        assert "clock is slow" in str(explain_status(401, skew="the clock is slow"))
        assert "clock is slow" not in str(explain_status(404, skew="the clock is slow"))

    @pytest.mark.parametrize(
        ("status", "hint"),
        [
            (401, "user name and password"),
            (403, "CONNECT"),
            (407, "HTTPS_PROXY"),
            (405, "whoever runs it"),
            (500, "cannot reach the relay"),
        ],
    )
    def test_a_refusal_by_the_proxy_is_explained_as_such(self, status: int, hint: str) -> None:
        failure = explain_proxy_status(status)
        # The proxy's outage ends by itself; a refusal has to be fixed by a person.
        assert (failure.kind, failure.pace) == ("proxy", Pace.BACK_OFF if status >= 500 else Pace.SLOW)
        assert hint in failure.sentence


class TestCloseCodes:
    @pytest.mark.parametrize(
        ("code", "kind", "pace"),
        [
            (1001, "going_away", Pace.BACK_OFF),
            (1006, "broken", Pace.BACK_OFF),
            (1008, "token_ended", Pace.AT_ONCE),
            (1011, "service_error", Pace.BACK_OFF),
            (4000, "closed", Pace.BACK_OFF),
        ],
    )
    def test_each_has_its_kind_and_its_pace(self, code: int, kind: str, pace: Pace) -> None:
        failure = explain_close(code, "TrackingId:x")
        assert (failure.kind, failure.pace) == (kind, pace)
        assert failure.sentence.startswith(f"{code}, ")
        assert failure.sentence.endswith("[TrackingId:x]")

    def test_an_unanswered_ping_is_a_half_open_connection(self) -> None:
        assert explain_close(1006, unanswered_ping=True).kind == "half_open"


class TestExceptions:
    @pytest.mark.parametrize(
        ("error", "kind", "hint", "through_proxy"),
        [
            (ssl.SSLCertVerificationError("x"), "certificate", "SSL_CERT_FILE", "certificate"),
            (ssl.SSLError("x"), "tls", "TLS failed", "tls"),
            (socket.gaierror(-2, "x"), "dns", "DNS", "proxy"),
            (TimeoutError(), "timeout", "firewall", "proxy"),
            (ConnectionRefusedError(), "refused", "nothing listens", "proxy"),
            (ConnectionResetError(), "network", "network failed", "proxy"),
            (UnicodeError("x"), "address", "AZURE_RELAY_NAMESPACE", "address"),
            (ValueError("x"), "address", "HTTPS_PROXY", "address"),
            (ImportError("x"), "address", "HTTPS_PROXY", "address"),
        ],
    )
    def test_each_is_explained_with_and_without_a_proxy(
        self, error: Exception, kind: str, hint: str, through_proxy: str
    ) -> None:
        failure = explain_exception(error)
        assert failure.kind == kind
        assert hint in failure.sentence
        assert explain_exception(error, proxied=True).kind == through_proxy

    @pytest.mark.parametrize(
        ("code", "hint"), [(9, "clock behind"), (10, "clock ahead"), (62, "another host's"), (64, "another host's")]
    )
    def test_each_fault_of_a_certificate_is_explained(self, code: int, hint: str) -> None:
        error = ssl.SSLCertVerificationError("x")
        error.verify_code = code
        failure = explain_exception(error, proxied=True)
        assert failure.kind == "certificate"
        assert hint in failure.sentence

    def test_the_text_of_an_unknown_exception_is_not_repeated(self) -> None:
        assert "secret" not in str(explain_exception(KeyError("wss://x?sb-hc-token=secret")))

    def test_an_error_gives_its_phase(self) -> None:
        error = HybridConnectionError("listening on x", Failure("forbidden", "403, no", status=403))
        assert str(error) == "listening on x: 403, no"
        assert error.status == 403


class TestClockSkew:
    @pytest.mark.parametrize(
        ("now", "description"),
        [
            (NOON - 2 * 3600 - 180, "2 h 3 min behind the service's"),
            (NOON + 90, "1 min 30 s ahead of the service's"),
            (NOON + 60, ""),
            (NOON, ""),
        ],
    )
    def test_a_clock_that_is_wrong_by_more_than_a_minute_is_described(self, now: float, description: str) -> None:
        assert description in clock_skew(DATE, now)
        assert bool(clock_skew(DATE, now)) == bool(description)

    @pytest.mark.parametrize("header", ["", "yesterday"])
    def test_nothing_is_described_without_a_valid_date(self, header: str) -> None:
        assert clock_skew(header, NOON) == ""
