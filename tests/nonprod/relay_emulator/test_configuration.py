"""The small file that says what is in a namespace."""

from pathlib import Path

import pytest

from nonprod.relay_emulator import HybridConnection, SharedAccessPolicy
from nonprod.relay_emulator.configuration import BadConfiguration, load

FILE = """
bearer_tokens = ["a-jwt"]

[policies.root]
key = "root-key"

[hybrid_connections.one]

[hybrid_connections.two]
http = false
client_authorization = false
[hybrid_connections.two.policies.listen-only]
key = "two-key"
rights = ["Listen"]
"""


def written(folder: Path, text: str) -> Path:
    """A file with this text."""
    path = folder / "emulator.toml"
    path.write_text(text)
    return path


class TestLoad:
    def test_a_file_says_what_there_is(self, tmp_path: Path) -> None:
        namespace = load(written(tmp_path, FILE))
        listen_only = {"listen-only": SharedAccessPolicy("two-key", frozenset({"Listen"}))}
        assert namespace.hybrid_connections == (
            HybridConnection("one"),
            HybridConnection("two", listen_only, http=False, client_authorization=False),
        )
        assert namespace.policies == {"root": SharedAccessPolicy("root-key")}
        assert namespace.bearer_tokens == {"a-jwt"}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", r"no \[hybrid_connections.NAME\]"),
            ("x = 1", "the file has the unknown key 'x'"),
            ("= 1", "line 1"),
            ("policies = 1", "the file.policies must be a table"),
            ("[hybrid_connections]\none = 1", "hybrid_connections.one must be a table"),
            ("[hybrid_connections.one]\nhttp = 1", "hybrid_connections.one.http must be true or false"),
            ("[policies.x]\n[hybrid_connections.one]", "policies.x has no key"),
            ('[policies.x]\nkey = "k"\nrights = ["Fly"]\n[hybrid_connections.one]', "policies.x.rights may be Listen"),
        ],
    )
    def test_an_error_names_the_file_and_the_key(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(BadConfiguration, match=rf"emulator.toml: .*{message}"):
            load(written(tmp_path, text))

    def test_a_missing_file_is_reported(self, tmp_path: Path) -> None:
        with pytest.raises(BadConfiguration, match="No such file"):
            load(tmp_path / "none.toml")

    def test_no_key_is_in_a_representation(self, tmp_path: Path) -> None:
        shown = repr(load(written(tmp_path, FILE)))
        assert [secret for secret in ("root-key", "two-key", "a-jwt") if secret in shown] == []
