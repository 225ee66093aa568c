"""`check_modality` names the phase that failed, the cause and the next step."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
    Verification,
)

from dicom.models import Modality
from tests.processes import free_ports

pytestmark = [pytest.mark.django_db, pytest.mark.once]


@contextmanager
def modality(status: int = 0x0000, sop_class: str = Verification, **attributes: object) -> Iterator[int]:
    """Run a modality that answers C-ECHO with this status, and yield its port."""
    entity = AE(ae_title="MAMMO1")
    entity.add_supported_context(sop_class)
    for name, value in attributes.items():
        setattr(entity, name, value)
    handlers: list[object] = [(evt.EVT_C_ECHO, lambda _: status)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    assert server
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()


def check(*arguments: str) -> tuple[str, str]:
    """Return what the command prints, and its error."""
    output, error_text = StringIO(), ""
    try:
        call_command("check_modality", *arguments, "--patience", "2", stdout=output)
    except CommandError as error:
        error_text = str(error)
    return output.getvalue(), error_text


class TestCheckModality:
    def test_reports_each_phase_that_succeeds(self) -> None:
        with modality() as port:
            text, error_text = check("127.0.0.1", str(port), "--called", "MAMMO1")
        assert [line.split(":")[0] for line in text.splitlines()] == ["TCP", "Association", "C-ECHO"]
        assert "MAMMO1 accepts GATEWAY_MWL" in text
        assert error_text == ""

    def test_finds_a_configured_modality_by_its_ae_title(self) -> None:
        Modality.objects.create(ae_title="MAMMO1", expected_address="127.0.0.1")
        with modality(require_called_aet=True) as port:
            assert check("MAMMO1", str(port))[1] == ""

    def test_asks_for_the_address_of_a_modality_without_one(self) -> None:
        Modality.objects.create(ae_title="MAMMO1")
        assert "no expected address in the admin" in check("MAMMO1")[1]

    def test_reports_a_refused_connection(self) -> None:
        (port,) = free_ports(1)
        assert check("127.0.0.1", str(port))[1].startswith(f"TCP: 127.0.0.1:{port}: Connection refused. ")

    def test_reports_an_unknown_host_name(self) -> None:
        assert (
            "the host name no.such.host.invalid is unknown. Give its IP address"
            in check("no.such.host.invalid", "104")[1]
        )

    def test_reports_which_ae_title_is_wrong(self) -> None:
        with modality(require_called_aet=True) as port:
            assert (
                "rejected: its AE title is not MAMMO9. Give its AE title with --called"
                in check("127.0.0.1", str(port), "--called", "MAMMO9")[1]
            )
        with modality(require_calling_aet=["OTHER"]) as port:
            assert "Add GATEWAY_MWL to its list of remote AE titles" in check("127.0.0.1", str(port))[1]

    def test_reports_a_port_that_is_not_a_dicom_port(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            error_text = check("127.0.0.1", str(silent.getsockname()[1]))[1]
        assert error_text.startswith("Association: it sent nothing within 2 s. Check that this is its DICOM port")

    def test_reports_a_modality_without_verification(self) -> None:
        with modality(sop_class=ModalityWorklistInformationFind) as port:
            assert "does not offer C-ECHO" in check("127.0.0.1", str(port))[1]

    def test_reports_the_status_of_a_failed_echo(self) -> None:
        with modality(status=0x0122) as port:
            assert "status 0122" in check("127.0.0.1", str(port))[1]

    @pytest.mark.parametrize("title", ["A" * 17, "A\\B"])
    def test_refuses_a_malformed_ae_title(self, title: str) -> None:
        assert "is not an AE title" in check("127.0.0.1", "104", "--called", title)[1]
