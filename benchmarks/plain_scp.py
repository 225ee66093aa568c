"""Serve worklist files with pynetdicom, in the fewest lines: `python -m benchmarks.plain_scp PORT FOLDER`.

It shows what pynetdicom costs by itself: the items are in memory, and each row is sent as it is.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
    Verification,
)


def main(port: int, folder: Path) -> None:
    """Serve until the process is ended."""
    items = {path.stem: dcmread(path) for path in sorted(folder.glob("*.wl"))}

    def find(event: Event) -> Iterator[tuple[int, Dataset]]:
        query = event.identifier
        for item in items.values():
            if matches(query, item):
                yield 0xFF00, item

    entity = AE(ae_title="GATEWAY_MWL")
    entity.maximum_associations = 1000
    entity.add_supported_context(Verification)
    entity.add_supported_context(ModalityWorklistInformationFind)
    entity.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_FIND, find)])


def matches(query: Dataset, item: Dataset) -> bool:
    """Whether an item has the accession number, station and date that were asked for, if they were."""
    keys = [(query, item, "AccessionNumber")]
    step, scheduled = query.ScheduledProcedureStepSequence[0], item.ScheduledProcedureStepSequence[0]
    keys += [(step, scheduled, name) for name in ("ScheduledStationAETitle", "ScheduledProcedureStepStartDate")]
    return all(wanted.get(name) in ("", None, has.get(name)) for wanted, has, name in keys)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
