import subprocess
import sys

import psutil

from tests.processes import ending_what_starts

ORPHAN = (
    "import subprocess; print(subprocess.Popen(['sleep', '1000'], start_new_session=True,"
    " stdout=subprocess.DEVNULL).pid)"
)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_a_test_started_ends_with_it_whoever_its_parent_is_now() -> None:
    with ending_what_starts():
        done = subprocess.run([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, check=True)
        with ending_what_starts():
            pass
        assert lives(int(done.stdout))
    assert not lives(int(done.stdout))
