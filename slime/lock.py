"""One process at a time: a lock that the system lets go when its process ends, however it ends."""

from pathlib import Path

from filelock import FileLock, Timeout

from slime.errors import SlimeError


class HeldLock:
    """A lock file held from here until `release`, or the end of the process.

    Raises:
        SlimeError: another process holds it; `what` says of what.
    """

    def __init__(self, path: Path, what: str):
        self.path = path
        self._lock = FileLock(path)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise SlimeError(f"{what} is being written by another process") from error

    def release(self) -> None:
        """Let go; the file is removed."""
        self.path.unlink(missing_ok=True)
        self._lock.release()
