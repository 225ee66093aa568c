"""Name what an answer of Manage's means for the image or report that was sent. Pure."""

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """What an answer means for what was sent."""

    #: Manage has it.
    TAKEN = "taken"
    #: Manage will never take it.
    NEVER = "never"
    #: As NEVER, but by a fault of this gateway.
    OUR_FAULT = "our_fault"
    #: It did not arrive: to be sent again.
    NOT_ARRIVED = "not_arrived"
    #: Manage may have it or a part of it, such as the row without the picture: to be sent again, under the same action.
    UNKNOWN = "unknown"
    #: Manage does not take it under this action now, and is unlikely to soon: to be sent again, more slowly.
    SLOWER = "slower"


@dataclass(frozen=True)
class Answer:
    """The outcome, Manage's HTTP status (None without an answer) and the cause in words, which name no patient."""

    outcome: Outcome
    status: int | None = None
    error: str = ""
