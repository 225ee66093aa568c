"""Send one action through the relay, as Manage does, and print the reply.

Without FILE, sends a worklist.create_item for an appointment now, with a new accession number. FILE contains an action
as JSON; `-` reads standard input. Exits 1 unless Manage would record the action as confirmed.
"""

import asyncio
import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.checks import GATEWAY
from core.contract import ActionType
from nonprod import manage_emulator
from relay.hybrid_connection.failures import HybridConnectionError


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = (GATEWAY,)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", metavar="FILE")
        parser.add_argument(
            "--type",
            default="worklist.create_item",
            help=", ".join(ActionType),
        )
        parser.add_argument("--accession", default="", help="accession number")
        parser.add_argument("--name", default=manage_emulator.NAME, help="FAMILY^GIVEN")
        parser.add_argument("--nhs-number", default="9990000018")
        parser.add_argument("--station", default="", help="AE title of the modality (default: any)")
        parser.add_argument("--status", default="", help="with --type worklist.update_status: the new status")
        parser.add_argument(
            "--strict-confirm",
            action="store_true",
            help="count only created and processed as confirmed, as every version of Manage that we have read does",
        )
        parser.add_argument("--cursor", default="", help="with --type worklist.changes_since: the last cursor")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            reply = asyncio.run(manage_emulator.send_action(action_from(options)))
        except HybridConnectionError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(reply)
        confirmed = manage_emulator.is_confirmed(reply, strict=options["strict_confirm"])
        if not confirmed and json.loads(reply)["status"] not in ("echo", "ok"):
            raise CommandError("Manage would record this action as failed")


def action_from(options: dict[str, Any]) -> dict[str, Any]:
    """Return the action that the command's options describe; raise CommandError for an unknown type."""
    if options["file"]:
        text = sys.stdin.read() if options["file"] == "-" else Path(options["file"]).read_text(encoding="utf-8")
        action: dict[str, Any] = json.loads(text)
        return action
    match options["type"]:
        case ActionType.UPDATE_STATUS:
            return manage_emulator.update_status_action(options["accession"], options["status"])
        case ActionType.ITEM_STATUS:
            return manage_emulator.item_status_action(options["accession"])
        case ActionType.CHANGES_SINCE:
            return manage_emulator.changes_since_action(options["cursor"])
        case ActionType.ECHO | ActionType.HEALTH as probe:
            return {**manage_emulator.echo_action(), "action_type": probe}
        case ActionType.CREATE_ITEM | ActionType.CREATE_TEST_ITEM as kind:
            return manage_emulator.create_item_action(
                kind, options["accession"], options["name"], options["nhs_number"], options["station"]
            )
    raise CommandError(f"Unknown --type {options['type']}: give the action in a FILE")
