"""Read the gateway's state at one moment from the database, for the live page and `status`."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from core.concerns import Concern, Severity, open_concerns, worst
from core.wording import count_of
from dashboard.daemons import DaemonStatus, LastAction, heartbeats, last_action, relay_listener, worklist_server
from dashboard.images import ImagesToday, images_today
from dashboard.modalities import ModalityActivity, known_modalities, modality_activity
from dashboard.rooms import Room, todays_rooms


@dataclass(frozen=True)
class Snapshot:
    """The gateway's state at one moment. `rooms` hold names, which only viewers who may see patients are shown."""

    taken_at: datetime
    relay: DaemonStatus
    last_action: LastAction | None
    worklist: DaemonStatus
    rooms: tuple[Room, ...]
    modalities: tuple[ModalityActivity, ...]
    images: ImagesToday | None
    concerns: tuple[Concern, ...]

    @property
    def severity(self) -> Severity:
        """Return the severity of the worst concern."""
        return worst(self.concerns)

    @property
    def summary(self) -> str:
        """Say in a few words whether the gateway works: `Working: 1 warning`."""
        counts = {
            each: sum(len(concern.lines()) for concern in self.concerns if concern.severity is each)
            for each in (Severity.PROBLEM, Severity.WARNING)
        }
        parts = [count_of(count, each) for each, count in counts.items() if count]
        if not parts:
            return "Everything is working"
        return f"{'Act now' if self.severity is Severity.PROBLEM else 'Working'}: {', '.join(parts)}"


def take_snapshot() -> Snapshot:
    """Read the state now; the number of queries does not depend on how many women, years or machines there are."""
    now = timezone.now()
    beats, modalities = heartbeats(), known_modalities()
    return Snapshot(
        taken_at=now,
        relay=relay_listener(beats, now),
        last_action=last_action(),
        worklist=worklist_server(beats, now),
        rooms=todays_rooms(modalities, timezone.localtime(now).date()),
        modalities=modality_activity(modalities, now),
        images=images_today(beats, now),
        concerns=tuple(open_concerns(now)),
    )
