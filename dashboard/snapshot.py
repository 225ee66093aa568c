"""Read the gateway's state at one moment from the database, for the live page and `status`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from core.concerns import Concern, Find, Severity, open_concerns, worst
from core.wording import count_of
from dashboard.concerns import concerns_of_daemons, concerns_of_modalities, daemon_concerns, modality_concerns
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
    relay, worklist, images = relay_listener(beats, now), worklist_server(beats, now), images_today(beats, now)
    activities = modality_activity(modalities, now)
    known: dict[Find, Iterable[Concern]] = {
        daemon_concerns: concerns_of_daemons(relay, worklist, images.daemons if images else ()),
        modality_concerns: concerns_of_modalities(activities),
    }
    return Snapshot(
        taken_at=now,
        relay=relay,
        last_action=last_action(),
        worklist=worklist,
        rooms=todays_rooms(modalities, timezone.localtime(now).date()),
        modalities=activities,
        images=images,
        concerns=tuple(open_concerns(now, known)),
    )
