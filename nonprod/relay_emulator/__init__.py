"""Emulate Azure Relay Hybrid Connections, for tests and developers' machines. README.md describes what it can do."""

from nonprod.relay_emulator.configuration import HybridConnection, Namespace
from nonprod.relay_emulator.control_channels import MAX_LISTENERS
from nonprod.relay_emulator.emulator import RelayEmulator
from nonprod.relay_emulator.faults import BadFault
from nonprod.relay_emulator.http_messages import Refused
from nonprod.relay_emulator.service import Timeouts
from nonprod.relay_emulator.tokens import SharedAccessPolicy

__all__ = [
    "MAX_LISTENERS",
    "BadFault",
    "HybridConnection",
    "Namespace",
    "Refused",
    "RelayEmulator",
    "SharedAccessPolicy",
    "Timeouts",
]
