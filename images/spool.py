"""Keep images in files: what is being received, what was received, and the copies for Manage.

A data set is written to `incoming/` while it arrives, as a DICOM Part 10 file (PS3.10 section 7.1). `keep` makes it
durable and moves it to `originals/`, in this order: fsync of the file, rename, fsync of the folder. What lies in
`incoming/` belongs to nobody after a restart. Folders are for this user alone (0700), and so are files (0600).

The spool has an id, in the file `spool-id`, which the database knows, too, from its first image on. So a folder that is
empty because its disk is not mounted is not taken for the spool, and nor is another gateway's (`recognise`).
"""

import hashlib
import os
import shutil
import struct
import sys
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from django.conf import settings

from core.statements import insert_unless_known
from images.models import ReceivedImage, SpoolIdentity

#: Each time so many bytes have come, they are begun to be written to disk, and the free space is looked at.
STRIDE = 1 << 22
PREAMBLE = bytes(128) + b"DICM"
#: The file below the root with the spool's id.
ID_FILE = "spool-id"

State = ReceivedImage.State
#: The states in which an image needs its file.
NEED_THEIR_FILE = (State.WAITING, State.UNLINKED, State.HELD)


class CannotStore(Exception):
    """A data set cannot be stored: it is too long, or the disk fails. The text is the Error Comment."""


class DiskFails(CannotStore):
    """The disk of the spool is full, damaged or not there."""

    @classmethod
    def of(cls, error: OSError) -> "DiskFails":
        """Return what the operating system says, without the path."""
        return cls(f"Not written to disk: {error.strerror}")


class WrongSpool(DiskFails):
    """The folder is not the spool that the images of the database lie in."""


class Spool:
    """The folders below one root. Call `prepare` before the first use."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming, self.originals, self.copies = root / "incoming", root / "originals", root / "copies"

    def prepare(self) -> None:
        """Make the folders; raise OSError if that is impossible."""
        for folder in (self.root, self.incoming, self.originals, self.copies):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)

    def half_received(self) -> list[Path]:
        """Return the files of images that are arriving, or were when a process was killed."""
        return [path for path in self.incoming.iterdir() if not path.is_dir()]  # a lost+found is not ours

    def read_id(self) -> str:
        """Return the spool's id, empty if it has none; raise OSError if it cannot be read."""
        try:
            return (self.root / ID_FILE).read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return ""

    def write_id(self, spool_id: str) -> None:
        """Give the spool an id that survives a power cut; raise OSError if that is impossible."""
        temporary = self.incoming / f"{uuid4()}.id"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{spool_id}\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.root / ID_FILE)
        sync_folder(self.root)

    def original(self, name: str) -> Path:
        """Return the path of a received image."""
        return self.originals / name

    def copy(self, name: str) -> Path:
        """Return the path of a copy for Manage."""
        return self.copies / name

    def seems_usable(self, min_free_bytes: int) -> bool:
        """Return whether the folders are there and may be written to, and the reserve is free. Nothing is written."""
        try:
            is_writable = all(os.access(folder, os.W_OK) for folder in (self.incoming, self.originals))
            return is_writable and self.free_bytes() >= min_free_bytes
        except OSError:
            return False

    def try_out(self, min_free_bytes: int) -> None:
        """Keep a file without a data set as an image is kept, and delete it; raise DiskFails if that is impossible."""
        trial = IncomingFile(self, b"", max_bytes=0, min_free_bytes=min_free_bytes)
        try:
            trial.keep()
        finally:
            trial.discard()

    def free_bytes(self) -> int:
        """Return how much may still be written; raise OSError if the spool is not there."""
        return shutil.disk_usage(self.root).free


def spool() -> Spool:
    """Return the spool of the settings."""
    return Spool(settings.IMAGE_SPOOL_DIR)


def recognise(spool: Spool, *, marks: bool = False) -> None:
    """Raise WrongSpool unless this is the spool of the database's images, and DiskFails if nobody can tell.

    A database that knows no id has had no image since the update that brought the ids: if images wait, the file of one
    at least has to be there.
    `marks`: an image is about to be stored, in the caller's transaction. The first one gives the spool its id.
    """
    known = SpoolIdentity.objects.values_list("spool_id", flat=True).first()
    try:
        found = spool.read_id()
    except OSError as error:
        raise DiskFails(f"{ID_FILE} cannot be read: {error.strerror}") from None
    if known and known != found:
        raise WrongSpool(f"IMAGE_SPOOL_DIR is not the folder with {ID_FILE} {known}")
    if known:
        return
    if not found and _has_none_of_the_files(spool):
        raise WrongSpool(f"IMAGE_SPOOL_DIR has neither a {ID_FILE} nor a file of the images that wait")
    if marks:
        insert_unless_known(SpoolIdentity(spool_id=found or uuid4().hex[:12]))
        try:
            spool.write_id(SpoolIdentity.objects.get().spool_id)
        except OSError as error:
            raise DiskFails.of(error) from None


def _has_none_of_the_files(spool: Spool) -> bool:
    """Tell whether images need their files, and none of these is there."""
    needed = ReceivedImage.objects.filter(state__in=NEED_THEIR_FILE).exclude(file="").values_list("file", flat=True)
    names = list(needed)
    return bool(names) and not any(spool.original(name).exists() for name in names)


class IncomingFile:
    """A data set on its way into the spool: a sink for the fragments of a C-STORE (`upper_layer.dimse.DataSetSink`).

    It never raises while data arrive, so that an association survives a full disk: it ignores the rest, and `keep`
    raises CannotStore. `digest` is the SHA-256 of the data set alone.
    """

    def __init__(self, spool: Spool, file_meta: bytes, max_bytes: int, min_free_bytes: int) -> None:
        self.name = f"{uuid4()}.dcm"
        self.path = spool.incoming / self.name
        self.data_set_at = len(PREAMBLE) + len(file_meta)
        self.size = 0
        self._spool = spool
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._digest = hashlib.sha256(usedforsecurity=False)
        self._problem: CannotStore | None = None
        self._is_handed_over = False
        self._checked_at = 0
        self._descriptor = -1
        try:
            self._check_room()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(self.path, flags, 0o600)
            self._write(PREAMBLE + file_meta)
        except (OSError, CannotStore) as error:
            self._give_up(error)

    @property
    def digest(self) -> str:
        """The SHA-256 of the data set so far, in hex digits."""
        return self._digest.hexdigest()

    def write(self, fragment: bytes | memoryview) -> None:
        """Append the next fragment."""
        if self._problem:
            return
        self.size += len(fragment)
        try:
            if self.size > self._max_bytes:
                raise CannotStore("The data set is longer than IMAGE_MAX_BYTES")
            self._write(fragment)
            self._digest.update(fragment)
            if self.size - self._checked_at >= STRIDE:
                self._begin_write_back(self._checked_at)
                self._check_room()
        except (OSError, CannotStore) as error:
            self._give_up(error)

    def getvalue(self) -> "IncomingFile":
        """Return itself as the data set of the message."""
        return self

    def check(self) -> None:
        """Raise CannotStore unless everything that came has been written."""
        if self._problem:
            raise self._problem

    def keep(self) -> None:
        """Make the file durable, and put it among the originals; raise CannotStore if that fails."""
        self.check()
        try:
            os.fsync(self._descriptor)
            self._close()
            kept = self._spool.original(self.name)
            self.path.rename(kept)
            self.path = kept
            sync_folder(self._spool.originals)
        except OSError as error:
            self._give_up(error)
            self.check()

    def hand_over(self) -> None:
        """Leave the file to its row, which is now responsible for it: this object no longer deletes it."""
        self._is_handed_over = True

    def discard(self) -> None:
        """Delete the file, wherever it is, unless it has been handed over."""
        self._close()
        if self._is_handed_over:
            return
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _check_room(self) -> None:
        self._checked_at = self.size
        if self._spool.free_bytes() < self._min_free_bytes:
            raise DiskFails("Out of disk space, see IMAGE_MIN_FREE_BYTES")

    def _write(self, content: bytes | memoryview) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _begin_write_back(self, begin: int) -> None:
        """Begin to write to disk what has arrived since `begin`, which leaves little to the fsync at the end.

        On Linux this advice starts the writing and does not wait; the fsync at the end reports an error.
        """
        if sys.platform == "linux":
            with suppress(OSError):  # a file system that takes no advice
                os.posix_fadvise(self._descriptor, begin, self.size - begin, os.POSIX_FADV_DONTNEED)

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with suppress(OSError):
                os.close(descriptor)

    def _give_up(self, error: OSError | CannotStore) -> None:
        self._problem = DiskFails.of(error) if isinstance(error, OSError) else error
        self.discard()


def sync_folder(folder: Path) -> None:
    """Make what was created, renamed or deleted in a folder durable; Windows does so without being asked."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def encode_file_meta(sop_class: str, sop_instance: str, transfer_syntax: str, implementation: tuple[str, str]) -> bytes:
    """Return the File Meta Information of a data set (PS3.10 table 7.1-1); `implementation` is class UID and name."""
    elements = (
        (0x0001, b"OB\0\0" + struct.pack("<L", 2), b"\0\1"),
        (0x0002, *_value(b"UI", sop_class, b"\0")),
        (0x0003, *_value(b"UI", sop_instance, b"\0")),
        (0x0010, *_value(b"UI", transfer_syntax, b"\0")),
        (0x0012, *_value(b"UI", implementation[0], b"\0")),
        (0x0013, *_value(b"SH", implementation[1], b" ")),
    )
    content = b"".join(struct.pack("<HH", 2, number) + head + value for number, head, value in elements)
    return struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(content)) + content


def _value(vr: bytes, text: str, padding: bytes) -> tuple[bytes, bytes]:
    raw = text.encode("ascii")
    raw += padding * (len(raw) % 2)
    return vr + struct.pack("<H", len(raw)), raw
