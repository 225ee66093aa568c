"""Verify that a modality answers: connect, associate and send a C-ECHO as SCU (PS3.4 annex A)."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

#: Result source and reason of an A-ASSOCIATE-RJ (PS3.8 table 9-21) → the cause and the next step.
REJECTIONS = {
    (1, 1): "no reason given. Look in the modality's log",
    (1, 2): "it does not support the DICOM application context. Check that this is its DICOM port",
    (1, 3): "it does not know this gateway. Add {calling} to its list of remote AE titles",
    (1, 7): "its AE title is not {called}. Give its AE title with --called",
    (2, 2): "it does not support our protocol version. Ask its manufacturer",
    (3, 1): "it is busy. Try again",
    (3, 2): "it has too many associations open. Try again",
}
LOOK_IN_LOG = "Look in the modality's log"


class VerificationFailed(Exception):
    """The modality did not answer; the text names the phase, the cause and the next step."""


@dataclass(frozen=True)
class VerificationScu:
    """Sends a C-ECHO to one modality. `timeout` is in seconds, for each phase."""

    host: str
    port: int
    called: str
    calling: str
    timeout: float = 10.0

    def verify(self, report: Callable[[str], object]) -> None:
        """Connect, associate, send a C-ECHO and release; report each phase, and raise VerificationFailed at the first
        that fails."""
        started = time.monotonic()

        def milliseconds() -> int:
            return int((time.monotonic() - started) * 1000)

        self._connect()
        report(f"TCP: {self.host}:{self.port} accepts connections ({milliseconds()} ms)")
        association = self._associate()
        report(f"Association: {self.called} accepts {self.calling} ({milliseconds()} ms)")
        try:
            status = association.send_c_echo()
        finally:
            association.release()
        if "Status" not in status:
            raise VerificationFailed(f"C-ECHO: it closed the association without an answer. {LOOK_IN_LOG}")
        if status.Status != 0x0000:
            raise VerificationFailed(f"C-ECHO: it answered with status {status.Status:04X}. {LOOK_IN_LOG}")
        report(f"C-ECHO: success ({milliseconds()} ms)")

    def _connect(self) -> None:
        address = f"{self.host}:{self.port}"
        try:
            socket.create_connection((self.host, self.port), timeout=self.timeout).close()
        except socket.gaierror:
            raise VerificationFailed(f"TCP: the host name {self.host} is unknown. Give its IP address") from None
        except TimeoutError:
            raise VerificationFailed(
                f"TCP: {address} did not answer within {self.timeout:g} s. Check that it is switched on, and that the "
                "firewall lets this gateway through"
            ) from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise VerificationFailed(
                f"TCP: {address}: {reason}. Check that its DICOM server runs, and on this port"
            ) from None

    def _associate(self) -> Association:
        entity = AE(ae_title=self.calling)
        entity.add_requested_context(Verification)
        entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = self.timeout
        association = entity.associate(self.host, self.port, ae_title=self.called)
        if association.is_established:
            return association
        answer = association.acceptor.primitive
        if answer is None:
            problem = "it closed the connection without an answer. Check that this is its DICOM port, without TLS"
        elif association.is_rejected:
            reason = (answer.result_source or 0, answer.diagnostic or 0)
            cause = REJECTIONS.get(reason, f"for a reason that DICOM does not define. {LOOK_IN_LOG}")
            problem = f"rejected: {cause.format(called=self.called, calling=self.calling)}"
        else:
            problem = "accepted without Verification: it does not offer C-ECHO. Check it from its own console"
        raise VerificationFailed(f"Association: {problem}")
