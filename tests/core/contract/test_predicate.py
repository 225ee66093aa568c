"""The compiled predicate says what jsonschema says."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import contract
from core.contract.complaints import action_validator
from core.contract.predicate import compiled
from core.contract.validation import is_valid

EXAMPLES = contract.load_schema("gateway_action")["examples"]
#: Values near the limits of some rule, of every type.
VALUES = st.one_of(
    st.sampled_from(
        [
            *(
                None,
                True,
                False,
                0,
                1,
                2,
                1.0,
                0.5,
                999.9,
                1000,
                -1,
                "",
                " ",
                "A",
                "A" * 16,
                "A" * 17,
                "x" * 65,
                "x" * 201,
            ),
            *(
                "19700321",
                "19701345",
                "20991231",
                "2026112",
                "143000",
                "25",
                "1.2.840",
                "1.02",
                "72.5",
                "-3",
                "^^",
                "A\\B",
            ),
            *("A\nB", "O'BRIEN-ŁUKASZ^ZOË", "completed", "in_progress", "DONE", [], {}, [1], {"code": "X"}),
        ]
    ),
    st.text(max_size=20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(),
)


@st.composite
def actions(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """Return one of the schema's examples with some values replaced, added or left out."""
    action = copy.deepcopy(draw(st.sampled_from(EXAMPLES)))
    for _ in range(draw(st.integers(0, 3))):
        holder: Any = action
        while isinstance(holder, dict) and holder:
            name = draw(st.sampled_from(sorted(holder)))
            if not isinstance(holder[name], dict) or not holder[name] or draw(st.integers(0, 9)) == 0:
                holder[name] = draw(VALUES)
                if draw(st.integers(0, 9)) == 0:
                    del holder[name]
                break
            holder = holder[name]
    return action


class TestPredicate:
    @given(actions())
    def test_an_action_is_valid_if_jsonschema_finds_nothing_wrong(self, action: Any) -> None:
        assert is_valid()(action) == action_validator().is_valid(action)

    @pytest.mark.parametrize("example", EXAMPLES)
    def test_every_example_is_valid(self, example: Any) -> None:
        assert is_valid()(example)

    def test_a_keyword_that_is_not_known_is_refused_and_not_ignored(self) -> None:
        with pytest.raises(KeyError):
            compiled({"type": "object", "properties": {"a": {"maxItems": 3}}}, {})

    def test_an_unknown_format_is_refused_and_not_ignored(self) -> None:
        with pytest.raises(KeyError):
            compiled({"format": "dicom-xx"}, {})
