"""Show the gateway's state: the live page in a terminal, without names. Exit with 1 if there is a problem, else 0."""

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

from core.checks import GATEWAY
from core.concerns import Severity
from core.daemon import stop_event
from core.database import UNAVAILABLE, borrowed_connection
from core.wording import clock_time, count_of
from dashboard.modalities import ModalityActivity
from dashboard.rooms import Room, Stage
from dashboard.snapshot import Snapshot, take_snapshot

#: Severity → shape and colour. The word is always beside them.
MARKS = {Severity.OK: ("●", "green"), Severity.WARNING: ("▲", "yellow"), Severity.PROBLEM: ("■", "red")}
WATCH_SECONDS = 2.0
#: The width when the output is not a terminal.
PIPED_WIDTH = 120


class Command(BaseCommand):
    """`python manage.py status [--watch]`"""

    help = __doc__
    requires_system_checks = (GATEWAY,)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--watch", action="store_true", help="Refresh every 2 seconds, until Ctrl-C.")

    def handle(self, *args: Any, watch: bool, **options: Any) -> None:
        """Print the state; exit with 1 if there is a problem or the database does not answer."""
        self.stdout.ending = ""  # rich ends its lines itself
        output = cast(IO[str], self.stdout)
        console = Console(file=output, highlight=False, width=None if output.isatty() else PIPED_WIDTH)
        if watch:
            self._watch(console)
            return
        page, severity = current_page()
        console.print(page)
        if severity is Severity.PROBLEM:
            raise SystemExit(1)

    def _watch(self, console: Console) -> None:
        """Refresh until a signal: in place in a terminal, otherwise one page below the other."""
        with stop_event() as stopping, ExitStack() as until_stopped:
            show: Callable[[RenderableType], None] = console.print
            if console.is_terminal:
                live = until_stopped.enter_context(Live(console=console, screen=True, auto_refresh=False))
                show = partial(live.update, refresh=True)
            while not stopping.is_set():
                show(current_page()[0])
                stopping.wait(WATCH_SECONDS)


def current_page() -> tuple[RenderableType, Severity]:
    """Return the state as it is now, and its severity."""
    with borrowed_connection():
        try:
            snapshot = take_snapshot()
        except UNAVAILABLE as error:
            words = f" The database does not answer ({type(error).__name__})"
            return Text.assemble(mark(Severity.PROBLEM), words), Severity.PROBLEM
    return page(snapshot), snapshot.severity


def page(snapshot: Snapshot) -> RenderableType:
    """Render a snapshot without names."""
    now = snapshot.taken_at
    at = f"{timezone.localtime(now):%d %b %Y %H:%M:%S}"
    concerns = [
        Text.assemble(mark(concern.severity), f"  {line.words}\n    {concern.what_to_do}")
        for concern in snapshot.concerns
        for line in concern.lines()
    ]
    return Group(
        Text.assemble(mark(snapshot.severity), f" Screening gateway, {at}. {snapshot.summary}", style="bold"),
        Text(),
        relay_line(snapshot),
        worklist_line(snapshot),
        *images_lines(snapshot),
        Text(),
        rooms_table(snapshot.rooms),
        modalities_table(snapshot.modalities, now),
        *concerns,
    )


def mark(severity: Severity) -> Text:
    """Render a severity as shape, colour and word."""
    shape, colour = MARKS[severity]
    return Text(f"{shape} {severity.word}", style=colour)


def relay_line(snapshot: Snapshot) -> Text:
    """Render the connection to Manage in one line."""
    relay, last, now = snapshot.relay, snapshot.last_action, snapshot.taken_at
    parts = [f"{relay.words}{_since(relay.since, now)}", relay.why]
    if last:
        parts.append(f"last action {clock_time(last.at, now)} {last.action_type} {last.outcome}")
    if relay.last_echo_at:
        parts.append(f"last echo {clock_time(relay.last_echo_at, now)}, {relay.last_echo_ms} ms")
    elif relay.why_no_echo:
        parts.append(f"echo {relay.why_no_echo}")
    return Text.assemble(mark(relay.severity), "  Connection to Manage: ", "; ".join(filter(None, parts)))


def worklist_line(snapshot: Snapshot) -> Text:
    """Render the worklist server in one line."""
    server = snapshot.worklist
    associations = f"; {count_of(server.associations, 'association')}" if server.processes else ""
    words = f"{server.words}{_since(server.since, snapshot.taken_at)}{associations}"
    return Text.assemble(mark(server.severity), f"  Worklist server: {words}")


def images_lines(snapshot: Snapshot) -> list[Text]:
    """Render the daemons for images and today's images in one line; none where images are off."""
    images, now = snapshot.images, snapshot.taken_at
    if images is None:
        return []
    parts = [*(f"{daemon.words}{_since(daemon.since, now)}" for daemon in images.daemons), images.counts.words]
    if images.oldest_waiting:
        parts.append(f"{images.waiting} waiting, the oldest since {clock_time(images.oldest_waiting, now)}")
    return [Text.assemble(mark(images.severity), "  Images: ", "; ".join(parts))]


def rooms_table(rooms: tuple[Room, ...]) -> Table:
    """Count today's women by room and stage."""
    table = Table("Room", *(stage.words for stage in Stage), title="Today", title_justify="left")
    for room in rooms:
        table.add_row(Text(room.name), *(str(count) for count in room.counts.values()))
    return table


def modalities_table(modalities: tuple[ModalityActivity, ...], now: datetime) -> Table:
    """List the machines by AE title."""
    table = Table("AE title", "Room", "Last query", "Waiting", "", title="Machines", title_justify="left")
    for each in modalities:
        cells = (Text(each.ae_title), Text(each.room), clock_time(each.last_query, now) or "never", each.waiting_words)
        table.add_row(*cells, Text.assemble(mark(each.severity), f" {each.words}"))
    return table


def _since(at: datetime | None, now: datetime) -> str:
    return f" since {clock_time(at, now)}" if at else ""
