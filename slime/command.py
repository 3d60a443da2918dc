"""How every script ends: 0 done, 2 the user's mistake, 130 interrupted, else our bug."""

import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from slime.errors import SlimeError


def run_command(main: Callable[[Sequence[str]], int | None]) -> None:
    """Call `main` with the command line and leave with the exit code of what happened.

    A time limit (SIGTERM, as of timeout or Slurm) ends as Ctrl-C does.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = main(sys.argv[1:]) or 0
    except SlimeError as error:
        print(f"{_name()}: {' '.join(str(error).split())}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print(f"{_name()}: interrupted; what was finished is saved", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        code = 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS):
            raise
        print(f"{_name()}: {error}; what was finished is saved", file=sys.stderr)
        code = 2
    _leave(code)


def _leave(code: int) -> None:
    """End with a code; at once where a rank was lost, since torch may abort as it lets go of it."""
    sys.stdout.flush()
    ranks = sys.modules.get("torch.distributed")
    if code and ranks is not None and ranks.is_available() and ranks.is_initialized():
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _name() -> str:
    return Path(sys.argv[0]).name
