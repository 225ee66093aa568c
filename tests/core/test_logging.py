"""What may be logged."""

import io
import json
import logging
import logging.config
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from gateway_project.settings.base import logging_config
from tests.gateway_project.test_settings import GOOD as PRODUCTION
from tests.processes import Start

pytestmark = pytest.mark.once


class Log:
    """The configured handler and formatter, writing into memory."""

    def __init__(self, log_format: str) -> None:
        config = logging_config(log_format, "DEBUG")
        self.stream = io.StringIO()
        config["handlers"]["stderr"]["stream"] = self.stream
        logging.config.dictConfig(config)

    @property
    def text(self) -> str:
        """All that was written."""
        return self.stream.getvalue()


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    """The gateway's logging at DEBUG, as JSON unless the test asks otherwise."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        yield Log(getattr(request, "param", "json"))
        logging.captureWarnings(capture=False)
    root.handlers, root.level = handlers, level


def fail_with(error: Exception) -> None:
    """Raise it from a frame that a traceback shows."""
    raise error


class TestOurOwnLines:
    def test_a_line_of_json_has_time_level_sentence_id_and_extras(self, log: Log) -> None:
        logging.getLogger("relay.dispatcher").info(
            "action answered", extra={"outcome": "created", "correlation_id": "c1"}
        )
        line = json.loads(log.text)
        assert line.pop("time").endswith("Z")
        assert line == {
            "level": "INFO",
            "logger": "relay.dispatcher",
            "message": "action answered",
            "correlation_id": "c1",
            "outcome": "created",
        }

    @pytest.mark.parametrize("log", ["readable"], indirect=True)
    def test_a_readable_line_has_the_extras_behind_the_sentence(self, log: Log) -> None:
        logging.getLogger("relay.dispatcher").info(
            "action answered", extra={"outcome": "created", "correlation_id": "c1"}
        )
        assert log.text.endswith("INFO    relay.dispatcher: action answered correlation_id=c1 outcome=created\n")


@pytest.mark.parametrize("log", ["json", "readable"], indirect=True)
class TestExceptions:
    def test_the_frames_and_types_are_shown_and_no_words(self, log: Log) -> None:
        try:
            try:
                fail_with(KeyError("9990000018"))
            except KeyError as error:
                raise RuntimeError("SMITH^JANE") from error
        except RuntimeError:
            logging.getLogger("relay.dispatcher").exception("handler failed")
        assert "fail_with" in log.text
        assert "KeyError" in log.text
        assert "RuntimeError" in log.text
        assert "SMITH" not in log.text
        assert "9990000018" not in log.text

    def test_the_words_of_an_operating_system_error_are_kept(self, log: Log) -> None:
        try:
            fail_with(ConnectionRefusedError(111, "Connection refused"))
        except OSError:
            logging.getLogger("relay.dispatcher").exception("no connection")
        assert "Connection refused" in log.text


class TestLibraries:
    @pytest.mark.parametrize("name", ["websockets.client", "django.db.backends", "pynetdicom.acse", "asyncio", "azure"])
    def test_nothing_below_info_is_written_even_where_debug_is_on(self, log: Log, name: str) -> None:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.debug("> ServiceBusAuthorization: %s", "secret")
        logger.setLevel(logging.NOTSET)
        assert log.text == ""

    @pytest.mark.parametrize(
        "name", ["websockets.client", "django.db.backends", "httpx", "pynetdicom.acse", "py.warnings"]
    )
    def test_warnings_of_those_that_quote_values_say_only_where(self, log: Log, name: str) -> None:
        logging.getLogger(name).error("Value %s is wrong", "SMITH^JANE", extra={"value": "SMITH^JANE"})
        assert "SMITH" not in log.text
        assert "test_logging" in log.text

    def test_of_a_warning_file_line_and_category_are_shown(self, log: Log) -> None:
        warnings.warn("The value SMITH^JANE is wrong", UserWarning, stacklevel=1)
        message = json.loads(log.text)["message"]
        assert re.fullmatch(r".*test_logging\.py:\d+: UserWarning", message)

    def test_an_exception_given_as_the_message_is_not_quoted(self, log: Log) -> None:
        logging.getLogger("pynetdicom.dimse").exception(ValueError("SMITH^JANE"))
        assert "SMITH" not in log.text

    def test_the_sentence_of_another_library_is_kept_without_its_extras(self, log: Log) -> None:
        logging.getLogger("uvicorn.error").info("Started", extra={"request": "GET /?q=SMITH"})
        assert json.loads(log.text)["message"] == "Started"
        assert "SMITH" not in log.text


CRASH = """
import threading, django
django.setup()
def crash(): raise KeyError("SM" "ITH^JANE")
thread = threading.Thread(target=crash); thread.start(); thread.join()
crash()
"""


@pytest.mark.django_db
class TestUncaughtExceptions:
    def test_in_production_a_crash_is_logged_without_its_words(self, start: Start, tmp_path: Path) -> None:
        program = tmp_path / "crash.py"
        program.write_text(CRASH)
        process = start(program=str(program), **PRODUCTION, PYTHONPATH=str(settings.BASE_DIR))
        assert process.exit_status() == 1
        assert [json.loads(line)["message"] for line in process.lines] == ["uncaught exception"] * 2
        assert "KeyError" in process.output
        assert "SMITH" not in process.output
