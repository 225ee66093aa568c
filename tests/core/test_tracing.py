"""Traces go to a collector over HTTP if they are on, without patient data."""

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from core import tracing
from core.contract import GatewayAction, Reply
from core.correlation import correlated
from core.tracing import span
from relay.dispatcher import Dispatcher
from tests.collector import NAME, NUMBER, Collector
from tests.factories import payload

pytestmark = pytest.mark.once


class TestSpans:
    def test_has_its_attributes_and_the_correlation_id(self, collector: Collector) -> None:
        with correlated("c0ffee"), span("action", action_id="a1") as traced:
            traced.set(ms=3, accession=None)
        assert collector.wait_for("action") == {
            "gateway.correlation_id": "c0ffee",
            "gateway.action_id": "a1",
            "gateway.ms": 3,
        }
        assert collector.has("screening-gateway")

    def test_of_an_exception_only_the_type_goes_out(self, collector: Collector) -> None:
        with pytest.raises(ValueError, match=NUMBER), span("action"):
            raise ValueError(f"{NAME} {NUMBER}")
        collector.wait_for("action")
        assert collector.has("ValueError")
        assert not collector.has_patient_data

    def test_without_an_endpoint_nothing_of_opentelemetry_is_loaded(self) -> None:
        script = (
            "import django, sys; django.setup()\n"
            "import core.daemon, relay.dispatcher, dicom.server\n"
            "from core.tracing import flush, span\n"
            "with span('action', ms=1) as traced: traced.set(ms=2)\n"
            "flush(); print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
        )
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
        )
        assert done.stdout == "[]\n"

    def test_a_collector_that_does_not_answer_keeps_the_end_for_a_moment_only(self, deaf_collector: None) -> None:
        with span("action"):
            pass
        started = time.monotonic()
        tracing.flush(patience=0.1)
        assert time.monotonic() - started < 5


@pytest.mark.django_db(transaction=True)
class TestActions:
    def test_one_is_a_span_and_nobody_is_in_it(self, collector: Collector) -> None:
        def created(action: GatewayAction) -> Reply:
            return {"status": "created", "action_id": action.action_id}

        sent = payload(participant__name=NAME, participant__nhs_number=NUMBER)
        Dispatcher({"worklist.create_item": created}, {}).dispatch(json.dumps(sent), "test#1")
        attributes: dict[str, Any] = collector.wait_for("action")
        assert attributes.pop("gateway.correlation_id")
        assert attributes.pop("gateway.ms") >= 0
        assert attributes == {
            "gateway.action_id": sent["action_id"],
            "gateway.action_type": "worklist.create_item",
            "gateway.outcome": "created",
            "gateway.how": "executed",
            "gateway.connection": "test#1",
        }
        assert not collector.has_patient_data
