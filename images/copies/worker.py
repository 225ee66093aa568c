"""Make copies in worker processes, so that a damaged or enormous image hurts nothing but its own copy.

The codecs are C and C++ that read bytes from outside. A worker has a limit of memory and of time, no setting, no token
and no connection to the database; a codec that crashes takes the worker with it, and the next image gets a new one. A
worker stays for many images, as importing numpy and the codecs takes half a second.

A worker says `{"ready": true}`. Then it reads a line of JSON for each image on its standard input, and answers it with
a line on its standard output:

    {"original": "…/uuid.dcm", "copy": "…/uuid.dcm", "longest_side": 400, "ratio": 15}
    {"done": true}, or {"reason": "…"} if no copy can be made, or {"errno": 28} if a file cannot be read or written

It ends when its standard input does, and so also when the process that started it is killed. Windows has neither
`resource` nor SIGALRM: there, memory is limited only by what an image may declare (`original.py`), and only the parent
watches the time.
"""

import atexit
import errno
import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO, cast

from images.copies import CannotCopy, unfinished

if sys.platform != "win32":
    import resource

#: Address space of a worker: 1.5 GiB. A mammogram of 60 MB needs 0.6, the largest frame that is decoded 1.2.
MEMORY_BYTES = 3 << 29
#: For one image.
SECONDS = 120
#: A worker is replaced after this many images, in case a codec leaks.
IMAGES_A_WORKER = 500
#: How many workers one process of the gateway has at most, and so how many images at once.
WORKERS = 2
#: The exit status of a process that was killed; Windows has none.
KILLED = -9
#: How long a worker may take to end after it has closed its standard output.
ENDING_SECONDS = 5
#: Of the environment, what a process needs to start. The rest may hold secrets.
ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR")


class WorkerDied(Exception):
    """The worker ended before it answered. The text completes "the program that decodes it …"."""


class WorkerTookTooLong(WorkerDied):
    """The worker was ended because its time for the image was over."""


class WorkerKilled(WorkerDied):
    """Somebody else killed the worker: on Linux the kernel, when the machine's memory is short."""


class Worker:
    """One worker process, for one image at a time."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES, seconds: float = SECONDS) -> None:
        self.images = 0
        self.is_idle = True
        self._seconds = seconds
        self._is_late = False
        # Apart from the parent's group, so that Ctrl-C lets the parent finish the image.
        flags: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            flags = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}  # noqa: TID251 no setting
        process = subprocess.Popen(  # noqa: S603 our own module, in our own interpreter
            [sys.executable, "-m", __name__, str(memory_bytes), str(seconds)],
            cwd=Path(__file__).parents[2],
            # One thread, as each thread of OpenBLAS takes address space, and the calculations are small.
            env={**environment, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # codecs write there, and may quote the image
            text=True,
            encoding="ascii",
            **flags,
        )
        self._process = process
        self._requests, self._answers = cast(TextIO, process.stdin), cast(TextIO, process.stdout)

    def copy(self, original: Path, copy: Path, longest_side: int, ratio: int) -> None:
        """Make a copy as `make_copy` does. WorkerDied is raised if the process ends, or has to be ended, meanwhile."""
        request = {
            "original": str(original.absolute()),
            "copy": str(copy.absolute()),
            "longest_side": longest_side,
            "ratio": ratio,
        }
        alarm = threading.Timer(self._seconds, self._end_late)
        alarm.daemon = True
        alarm.start()
        self.is_idle = False
        try:
            if not self.images and not self._read():
                raise OSError(errno.ENOEXEC, "the worker process does not start")
            self.images += 1
            answer = self._ask(request)
        finally:
            alarm.cancel()
        if not answer:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDING_SECONDS)  # its exit status tells why
            self.end()
            unfinished(copy, self._process.pid).unlink(missing_ok=True)
            if self._is_late:
                raise WorkerTookTooLong("took too long")
            raise WorkerKilled if self._process.returncode == KILLED else WorkerDied("crashed")
        self.is_idle = True
        if "reason" in answer:
            raise CannotCopy(answer["reason"])
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with suppress(OSError):  # it has ended; the missing answer says so
            self._requests.write(f"{json.dumps(request)}\n")
            self._requests.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        """Return an answer; an empty one if the process has ended."""
        with suppress(ValueError):
            answer: dict[str, Any] = json.loads(self._answers.readline())
            return answer
        return {}

    def _end_late(self) -> None:
        self._is_late = True
        self._process.kill()

    def end(self) -> None:
        """End the process, whatever it is doing, and wait until it has ended."""
        self._process.kill()
        with suppress(OSError):  # what was not written is lost
            self._process.communicate()


class Workers:
    """Workers that stay for the next image. Threads may share it: one that finds all of them busy waits."""

    def __init__(self, count: int = WORKERS, *, memory_bytes: int = MEMORY_BYTES, seconds: float = SECONDS) -> None:
        self._limits = memory_bytes, seconds
        self._free = threading.BoundedSemaphore(count)
        self._lock = threading.Lock()
        self._idle: list[Worker] = []

    def copy(self, original: Path, copy: Path, longest_side: int, ratio: int) -> None:
        """Make a copy as `make_copy` does, in a worker process.

        Raise CannotCopy if the image makes the worker crash. If that worker had made other copies, a new one tries the
        image first: the others may have done the harm. Raise OSError if the worker was killed, which is no fault of the
        image.
        """
        with self._free:
            worker = self._take()
            had_served = worker.images > 0
            try:
                try:
                    worker.copy(original, copy, longest_side, ratio)
                except WorkerDied as death:
                    if not had_served or isinstance(death, WorkerTookTooLong):
                        raise
                    worker = Worker(*self._limits)
                    worker.copy(original, copy, longest_side, ratio)
            except WorkerKilled:
                raise OSError(errno.ENOMEM, "the worker process was killed: memory may be short") from None
            except WorkerDied as death:
                raise CannotCopy(f"the program that decodes it {death}") from None
            finally:
                self._put_back(worker)

    def _take(self) -> Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return Worker(*self._limits)

    def _put_back(self, worker: Worker) -> None:
        if worker.is_idle and worker.images < IMAGES_A_WORKER:
            with self._lock:
                self._idle.append(worker)
        else:
            worker.end()

    def close(self) -> None:
        """End the workers that are idle."""
        with self._lock:
            while self._idle:
                self._idle.pop().end()


_workers = Workers()
atexit.register(_workers.close)


def copy_in_process(original: Path, copy: Path, longest_side: int, ratio: int) -> None:
    """Make a copy as `make_copy` does, by a worker of this process: CannotCopy or OSError if there is none."""
    _workers.copy(original, copy, longest_side, ratio)


def serve(requests: TextIO, answers: TextIO, seconds: int) -> None:
    """Make the copies that are asked for, until there are no more requests."""
    from images.copies.making import make_copy  # noqa: PLC0415 the parent does without numpy

    def answer(**values: Any) -> None:
        answers.write(f"{json.dumps(values)}\n")
        answers.flush()

    answer(ready=True)
    for line in requests:
        request = json.loads(line)
        _set_alarm(seconds)
        try:
            make_copy(Path(request.pop("original")), Path(request.pop("copy")), **request)
        except CannotCopy as reason:
            answer(reason=str(reason))
        except MemoryError:
            answer(reason="decoding it takes too much memory")
        except OSError as error:
            answer(errno=error.errno or errno.EIO)
        else:
            answer(done=True)
        _set_alarm(0)


def _set_alarm(seconds: int) -> None:
    """Have this process ended after so many seconds, even inside a codec, in case the parent is no longer there."""
    if sys.platform != "win32":
        signal.alarm(seconds)


def _limit(memory_bytes: int) -> None:
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the image
        os.nice(5)  # the worklist goes first


def main(memory_bytes: str, seconds: str) -> None:
    """Serve the parent process."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a codec prints must not be read as an answer
    warnings.simplefilter("ignore")
    logging.disable()
    # Service managers send SIGTERM to the whole group. The parent lets this process finish its image, and then ends it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _limit(int(memory_bytes))
    serve(sys.stdin, answers, math.ceil(float(seconds)) + 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
