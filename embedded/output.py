"""Writes log lines to stdout from a thread of its own: a reader that stops, or a full disk, must not stop serving."""

import logging
import os
import threading

from chalicelib.host import log

MAX_WAITING_BYTES = 1_000_000
"""How much may wait to be written. Further lines are dropped and counted."""
FLUSH_S = 0.2
"""How often lines are written. A system call for each line would be a twentieth of a request's cost."""
_CLOSE_S = 1.0
"""How long ``close`` waits for a reader."""


class Output:
    """Gathers lines, and writes them every 0.2 s.

    If a write fails, the rest is written once writing works again, also in the midst of a line. At most two times
    ``MAX_WAITING_BYTES`` are kept meanwhile.

    Args:
        fd: the file descriptor to write to. None: there is none, and lines are dropped.
    """

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self._lines: list[bytes] = []
        self._size_bytes = self._dropped = 0
        self._rest = memoryview(b"")
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        if fd is not None:
            self._thread.start()

    def write(self, line: str) -> None:
        """Add a line, which ends with a newline. Never waits for the reader."""
        encoded = line.encode()
        with self._lock:
            if self._fd is None or self._size_bytes + len(encoded) > MAX_WAITING_BYTES:
                self._dropped += 1
            else:
                self._size_bytes += len(encoded)
                self._lines.append(encoded)

    def close(self) -> None:
        """Write what waits. If nobody reads it, give up after a second."""
        self._is_over.set()
        if self._fd is not None:
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while not self._is_over.wait(FLUSH_S):
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Write until all is written or a write fails."""
        if not self._rest:
            self._rest = memoryview(self._take())
        while self._rest and self._fd is not None:
            try:
                written = os.write(self._fd, self._rest)
            except OSError:
                return
            self._rest = self._rest[written:]

    def _take(self) -> bytes:
        with self._lock:
            lines, self._lines, self._size_bytes = self._lines, [], 0
            dropped, self._dropped = self._dropped, 0
        if dropped:
            lines.append(log.text("warning", dropped_lines=dropped).encode())
        return b"".join(lines)


class Handler(logging.Handler):
    """Turns what libraries log into lines of the log, so that none of them writes to stdout or stderr by itself."""

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        message = self.format(record).encode(errors="replace").decode()
        log.line(record.levelname.lower(), logger=record.name, message=message)
