"""Apply faults to the sockets that are open, or store them for what comes next."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from nonprod.relay_emulator.control_channels import ControlChannel, ControlChannels
from nonprod.relay_emulator.faults import (
    BadFault,
    ClockSkew,
    CutMidFrame,
    Drop,
    ExpireTokens,
    Fault,
    HalfOpen,
    SocketKind,
    StoredFault,
    Zombie,
    fault_as_dict,
    read_fault,
)
from nonprod.relay_emulator.port import Connection
from nonprod.relay_emulator.service import Service
from nonprod.relay_emulator.websocket_relay import WebSocketRelay

logger = logging.getLogger(__name__)


class FaultInjector:
    """Injects faults into one emulated namespace. An empty path means every hybrid connection."""

    def __init__(self, service: Service, control_channels: ControlChannels, websockets: WebSocketRelay) -> None:
        self.service, self.control_channels, self.websockets = service, control_channels, websockets

    async def inject(self, fault: Fault | Mapping[str, Any]) -> None:
        """Apply or store a fault; raises BadFault if it is invalid or its path is unknown."""
        wanted = fault if isinstance(fault, Fault) else read_fault(fault)
        paths = self.control_channels.by_path
        if wanted.path and wanted.path not in paths:
            raise BadFault(f"path must be one of: {', '.join(paths)}")
        logger.warning("fault injected", extra=fault_as_dict(wanted))
        await self._apply(wanted)
        self.control_channels.reset_deadlines()

    def clear(self) -> None:
        """Remove stored faults, correct the clock, make zombies normal again.

        Half-open channels have lost bytes and stay half open.
        """
        self.service.faults.clear()
        self.service.skew = 0.0
        for channel in self._channels(""):
            channel.zombie, channel.routed = False, True
        self.control_channels.reset_deadlines()

    async def _apply(self, fault: Fault) -> None:
        match fault:
            case Drop() | HalfOpen() | CutMidFrame(where="control"):
                await self._disturb_sockets(fault)
            case Zombie() | ExpireTokens():
                self._change_channels(fault)
            case ClockSkew():
                self.service.skew = fault.seconds
            case StoredFault():
                self.service.faults.store(fault)

    async def _disturb_sockets(self, fault: Drop | HalfOpen | CutMidFrame) -> None:
        sockets = self._sockets(fault.where, fault.path)
        if isinstance(fault, Drop) and fault.code is not None:
            await asyncio.gather(*(socket.close(fault.code, fault.reason) for socket in sockets))
            return
        for socket in sockets:
            match fault:
                case Drop():
                    socket.transport.abort()
                case HalfOpen():
                    socket.half_open = True
                case CutMidFrame():
                    socket.cut('{"accept": {}}')

    def _change_channels(self, fault: Zombie | ExpireTokens) -> None:
        for channel in self._channels(fault.path):
            match fault:
                case Zombie():
                    channel.zombie, channel.routed = True, fault.routed
                case ExpireTokens():
                    channel.expires_at = self.service.now()

    def _channels(self, path: str) -> list[ControlChannel]:
        by_path = self.control_channels.by_path
        return [channel for own, channels in by_path.items() if path in {"", own} for channel in channels]

    def _sockets(self, where: SocketKind, path: str) -> list[Connection]:
        """Return the sockets of control channels, or both ends of each open rendezvous."""
        if where == "control":
            return [channel.websocket for channel in self._channels(path)]
        return [end for own, end in self.websockets.open_sockets() if path in {"", own}]
