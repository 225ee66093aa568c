"""Measure the image server beside storescp and Orthanc, what it costs the worklist, and how fast copies reach Manage.

The client is `raw_dicom`, which sends bytes that were prepared before; the servers are real processes on the loopback
interface. Ours answers once an image is on the disk and its row is committed. The others do not sync.
"""

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from io import BytesIO
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import UID

from benchmarks import worklists
from benchmarks.dicom import expect
from benchmarks.image_servers import COLUMNS, ORTHANC_NAME, STORESCP, ImageServer, all_servers, uploading
from benchmarks.measuring import OURS, Row, Scale, Table, progress, repeated, timed
from benchmarks.processes import cpu_seconds, memory_mib
from benchmarks.raw_dicom import IMAGE_CONTEXTS, PreparedImage, RawAssociation, UnexpectedAnswer
from benchmarks.servers import Server, gateway
from core.contract import ActionType
from gateway_project.images import WORKLIST
from images.models import ReceivedImage
from images.phantoms import Phantom, image_of
from images.spool import Spool
from nonprod.modality_emulator.encodings import TRANSFER_SYNTAXES, encoded
from relay.models import ReceivedAction
from tests.factories import create
from tests.images.waiting import waiting_image

#: Of 30 MB and of 60 MB, with 16 bits a pixel.
PHANTOM, LARGE_PHANTOM = Phantom(rows=5120, columns=2930), Phantom(rows=7680, columns=3906)
SMALL_PHANTOM = Phantom(rows=200, columns=160)
INSTANCE = "2.25.9" + 37 * "0"
#: Images that one association sends for one figure, and each of four.
IMAGES_OF_ONE, ASSOCIATIONS, IMAGES_OF_EACH = 4, 4, 3
#: What a hospital's network brings in a second.
GIGABIT = 125_000_000
#: How long queries are timed while no image arrives, and how long the uploader may take for its images.
QUERIES_SECONDS, UPLOADING_SECONDS = 2.0, 300.0
UPLOADS = 8
SYNTAXES = ("explicit", "jpeg-lossless", "jpeg-ls", "jpeg2000")


def measure(scale: Scale) -> list[Table]:
    """Return the tables of this part."""
    worklists.fill_worklist(scale)
    database_url = os.environ["DATABASE_URL"]  # noqa: TID251 - as set for this part
    image = prepared(SMALL_PHANTOM if scale.is_short else PHANTOM)
    large = prepared(SMALL_PHANTOM if scale.is_short else LARGE_PHANTOM)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with all_servers(folder, database_url) as servers, gateway(folder, database_url) as worklist:
            ours = servers[0]
            received = [
                side_by_side(servers, image, scale),
                to_the_answer(ours, image, folder, scale),
                memory(ours, large, scale),
                queries_meanwhile(worklist, ours, large, scale),
            ]
        return [*received, uploads(folder, ours.files, database_url, scale)]


def prepared(phantom: Phantom) -> PreparedImage:
    """Return a phantom as the bytes that are sent."""
    image = image_of(phantom, at=datetime(2026, 11, 23, 9, 30))  # noqa: DTZ001 - the clinic's time
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(INSTANCE)
    written = BytesIO()
    dcmwrite(written, image, enforce_file_format=True)
    raw = written.getvalue()
    return PreparedImage.of(raw[144 + int.from_bytes(raw[140:144], "little") :], INSTANCE)


def send(port: int, image: PreparedImage, count: int, bytes_per_second: float = 0.0) -> None:
    """Send so many copies of an image on one association."""
    with RawAssociation(port, contexts=IMAGE_CONTEXTS) as association:
        for _ in range(count):
            association.store(image.copy(), bytes_per_second)


def send_on_four(port: int, image: PreparedImage, bytes_per_second: float = 0.0) -> None:
    """Send 12 images, three on each of four associations at once."""
    with ThreadPoolExecutor(ASSOCIATIONS) as units:
        for sent in [
            units.submit(send, port, image, IMAGES_OF_EACH, bytes_per_second / ASSOCIATIONS)
            for _ in range(ASSOCIATIONS)
        ]:
            sent.result()


# Side by side ---------------------------------------------------------------------------------------------------------


def side_by_side(servers: list[ImageServer], image: PreparedImage, scale: Scale) -> Table:
    """Measure how much each server takes in a second, one after the other in each round."""
    peers = ((STORESCP,), (ORTHANC_NAME,))
    one = Row("one association", "MB/s", peers=peers, aim="≥ 0.8 × storescp, ≥ 2 × Orthanc", more_is_better=True)
    four = Row("four associations", "MB/s", peers=peers, aim="≥ 0.5 × storescp, ≥ 2 × Orthanc", more_is_better=True)
    cpu = Row("CPU for each image of one association", "ms", peers=peers)
    for number in range(scale.rounds):
        progress(f"images, round {number + 1} of {scale.rounds}")
        turn = number % len(servers)
        for server in servers[turn:] + servers[:turn]:
            before = cpu_seconds(server.pid)
            seconds = timed(lambda port=server.port: send(port, image, IMAGES_OF_ONE))  # type: ignore[misc]
            one.add(server.name, IMAGES_OF_ONE * image.size / seconds / 1e6)
            cpu.add(server.name, 1000 * (cpu_seconds(server.pid) - before) / IMAGES_OF_ONE)
            server.forget_images()
            seconds = timed(lambda port=server.port: send_on_four(port, image))  # type: ignore[misc]
            four.add(server.name, ASSOCIATIONS * IMAGES_OF_EACH * image.size / seconds / 1e6)
            server.forget_images()
    columns = tuple(column for column in COLUMNS if column in {server.name for server in servers})
    return Table("The image server beside others", columns, [one, four, cpu], ("÷ storescp", "÷ Orthanc"))


def to_the_answer(server: ImageServer, image: PreparedImage, folder: Path, scale: Scale) -> Table:
    """Measure one image from its first byte to its answer, beside writing and fsyncing as many bytes."""
    disk = "write and fsync"
    row = Row("one image", "ms", peers=((disk,),), aim="≤ 5 ×")
    written = image.first + image.rest
    for _ in range(scale.rounds):
        row.add(disk, 1000 * timed(lambda: write_and_sync(folder / "written", written)))
        (folder / "written").unlink()
        with RawAssociation(server.port, contexts=IMAGE_CONTEXTS) as association:
            row.add(OURS, 1000 * timed(lambda: association.store(image.copy())))
        server.forget_images()
    return Table("From the first byte to the answer", (OURS, disk), [row], ("ratio",))


def write_and_sync(path: Path, content: bytes) -> None:
    """Make content durable."""
    with path.open("wb", buffering=0) as file:
        file.write(content)
        os.fsync(file.fileno())


# What twelve large images cost ----------------------------------------------------------------------------------------


def memory(server: ImageServer, image: PreparedImage, scale: Scale) -> Table:
    """Measure our process at rest, and the most that it has while 12 images arrive on four associations."""
    at_rest = Row("memory (PSS) at rest", "MiB")
    busy = Row("memory (PSS) while 12 images of 60 MB arrive on four associations", "MiB", aim="≤ 120")
    for number in range(scale.rounds):
        progress(f"memory, round {number + 1} of {scale.rounds}")
        at_rest.add(OURS, memory_mib(server.pid))
        with ThreadPoolExecutor(1) as sender:
            sent = sender.submit(send_on_four, server.port, image)
            most = memory_mib(server.pid)
            while not sent.done():
                most = max(most, memory_mib(server.pid))
                time.sleep(0.02)
            sent.result()
        busy.add(OURS, most)
        server.forget_images()
    return Table("Our image server's process", (OURS,), [at_rest, busy])


def queries_meanwhile(worklist: Server, server: ImageServer, image: PreparedImage, scale: Scale) -> Table:
    """Measure queries of the worklist server while 12 large images arrive at the image server, both on one database."""
    columns = ("no images", "12 images at 1 Gbit/s", "12 images at once")
    median = Row(f"C-FIND, 1 of {scale.items:,}, median", "ms", peers=((columns[0],),), aim="as before at 1 Gbit/s")
    slow = Row("99 of 100", "ms", peers=((columns[0],),))
    for number in range(scale.rounds):
        progress(f"queries beside images, round {number + 1} of {scale.rounds}")
        quiet = repeated(lambda: query(worklist), 0.0 if scale.is_short else QUERIES_SECONDS)
        figures = [quiet, *(queries_during(worklist, server, image, rate) for rate in (GIGABIT, 0.0))]
        for column, seconds in zip(columns, figures, strict=True):
            median.add(column, 1000 * statistics.median(seconds))
            slow.add(column, 1000 * sorted(seconds)[int(0.99 * len(seconds))])
    title = "Worklist queries while images of 60 MB arrive on four associations"
    return Table(title, columns, [median, slow], ("at once ÷ none",), subject=columns[-1])


def query(worklist: Server) -> float:
    """Return the seconds of one C-FIND, which must be answered rightly."""
    with RawAssociation(worklist.port) as association:
        answer = association.find(worklists.one_item())
    expect(answer, 1)
    return association.ended


def queries_during(worklist: Server, server: ImageServer, image: PreparedImage, rate: float) -> list[float]:
    """Return the seconds of the queries that were made while another process sent 12 images."""
    if sys.platform == "win32":
        raise NotImplementedError("the sender is forked")
    sender = multiprocessing.get_context("fork").Process(target=send_on_four, args=(server.port, image, rate))
    sender.start()
    seconds = [query(worklist)]
    while sender.is_alive():
        seconds.append(query(worklist))
    if sender.exitcode:
        raise UnexpectedAnswer("an image was not taken")
    server.forget_images()
    return seconds


# The uploader ---------------------------------------------------------------------------------------------------------


def uploads(folder: Path, files: Path, database_url: str, scale: Scale) -> Table:
    """Measure how many copies the uploader makes and has taken by the emulated Manage, by transfer syntax.

    `files` is the spool of the image server: the database knows no other.
    """
    phantom = SMALL_PHANTOM if scale.is_short else PHANTOM
    made = image_of(phantom, at=datetime.now().astimezone())
    images = {name: encoded(made, TRANSFER_SYNTAXES[name]) for name in SYNTAXES[: 2 if scale.is_short else None]}
    rows = {name: Row(f"images of 30 MB, {name}", "a minute") for name in images}
    spool = Spool(files)
    with uploading(folder, database_url, spool.root):
        uploaded(spool, images["explicit"], 2)  # each worker process has started then
        for number in range(scale.rounds):
            progress(f"uploads, round {number + 1} of {scale.rounds}")
            for name, image in images.items():
                rows[name].add(OURS, 60 * uploaded(spool, image, 2 if scale.is_short else UPLOADS))
    return Table("The uploader, with two worker processes", (OURS,), list(rows.values()))


def uploaded(spool: Spool, image: Dataset, count: int) -> float:
    """Queue copies of an image; return how many reached Manage in a second, from the first one's arrival on."""
    number = f"U{ReceivedAction.objects.count():06}"
    item = WORKLIST.item(create(accession_number=number, patient_id="9990000018", status="IN PROGRESS").pk)
    assert item  # noqa: S101 - it has just been made
    ReceivedAction.objects.create(
        action_id=f"action-{number}", action_type=ActionType.CREATE_ITEM, accession_number=number, outcome="created",
        is_final=True, received_at=datetime.now().astimezone(),
    )  # fmt: skip
    rows = [waiting_image(item, next_attempt_at=None) for _ in range(count)]
    for row in rows:
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(row.sop_instance_uid)
        image.StudyInstanceUID, image.SeriesInstanceUID = row.study_instance_uid, row.series_instance_uid
        image.PatientID = row.patient_id
        image.save_as(spool.original(row.file), enforce_file_format=True)
    if sys.platform != "win32":
        os.sync()  # so that the disk has nothing else to do
    queued = ReceivedImage.objects.filter(pk__in=[row.pk for row in rows])
    queued.update(next_attempt_at=datetime.now().astimezone())
    deadline = time.monotonic() + UPLOADING_SECONDS
    while queued.exclude(state=ReceivedImage.State.UPLOADED).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not uploaded: {list(queued.values_list('state', 'reason', 'last_error'))}")
        time.sleep(0.05)
    ended = sorted(queued.values_list("updated_at", flat=True))
    for row in rows:
        spool.original(row.file).unlink()
    return (count - 1) / max((ended[-1] - ended[0]).total_seconds(), 0.001)
