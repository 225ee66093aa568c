"""Fill the table of worklist items, and build the queries that are asked of it."""

from datetime import date, timedelta
from datetime import time as clock_time
from typing import TYPE_CHECKING

from django.db import connection
from pynetdicom.dsutils import encode

from benchmarks.copies import multiply, renamed
from benchmarks.measuring import Scale
from nonprod.modality_emulator import broad_query
from tests.factories import WorklistItemFactory
from worklist.models import WorklistItem

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TODAY = date(2026, 11, 23)


def station(number: int) -> str:
    """Return the AE title of a modality."""
    return f"MAMMO{number + 1}"


def fill_worklist(scale: Scale) -> None:
    """Create a list for today at each station, the first one's women all named SMITH, and the rest on other days."""
    today = scale.stations * scale.room
    WorklistItem.objects.all().delete()
    WorklistItem.objects.bulk_create(
        WorklistItemFactory.build(
            accession_number=f"B{number:06}",
            patient_id=f"999{number:07}",
            patient_name=f"SMITH^JANE{number}" if number < scale.room else f"JONES{number}^MARY",
            scheduled_date=TODAY if number < today else TODAY + timedelta(days=1 + number % 300),
            scheduled_time=clock_time(9 + number % 8, number % 60),
            station_ae_title=station(number // scale.room % scale.stations),
            study_instance_uid=f"2.25.{number + 1}",
            requested_procedure_id=f"RP{number:06}",
            scheduled_procedure_step_id=f"SP{number:06}",
        )
        for number in range(scale.items)
    )


def multiply_worklist(copies: int) -> None:
    """Copy every item so many times under other names: half on later days, half completed on earlier ones."""
    on_sqlite = connection.vendor == "sqlite"
    days = "(CASE WHEN n %% 2 = 0 THEN -n - 300 ELSE n END)"
    changed = {
        name: renamed(name)
        for name in (
            "accession_number",
            "patient_id",
            "patient_name",
            "patient_name_search",
            "requested_procedure_id",
            "scheduled_procedure_step_id",
        )
    }
    changed |= {
        "id": "lower(hex(randomblob(16)))" if on_sqlite else "gen_random_uuid()",
        "scheduled_date": f"date(scheduled_date, {days} || ' days')" if on_sqlite else f"scheduled_date + {days}",
        "status": "CASE WHEN n %% 2 = 0 THEN 'COMPLETED' ELSE status END",
        "study_instance_uid": "study_instance_uid || '.' || n",
    }
    multiply(WorklistItem, copies, changed)


def one_item(number: int = 1) -> bytes:
    """Return the query for one accession number."""
    return patient_based("AccessionNumber", f"B{number:06}")


def list_of(number: int) -> bytes:
    """Return the query for today's list of a station."""
    return _encoded(broad_query(station(number), TODAY))


def everything() -> bytes:
    """Return the query without a key."""
    return _encoded(broad_query(modality=""))


def by_date() -> bytes:
    """Return the query for today's lists of all stations."""
    return _encoded(broad_query("", TODAY))


def patient_based(keyword: str, value: str) -> bytes:
    """Return a query with one key, which is not of the step."""
    query = broad_query(modality="")
    setattr(query, keyword, value)
    return _encoded(query)


def _encoded(identifier: "Dataset") -> bytes:
    encoded = encode(identifier, is_implicit_vr=True, is_little_endian=True)
    assert encoded  # noqa: S101 - each query has keys
    return encoded
