"""An emulator of Azure Relay Hybrid Connections, for tests and developers' machines; README.md says what it can do."""

from nonprod.relay_emulator.channels import LISTENERS_AT_MOST
from nonprod.relay_emulator.configuration import HybridConnection, Namespace
from nonprod.relay_emulator.emulator import RelayEmulator
from nonprod.relay_emulator.faults import BadFault
from nonprod.relay_emulator.refusals import Refused
from nonprod.relay_emulator.service import Timeouts
from nonprod.relay_emulator.tokens import SharedAccessPolicy

__all__ = [
    "LISTENERS_AT_MOST",
    "BadFault",
    "HybridConnection",
    "Namespace",
    "Refused",
    "RelayEmulator",
    "SharedAccessPolicy",
    "Timeouts",
]
