"""Parse a frame into a JSON object, more strictly than json.loads.

Two parsers must not be able to read one frame differently, and every database must be able to store it. So duplicate
keys, NaN, numbers beyond a double and lone surrogates are refused (RFC 8259 sections 4, 6 and 8.2 warn of them).
"""

import json
import math
from typing import Any

from core.contract.gateway_action import MAX_FRAME_BYTES, ActionRefused, ErrorCode

MAX_DEPTH = 64


class _NotStrict(ValueError):
    """JSON that json.loads would accept. The text must not quote the frame."""


def parse(frame: str | bytes) -> dict[str, Any]:
    """Return the JSON object in a frame; raise ActionRefused with `too_large` or `invalid_json`.

    The message never quotes the frame.
    """
    raw = frame if isinstance(frame, bytes) else frame.encode(errors="surrogatepass")
    if len(raw) > MAX_FRAME_BYTES:
        raise ActionRefused(ErrorCode.TOO_LARGE, f"The frame has {len(raw)} bytes; the limit is {MAX_FRAME_BYTES}")
    try:
        value = json.loads(
            raw.decode(),
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        _check_depth(value)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise _invalid_json("is not UTF-8") from None
    except UnicodeEncodeError:
        raise _invalid_json("contains an unpaired surrogate") from None
    except json.JSONDecodeError as error:
        raise _invalid_json(f"is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise _invalid_json(f"is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # Python itself raises one for an integer of more than 4300 digits
        fault = str(error) if isinstance(error, _NotStrict) else "contains an integer with too many digits"
        raise _invalid_json(fault) from None
    if not isinstance(value, dict):
        raise _invalid_json("is JSON, but not an object")
    return value


def _invalid_json(fault: str) -> ActionRefused:
    return ActionRefused(ErrorCode.INVALID_JSON, f"The frame {fault}")


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotStrict("contains an object with a duplicate key")
    return found


def _refuse_constant(name: str) -> float:
    raise _NotStrict(f"contains {name}, which is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _NotStrict("contains a number that is too large")
    return number


def _check_depth(value: Any) -> None:
    """Walk the value level by level: a recursive walk would itself run out of stack."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _NotStrict(f"is nested deeper than {MAX_DEPTH} levels")
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
