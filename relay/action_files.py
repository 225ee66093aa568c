"""Read, check and execute the actions in a file, for a clinic that cannot reach the relay.

The dispatcher executes them by the same once-only rule as actions from the relay, so a file can be executed again, and
so can one whose actions have arrived by the relay as well.
"""

import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from core import value_representations as vr
from core.audit import Auditor
from core.contract import ActionRefused, GatewayAction, parse
from core.correlation import correlated, new_correlation_id
from core.models import AuditLog
from relay.dispatcher import Answer, Dispatcher
from relay.models import ReceivedAction

logger = logging.getLogger(__name__)

#: What separates the members of a list.
SEPARATOR = re.compile(r"[\s,]*")


class BadFile(Exception):
    """The file has no list of actions. The text says why, and never quotes the file, which contains patient data."""


def frames_in(content: bytes) -> list[str]:
    """Read each member of a JSON list, byte for byte; raise BadFile if the file has none."""
    try:
        text = content.decode("utf-8-sig")
        is_list = isinstance(json.loads(text), list)
    except UnicodeDecodeError:
        raise BadFile("is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadFile(f"is not JSON: {error.msg} on line {error.lineno}") from None
    except (ValueError, RecursionError) as error:
        raise BadFile(f"contains too long a number or is nested too deeply ({type(error).__name__})") from None
    if not is_list:
        raise BadFile("does not contain a JSON list of actions")
    return list(members(text))


def members(text: str) -> Iterator[str]:
    """Yield the text of each member of a JSON list, which must be well formed."""
    decoder = json.JSONDecoder()
    start = SEPARATOR.match(text, text.index("[") + 1).end()  # type: ignore[union-attr]
    while text[start] != "]":
        _, end = decoder.raw_decode(text, start)
        yield text[start:end]
        start = SEPARATOR.match(text, end).end()  # type: ignore[union-attr]


@dataclass(frozen=True)
class FileAction:
    """One action of a file, and its answer: the one it got, or the one it would get."""

    position: int
    action_type: str
    accession_number: str
    day: date | None
    answer: Answer

    @property
    def refused(self) -> bool:
        return self.answer.failed

    @property
    def outcome(self) -> str:
        """The outcome in words, and whether the action was received before."""
        words = self.answer.outcome.replace("_", " ")
        return f"{words} (received before: nothing is done again)" if self.answer.how == "repeated" else words

    @property
    def notes(self) -> list[str]:
        """Why it is refused, or what the reply adds to the outcome."""
        reply = json.loads(self.answer.text)
        if "message" in reply:
            return [reply["message"]]
        superseded = [f"supersedes {number}" for number in reply.get("supersedes", ())]
        return superseded + [f"{each['path']}: {each['repair']}" for each in reply.get("warnings", ())]


def check(dispatcher: Dispatcher, frames: Sequence[str]) -> list[FileAction]:
    """Find out how each action would be answered if all were executed now, in this order; nothing is changed."""
    actions = [_action_in(frame) for frame in frames]
    answers: dict[int, Answer] = {}
    for positions in _related([_keys(action) for action in actions]):
        answers |= zip(positions, dispatcher.dry_run([frames[each] for each in positions]), strict=True)
    return [_file_action(position, action, answers[position - 1]) for position, action in enumerate(actions, 1)]


def execute(dispatcher: Dispatcher, frames: Sequence[str], actor: str) -> list[FileAction]:
    """Execute the actions in their order, in the name of a person whom the audit log records first.

    Each is answered as if it were alone. The rows of the actions name the connection `import:` and the correlation id
    of the audit log's entry.
    """
    correlation = new_correlation_id()
    with correlated(correlation):
        Auditor(actor).note(AuditLog.Operation.EXECUTE, ReceivedAction, imported=len(frames))
    named = [(frame, f"import:{correlation}#{position}") for position, frame in enumerate(frames, 1)]
    answers = dispatcher.answer_all(named)
    executed = [
        _file_action(position, _action_in(frame), answer)
        for position, (frame, answer) in enumerate(zip(frames, answers, strict=True), 1)
    ]
    with correlated(correlation):
        refused = sum(action.refused for action in executed)
        logger.info("actions imported", extra={"actions": len(executed), "refused": refused})
    return executed


def _action_in(frame: str) -> GatewayAction | None:
    try:
        return GatewayAction.from_payload(parse(frame))
    except ActionRefused:
        return None


def _file_action(position: int, action: GatewayAction | None, answer: Answer) -> FileAction:
    if action is None:
        return FileAction(position, "", "", None, answer)
    scheduled = action.worklist_item.get("scheduled")
    try:
        day = vr.parse_da(str(scheduled["date"])) if isinstance(scheduled, dict) else None
    except (KeyError, ValueError):
        day = None
    return FileAction(position, action.action_type, action.accession_number, day, answer)


def _keys(action: GatewayAction | None) -> set[tuple[str, str]]:
    """Return what an action shares with others whose outcome depends on its own."""
    if action is None:
        return set()
    named = {
        "id": action.action_id,
        "accession number": action.accession_number,
        "appointment": action.appointment_id,
    }
    return {(name, value) for name, value in named.items() if value}


def _related(keys: Sequence[set[tuple[str, str]]]) -> Iterable[list[int]]:
    """Group the positions that share a key, directly or through others; each group is in order.

    Only these need one transaction. A transaction with the locks of a whole file could deadlock with the listener's.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    alone = []
    for position, own in enumerate(keys):
        if not own:
            alone.append([position])
        group = sorted({position}.union(*(groups.get(key, ()) for key in own)))
        for member in group:
            groups |= dict.fromkeys(keys[member], group)
    return [*alone, *{id(group): group for group in groups.values()}.values()]
