"""Which response and which log record an exception becomes."""

import pytest
from django.db import InterfaceError, OperationalError

from dicom.association_policy import ModalitiesUnknown, Requestor, RequestRefused
from dicom.failures import FailureRow, UnreadableDataSet, common_failures, failure_response
from dicom.service import IncompleteDataSet
from dicom.statuses import failure

TABLE = (
    FailureRow((KeyError,), lambda error: failure(0xA900, f"no {error}")),
    *common_failures(
        database_unavailable=0xC001, refused=0xC003, incomplete=0xC000, unreadable=0xC310, internal_error=0xC002
    ),
)
REQUESTOR = Requestor("MAMMO1", "GATEWAY", "192.0.2.7")


@pytest.mark.parametrize(
    ("error", "status", "comment", "level"),
    [
        (KeyError("date"), 0xA900, "no 'date'", None),
        (ModalitiesUnknown(), 0xC001, "Database not available, try again", "ERROR"),
        (OperationalError("locked"), 0xC001, "Database not available, try again", "ERROR"),
        (InterfaceError("closed"), 0xC001, "Database not available, try again", "ERROR"),
        (RequestRefused("its modality is not allowed"), 0xC003, "Refused: its modality is not allowed", "WARNING"),
        (IncompleteDataSet(), 0xC000, "The data set announced has not arrived", None),
        (UnreadableDataSet("The identifier cannot be read"), 0xC310, "The identifier cannot be read", None),
        (ValueError("SMITH^JANE"), 0xC002, "Fault in the gateway, see its log", "ERROR"),
    ],
)
def test_an_exception_becomes_the_response_and_log_record_of_its_row(
    error: Exception, status: int, comment: str, level: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    response = failure_response(error, TABLE, REQUESTOR)
    assert (response.status, response.comment) == (status, comment)
    logged = [(record.levelname, record.getMessage(), vars(record)["comment"]) for record in caplog.records]
    assert logged == ([(level, "request failed", comment)] if level else [])


def test_only_an_unforeseen_exception_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    failure_response(OperationalError("locked"), TABLE, REQUESTOR)
    failure_response(ValueError("unforeseen"), TABLE, REQUESTOR)
    assert [bool(record.exc_info) for record in caplog.records] == [False, True]
