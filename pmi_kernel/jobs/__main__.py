"""The process of a background job; `launch` starts it."""

import json
import os
import signal
import sys
import time

from pmi_kernel.core.errors import PmiError
from pmi_kernel.core.folder import writable
from pmi_kernel.jobs.job import STOPPING, VERBS, Request

_INTERRUPTED = 130
"""Exit status after an interrupt."""


def _main(verb: str, lock: int, request: Request) -> int:
    def say(text: str) -> None:
        sys.stderr.write(time.strftime("%H:%M:%S ") + writable(text) + "\n")
        sys.stderr.flush()

    def heed_signals(*_: object) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.set_inheritable(lock, False)
    try:
        say(VERBS[verb].load().work(request, lock=lock, on_start=heed_signals, say=say))
    except PmiError as error:
        say(f"failed: {error}")
        return 2
    except KeyboardInterrupt:
        say("interrupted")
        return _INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])))
