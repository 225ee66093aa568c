"""Which tokens open what."""

import math

import pytest

from nonprod.relay_emulator.http_messages import Refused
from nonprod.relay_emulator.tokens import Address, SharedAccessPolicy, check_bearer, check_token, read_token
from tests.conftest import KEYS
from tests.nonprod.relay_emulator.clients import FOREVER, POLICIES, token

SUB = Address({"ns", "127.0.0.1"}, "path/sub")


def refusal(value: str, right: str = "Listen", now: float = 0) -> tuple[int, str]:
    """How a token is refused for ns/path/sub."""
    with pytest.raises(Refused) as refused:
        check_token(value, [POLICIES], SUB, right, now)
    return refused.value.status, str(refused.value)


class TestAudience:
    @pytest.mark.parametrize(
        "audience",
        [
            "http://ns/path/sub",
            "https://ns/path/sub",
            "sb://ns/path/sub",
            "wss://ns/path/sub",
            "http://NS/Path/sub",
            "http://ns/path/sub/",
            "http://ns/path",
            "http://ns/",
            "http://ns",
            "http://ns:9350/path",
            "http://ns/pa%74h",
        ],
    )
    def test_every_spelling_is_taken(self, audience: str) -> None:
        assert check_token(token(audience), [POLICIES], SUB, "Listen", 0) == FOREVER

    @pytest.mark.parametrize(
        "audience",
        [
            "http://ns/pa",
            "http://ns/path/sub/deeper",
            "http://ns/other",
            "http://other/path",
            "ftp://ns/path",
            "ns/path",
            "path",
            "http://[x/",
        ],
    )
    def test_it_must_be_a_prefix_segment_by_segment(self, audience: str) -> None:
        status, text = refusal(token(audience))
        assert (status, "right to Listen" in text) == (403, True)

    def test_hex_may_be_of_either_case_as_long_as_it_was_signed_so(self) -> None:
        lower = token("http://ns/path").replace("%2F", "%2f").replace("%3A", "%3a")
        assert refusal(lower)[0] == 401
        parts = read_token(lower)
        assert parts.resource == "http%3a%2f%2fns%2fpath"


class TestSignature:
    @pytest.mark.parametrize(
        ("value", "name"),
        [
            ("", "MissingToken"),
            ("nonsense", "MalformedToken"),
            ("SharedAccessSignature sr=x&sig=y&se=soon&skn=z", "MalformedToken"),
            ("SharedAccessSignature sr=x&sig=y&skn=z", "MalformedToken"),
            (token(key="wrong"), "InvalidSignature"),
            (token(name="unknown"), "InvalidSignature"),
            (token("http://ns/path").replace("path", "pat"), "InvalidSignature"),
            (token(expires_at=1), "ExpiredToken"),
        ],
    )
    def test_an_invalid_token_is_401_with_the_name_of_its_error(self, value: str, name: str) -> None:
        status, text = refusal(value, now=2)
        assert (status, text.partition(":")[0]) == (401, name)

    def test_the_key_is_text_and_not_base64(self) -> None:
        policies = {KEYS.name: SharedAccessPolicy("a2V5")}
        assert check_token(token("http://ns", key="a2V5"), [policies], SUB, "Send", 0) == FOREVER

    def test_it_ends_at_its_second_and_the_refusal_has_both_times(self) -> None:
        value = token("http://ns", expires_at=1_700_000_000)
        assert check_token(value, [POLICIES], SUB, "Listen", 1_699_999_999.9) == 1_700_000_000
        _, text = refusal(value, now=1_700_000_300)
        assert "Expiration time: 2023-11-14T22:13:20Z, current time: 2023-11-14T22:18:20Z" in text

    def test_an_expiry_that_no_calendar_has_is_taken(self) -> None:
        assert (
            check_token(token("http://ns", expires_at=999_999_999_999), [POLICIES], SUB, "Listen", 0) == 999_999_999_999
        )
        assert refusal(token("http://ns", expires_at=0), now=999_999_999_998)[0] == 401


class TestRights:
    @pytest.mark.parametrize(
        ("rights", "right"), [({"Listen"}, "Listen"), ({"Send"}, "Send"), ({"Manage"}, "Listen"), ({"Manage"}, "Send")]
    )
    def test_a_policy_gives_its_own_and_manage_gives_all(self, rights: set[str], right: str) -> None:
        policies = {KEYS.name: SharedAccessPolicy(KEYS.key, frozenset(rights))}
        assert check_token(token("http://ns"), [policies], SUB, right, 0) == FOREVER

    @pytest.mark.parametrize(("rights", "right"), [({"Listen"}, "Send"), ({"Send"}, "Listen"), (set(), "Send")])
    def test_it_gives_no_other(self, rights: set[str], right: str) -> None:
        policies = {KEYS.name: SharedAccessPolicy(KEYS.key, frozenset(rights))}
        with pytest.raises(Refused, match=f"right to {right} here") as refused:
            check_token(token("http://ns"), [policies], SUB, right, 0)
        assert refused.value.status == 403

    def test_a_name_that_stands_in_two_scopes_is_tried_in_both(self) -> None:
        own = {KEYS.name: SharedAccessPolicy("own-key", frozenset({"Listen"}))}
        for key, right in ((KEYS.key, "Send"), ("own-key", "Listen")):
            assert check_token(token("http://ns", key=key), [POLICIES, own], SUB, right, 0) == FOREVER
        with pytest.raises(Refused, match="right to Send here"):
            check_token(token("http://ns", key="own-key"), [POLICIES, own], SUB, "Send", 0)


class TestBearer:
    def test_one_that_is_known_opens_everything_and_never_ends(self) -> None:
        assert check_bearer("Bearer jwt", {"jwt"}) == math.inf

    def test_another_is_401(self) -> None:
        with pytest.raises(Refused, match="InvalidToken"):
            check_bearer("Bearer other", {"jwt"})
