"""Shows how the gateway stands: the live page in a terminal, without names. Exit 0 when all is well, 1 when not."""

from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from typing import IO, Any, cast

from django.core.management.base import BaseCommand
from django.utils import timezone
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from core.daemon import stop_event
from core.database import UNAVAILABLE, borrowed_connection
from dashboard.attention import Attention
from dashboard.daemons import RelayPart, WorklistPart
from dashboard.modalities import Machine
from dashboard.rooms import Room, Stage
from dashboard.severity import Level, moment
from dashboard.snapshot import Snapshot, take_snapshot

#: Level → shape and colour; the word stands beside them, for those who see neither.
MARKS = {Level.OK: ("●", "green"), Level.WARNING: ("▲", "yellow"), Level.PROBLEM: ("■", "red")}
WATCH_SECONDS = 2.0
PIPED_WIDTH = 120


class Command(BaseCommand):
    """`python manage.py status [--watch]`"""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Once or for long."""
        parser.add_argument("--watch", action="store_true", help="Look again every two seconds, until Ctrl-C.")

    def handle(self, *args: Any, watch: bool, **options: Any) -> None:
        """Show it; exit 1 when something is wrong, or nothing can be said."""
        console = self._console()
        if watch:
            self._watch(console)
            return
        shown, level = looked()
        console.print(shown)
        if level is Level.PROBLEM:
            raise SystemExit(1)

    def _console(self) -> Console:
        """Rich's, which ends its lines itself; what is piped elsewhere is as wide as the widest line needs."""
        self.stdout.ending = ""
        output = cast(IO[str], self.stdout)
        return Console(file=output, highlight=False, width=None if output.isatty() else PIPED_WIDTH)

    def _watch(self, console: Console) -> None:
        """Until a signal; in a terminal in place, elsewhere one below the other."""
        with stop_event() as stopping, ExitStack() as until_stopped:
            show: Callable[[RenderableType], None] = console.print
            if console.is_terminal:
                live = until_stopped.enter_context(Live(console=console, screen=True, auto_refresh=False))
                show = partial(live.update, refresh=True)
            while not stopping.is_set():
                show(looked()[0])
                stopping.wait(WATCH_SECONDS)


def looked() -> tuple[RenderableType, Level]:
    """What is to be shown now, and how bad it is."""
    with borrowed_connection():
        try:
            snapshot = take_snapshot()
        except UNAVAILABLE as error:
            said = Text.assemble(mark(Level.PROBLEM), f" The database does not answer ({type(error).__name__})")
            return said, Level.PROBLEM
    return page(snapshot), snapshot.level


def page(snapshot: Snapshot) -> RenderableType:
    """A snapshot, without anybody's name."""
    now = snapshot.taken_at
    head = Text.assemble(
        mark(snapshot.level), f" Screening gateway, {timezone.localtime(now):%d %b %Y %H:%M:%S}", style="bold"
    )
    return Group(
        head,
        Text(),
        relay_line(snapshot.relay, now),
        worklist_line(snapshot.worklist, now),
        Text(),
        rooms_table(snapshot.rooms),
        machines_table(snapshot.machines, now),
        *attention_lines(snapshot.attention),
    )


def mark(level: Level) -> Text:
    """A level as shape, colour and word."""
    shape, colour = MARKS[level]
    return Text(f"{shape} {level.word}", style=colour)


def relay_line(relay: RelayPart, now: datetime) -> Text:
    """The connection to Manage."""
    said = [f"{relay.words}{_since(relay.since, now)}", relay.why]
    if relay.last_action:
        last = relay.last_action
        said.append(f"last action {moment(last.at, now)} {last.action_type} {last.outcome}")
    if relay.last_echo_at:
        said.append(f"last echo {moment(relay.last_echo_at, now)}, {relay.last_echo_ms} ms")
    return Text.assemble(mark(relay.level), "  Connection to Manage: ", "; ".join(filter(None, said)))


def worklist_line(worklist: WorklistPart, now: datetime) -> Text:
    """The worklist server."""
    said = f"{worklist.words}{_since(worklist.since, now)}"
    inside = f"; {worklist.associations} associations" if worklist.servers else ""
    return Text.assemble(mark(worklist.level), f"  Worklist server: {said}{inside}")


def rooms_table(rooms: tuple[Room, ...]) -> Table:
    """Today by room, in numbers."""
    table = Table("Room", *(stage.words for stage in Stage), title="Today", title_justify="left")
    for room in rooms:
        table.add_row(Text(room.name), *(str(count) for count in room.counts.values()))
    return table


def machines_table(machines: tuple[Machine, ...], now: datetime) -> Table:
    """The machines, by AE title."""
    table = Table("AE title", "Room", "Last query", "Waiting", "", title="Machines", title_justify="left")
    for machine in machines:
        last = moment(machine.last_query, now) or "never"
        cells = (Text(machine.ae_title), Text(machine.room), last, machine.waiting_words)
        table.add_row(*cells, Text.assemble(mark(machine.level), f" {machine.words}"))
    return table


def attention_lines(attention: tuple[Attention, ...]) -> list[Text]:
    """What went wrong, and what to do."""
    return [Text.assemble(mark(each.level), f"  {each.words}\n    {each.what_to_do}") for each in attention]


def _since(at: datetime | None, now: datetime) -> str:
    return f" since {moment(at, now)}" if at else ""
