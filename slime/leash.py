"""A script that ends with the process that began it: python -m slime.leash SCRIPT [WORD ...].

Whoever begins it holds the other end of its standard input. When that end is closed, by will or
because its holder was killed, the script is interrupted as by Ctrl-C, and ended where it does not
heed that.
"""

import _thread
import os
import runpy
import signal
import sys
import threading
from pathlib import Path

GRACE_S = 30.0  # for an interrupted script to save what it has


def main(words: list[str]) -> None:
    """Run the script `words[0]` as `python` would, with the other words as its arguments."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # begun in the background, it is off
    threading.Thread(target=_watch, args=(sys.stdin.fileno(),), daemon=True).start()
    sys.argv = words
    sys.path[0] = str(Path(words[0]).resolve().parent)
    runpy.run_path(words[0], run_name="__main__")


def _watch(line: int) -> None:
    while os.read(line, 1):
        pass
    if hasattr(signal, "pthread_kill"):  # wakes the main thread, wherever it waits
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
    threading.Event().wait(GRACE_S)
    os._exit(130)


if __name__ == "__main__":
    main(sys.argv[1:])
