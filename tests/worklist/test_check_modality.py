"""`check_modality`: is the machine there, and if not, what is wrong and what to do."""

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

pytestmark = pytest.mark.django_db


@contextmanager
def modality(status: int = 0x0000, sop_class: str = Verification, **terms: object) -> Iterator[int]:
    """The port of a machine that answers C-ECHO."""
    entity = AE(ae_title="MAMMO1")
    entity.add_supported_context(sop_class)
    for name, value in terms.items():
        setattr(entity, name, value)
    handlers: list[object] = [(evt.EVT_C_ECHO, _answer, [status])]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    assert server
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()


def _answer(event: evt.Event, status: int) -> int:
    return status


def check(*arguments: str) -> tuple[str, str]:
    """What is printed, and what the command complains of."""
    output, complaint = StringIO(), ""
    try:
        call_command("check_modality", *arguments, "--patience", "2", stdout=output)
    except CommandError as error:
        complaint = str(error)
    return output.getvalue(), complaint


class TestCheckModality:
    def test_says_of_each_step_that_it_went_well(self) -> None:
        with modality() as port:
            text, complaint = check("127.0.0.1", str(port), "--called", "MAMMO1")
        assert [line.split(":")[0] for line in text.splitlines()] == ["TCP", "Association", "C-ECHO"]
        assert "MAMMO1 accepts GATEWAY_MWL" in text
        assert complaint == ""

    def test_finds_a_configured_modality_by_its_ae_title(self) -> None:
        Modality.objects.create(ae_title="MAMMO1", expected_address="127.0.0.1")
        with modality(require_called_aet=True) as port:
            assert check("MAMMO1", str(port))[1] == ""

    def test_of_one_without_an_address_asks_for_it(self) -> None:
        Modality.objects.create(ae_title="MAMMO1")
        assert "no expected address in the admin" in check("MAMMO1")[1]

    def test_says_that_nothing_listens(self) -> None:
        (port,) = free_ports(1)
        assert check("127.0.0.1", str(port))[1].startswith(f"TCP: 127.0.0.1:{port}: Connection refused; ")

    def test_says_that_a_name_is_not_known(self) -> None:
        assert "the name no.such.host.invalid is not known" in check("no.such.host.invalid", "104")[1]

    def test_says_which_title_is_wrong_and_what_to_do(self) -> None:
        with modality(require_called_aet=True) as port:
            assert "it is not called MAMMO9" in check("127.0.0.1", str(port), "--called", "MAMMO9")[1]
        with modality(require_calling_aet=["OTHER"]) as port:
            assert "enter GATEWAY_MWL in its list" in check("127.0.0.1", str(port))[1]

    def test_says_that_it_is_no_dicom_port(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            complaint = check("127.0.0.1", str(silent.getsockname()[1]))[1]
        assert complaint.startswith("Association: it closed the connection without an answer")

    def test_says_that_echo_is_not_offered(self) -> None:
        with modality(sop_class=ModalityWorklistInformationFind) as port:
            assert "does not offer C-ECHO" in check("127.0.0.1", str(port))[1]

    def test_says_with_which_status_it_answered(self) -> None:
        with modality(status=0x0122) as port:
            assert "status 0122" in check("127.0.0.1", str(port))[1]

    @pytest.mark.parametrize("title", ["A" * 17, "A\\B"])
    def test_takes_no_title_that_is_none(self, title: str) -> None:
        assert "is no AE title" in check("127.0.0.1", "104", "--called", title)[1]
