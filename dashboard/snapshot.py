"""Owns how everything stands at one moment, out of the database alone: the same for the page, the terminal, metrics."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from core.models import Heartbeat
from dashboard.attention import Attention, attention
from dashboard.daemons import LISTENER, SERVER, RelayPart, WorklistPart, last_action, relay_part, worklist_part
from dashboard.modalities import Machine, known_modalities, machines
from dashboard.rooms import Room, todays_rooms
from dashboard.severity import Level, worst


@dataclass(frozen=True)
class Snapshot:
    """One moment. What has a name in it is for those who may see patients."""

    taken_at: datetime
    relay: RelayPart
    worklist: WorklistPart
    rooms: tuple[Room, ...]
    machines: tuple[Machine, ...]
    attention: tuple[Attention, ...]

    @property
    def level(self) -> Level:
        """How bad the worst of it is."""
        return worst(each.level for each in self.attention)


def take_snapshot() -> Snapshot:
    """Look at the database now; a dozen small queries, whatever the number of women, years and machines."""
    now = timezone.now()
    beats = list(Heartbeat.objects.filter(role__in=(LISTENER, SERVER)))
    modalities = known_modalities()
    relay = relay_part(beats, now, last_action())
    worklist = worklist_part(beats, now)
    all_machines = machines(modalities, now)
    return Snapshot(
        taken_at=now,
        relay=relay,
        worklist=worklist,
        rooms=todays_rooms(modalities, timezone.localtime(now).date()),
        machines=all_machines,
        attention=attention(relay, worklist, all_machines, now),
    )
