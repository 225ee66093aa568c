"""K16: TLS 1.2 or later, and only for clients with a certificate that our authority issued."""

import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from pynetdicom import AE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
    Verification,
)

from dicom.server import DicomServer, stop_server
from dicom.tls import server_context
from tests.dicom.requests import CALLED, PATIENCE, find, request
from tests.dicom.serving import connected, port_of, serving
from tests.factories import WorklistItemFactory
from tests.waiting import eventually
from tests.worklist_fixtures import LogLines

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated"),
    pytest.mark.once,
]


@dataclass(frozen=True)
class Files:
    """What is on the disk of a server or a modality."""

    certificate: str
    key: str
    authority: str


class Hospital:
    """A certificate authority and the certificates it issues."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self._authority = trustme.CA()
        self._authority_file = self._file("ca.pem", self._authority.cert_pem)

    def issue(self, name: str) -> Files:
        """A certificate with its key."""
        issued = self._authority.issue_cert(name)
        key = self._file(f"{name}.key", issued.private_key_pem)
        (chain,) = issued.cert_chain_pems
        return Files(self._file(f"{name}.pem", chain), key, self._authority_file)

    def _file(self, name: str, content: trustme.Blob) -> str:
        content.write_to_path(str(self._folder / name))
        return str(self._folder / name)


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    """Where the server and its modalities are."""
    return Hospital(tmp_path / "hospital")


@pytest.fixture
def server_files(hospital: Hospital) -> Files:
    """The server's."""
    return hospital.issue("127.0.0.1")


@pytest.fixture
def running(server_files: Files) -> Iterator[DicomServer]:
    """A server with TLS."""
    context = server_context(server_files.certificate, server_files.key, server_files.authority)
    with serving(tls=context) as listener:
        yield listener


def client(server: Files, own: Files | None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A modality's TLS: with its certificate or without, and of one version only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(server.authority)
    if own:
        context.load_cert_chain(own.certificate, own.key)
    if version:
        context.set_ciphers("ALL:@SECLEVEL=0")  # or OpenSSL would not even offer TLS 1.1
        context.minimum_version = context.maximum_version = version
    return context


def echo(running: DicomServer, context: ssl.SSLContext) -> None:
    """A C-ECHO over TLS, which succeeds."""
    entity = AE(ae_title="MAMMO1")
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", port_of(running), ae_title=CALLED, tls_args=(context, "127.0.0.1"))
    assert association.is_established
    assert association.send_c_echo().Status == 0x0000
    association.release()


def is_refused(running: DicomServer, context: ssl.SSLContext) -> bool:
    """Whether nothing can be said over TLS. In TLS 1.3 the modality hears of it only after its own handshake."""
    with connected(running) as connection:
        try:
            with context.wrap_socket(connection, server_hostname="127.0.0.1") as secured:
                return secured.recv(1) == b""
        except (ssl.SSLError, ConnectionError):
            return True


class TestAModality:
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_k16_with_a_certificate_and_tls_1_2_or_later_is_answered(
        self, running: DicomServer, hospital: Hospital, server_files: Files, version: ssl.TLSVersion
    ) -> None:
        echo(running, client(server_files, hospital.issue("mammo1.hospital"), version))

    def test_k16_gets_its_worklist(self, running: DicomServer, hospital: Hospital, server_files: Files) -> None:
        WorklistItemFactory.create_batch(300)
        entity = AE(ae_title="MAMMO1")
        entity.add_requested_context(ModalityWorklistInformationFind)
        secured = (client(server_files, hospital.issue("mammo1.hospital")), "127.0.0.1")
        association = entity.associate("127.0.0.1", port_of(running), ae_title=CALLED, tls_args=secured)
        assert len(find(association, request(QueryRetrieveLevel="SCHEDULED")).rows) == 300
        association.release()

    def test_k16_is_told_in_the_log_why_it_was_refused(
        self, running: DicomServer, server_files: Files, log: LogLines
    ) -> None:
        assert is_refused(running, client(server_files, None))
        record = vars(log.wait_for("TLS handshake failed: the modality's certificate, version or port is wrong"))
        assert (record["address"], record["reason"]) == ("127.0.0.1", "PEER_DID_NOT_RETURN_A_CERTIFICATE")


class TestWhoIsRefused:
    def test_k16_has_no_certificate(self, running: DicomServer, hospital: Hospital, server_files: Files) -> None:
        assert is_refused(running, client(server_files, None))
        echo(running, client(server_files, hospital.issue("mammo1.hospital")))

    def test_k16_has_a_certificate_by_another_authority(
        self, running: DicomServer, hospital: Hospital, server_files: Files, tmp_path: Path
    ) -> None:
        stranger = Hospital(tmp_path / "elsewhere").issue("mammo1.hospital")
        assert is_refused(running, client(server_files, stranger))
        echo(running, client(server_files, hospital.issue("mammo1.hospital")))

    def test_k16_speaks_tls_1_1(self, running: DicomServer, hospital: Hospital, server_files: Files) -> None:
        old = client(server_files, hospital.issue("old.hospital"), ssl.TLSVersion.TLSv1_1)
        assert is_refused(running, old)
        echo(running, client(server_files, hospital.issue("mammo1.hospital")))

    def test_k16_offers_only_ciphers_without_forward_secrecy(
        self, running: DicomServer, hospital: Hospital, server_files: Files
    ) -> None:
        old = client(server_files, hospital.issue("old.hospital"))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.set_ciphers("AES256-GCM-SHA384:AES128-SHA")
        assert is_refused(running, old)

    def test_k16_speaks_in_the_clear(self, running: DicomServer, hospital: Hospital, server_files: Files) -> None:
        entity = AE(ae_title="MAMMO1")
        entity.add_requested_context(Verification)
        assert not entity.associate("127.0.0.1", port_of(running), ae_title=CALLED).is_established
        echo(running, client(server_files, hospital.issue("mammo1.hospital")))

    def test_k16_says_nothing_and_keeps_nobody_waiting(
        self, running: DicomServer, hospital: Hospital, server_files: Files
    ) -> None:
        with connected(running), connected(running):
            echo(running, client(server_files, hospital.issue("mammo1.hospital")))

    def test_k16_speaks_tls_to_the_port_in_the_clear(self, hospital: Hospital, server_files: Files) -> None:
        with serving() as plain:
            assert is_refused(plain, client(server_files, hospital.issue("mammo1.hospital")))


@pytest.mark.usefixtures("findscu")
class TestDcmtk:
    def ask(self, running: DicomServer, server: Files, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """What echoscu does over TLS."""
        peer = ["-aec", CALLED, "127.0.0.1", str(port_of(running))]
        command = ["echoscu", "-v", *arguments, "+cf", server.authority, *peer]
        return subprocess.run(command, capture_output=True, timeout=3 * PATIENCE, check=False)

    def test_k16_with_a_certificate_is_answered(
        self, running: DicomServer, hospital: Hospital, server_files: Files
    ) -> None:
        own = hospital.issue("mammo1.hospital")
        done = self.ask(running, server_files, "+tls", own.key, own.certificate)
        assert done.returncode == 0, done.stderr
        assert b"Received Echo Response (Success)" in done.stdout + done.stderr

    def test_k16_without_one_is_refused(self, running: DicomServer, server_files: Files) -> None:
        assert self.ask(running, server_files, "+tla").returncode != 0


class TestTheFiles:
    def test_must_belong_together(self, hospital: Hospital) -> None:
        one, other = hospital.issue("one"), hospital.issue("other")
        with pytest.raises(ssl.SSLError, match="key values mismatch"):
            server_context(one.certificate, other.key, one.authority)

    def test_must_not_be_encrypted(self, hospital: Hospital, tmp_path: Path) -> None:
        """Nobody is there to type a password."""
        own = hospital.issue("one")
        encrypted = tmp_path / "encrypted.key"
        command = ["openssl", "pkey", "-aes256", "-in", own.key, "-out", str(encrypted), "-passout", "pass:secret"]
        subprocess.run(command, check=True)
        with pytest.raises(ssl.SSLError):
            server_context(own.certificate, str(encrypted), own.authority)


def test_a_client_that_stops_in_the_middle_of_its_handshake_is_let_go(
    running: DicomServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom.server.ARTIM_SECONDS", 0.05)
    with socket.create_connection(("127.0.0.1", port_of(running)), timeout=PATIENCE) as connection:
        connection.sendall(b"\x16\x03\x01")
        assert connection.recv(100) == b""


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01"], ids=["not begun", "begun"])
def test_a_server_stops_in_the_middle_of_a_handshake(
    running: DicomServer, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    with connected(running) as connection:
        connection.sendall(sent)
        eventually(lambda: any(isinstance(each.socket, ssl.SSLSocket) for each in running.associations))
        stop_server(running)  # waits for STOP_SECONDS at most
        assert running.associations == []
    assert [record for record in caplog.records if "TLS" in record.getMessage()] == []
