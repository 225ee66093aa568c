"""Owns the question to a modality whether it is there: C-ECHO as SCU (PS3.4 annex A)."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

#: Result source and reason of an A-ASSOCIATE-RJ (PS3.8 table 9-21) → what it means and what to do.
REJECTIONS = {
    (1, 1): "it gives no reason: look into its own log",
    (1, 2): "it does not support the DICOM application context: is this port a DICOM one?",
    (1, 3): "it does not know us: enter {calling} in its list of remote AE titles",
    (1, 7): "it is not called {called}: give its own AE title with --called",
    (2, 2): "it does not support our version of the protocol",
    (3, 1): "it is too busy now: try again",
    (3, 2): "its local limit of associations is reached: try again",
}


class NoEcho(Exception):
    """The modality did not answer; the text says in which phase, why, and what to do next."""


@dataclass(frozen=True)
class Echo:
    """A modality that is to answer."""

    host: str
    port: int
    called: str
    calling: str
    patience: float = 10.0

    def ask(self, tell: Callable[[str], object]) -> None:
        """Connect, associate, C-ECHO, release, and `tell` of each; NoEcho where one fails."""
        started = time.monotonic()
        self._connect()
        tell(f"TCP: {self.host}:{self.port} accepts connections ({_since(started)} ms)")
        association = self._associate()
        tell(f"Association: {self.called} accepts {self.calling} ({_since(started)} ms)")
        try:
            status = association.send_c_echo()
        finally:
            association.release()
        if "Status" not in status:
            raise NoEcho("C-ECHO: it closed the association without an answer; look into its log")
        if status.Status != 0x0000:
            raise NoEcho(f"C-ECHO: it answers with status {status.Status:04X}; look into its log")
        tell(f"C-ECHO: success ({_since(started)} ms)")

    def _connect(self) -> None:
        try:
            socket.create_connection((self.host, self.port), timeout=self.patience).close()
        except socket.gaierror:
            raise NoEcho(f"TCP: the name {self.host} is not known; give its IP address") from None
        except TimeoutError:
            raise NoEcho(
                f"TCP: {self.host}:{self.port} does not answer within {self.patience:g} s; is it switched on, and does "
                "the firewall let us through?"
            ) from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise NoEcho(
                f"TCP: {self.host}:{self.port}: {reason}; does its DICOM server run, and on this port?"
            ) from None

    def _associate(self) -> Association:
        entity = AE(ae_title=self.calling)
        entity.add_requested_context(Verification)
        entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = self.patience
        association = entity.associate(self.host, self.port, ae_title=self.called)
        if association.is_established:
            return association
        primitive = association.acceptor.primitive
        if association.is_rejected and primitive is not None:
            why = REJECTIONS.get((primitive.result_source or 0, primitive.diagnostic or 0), "for a reason of its own")
            raise NoEcho(f"Association: rejected, {why.format(called=self.called, calling=self.calling)}")
        if primitive is not None:
            raise NoEcho("Association: accepted, but without Verification; it does not offer C-ECHO")
        raise NoEcho("Association: it closed the connection without an answer; is this port a DICOM one, without TLS?")


def _since(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
