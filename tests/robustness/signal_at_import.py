"""`frank` that sends itself a signal when it imports its n-th module.

Words: n, the signal's number, the run folder, a file, then `frank`'s own. With n = 0 no signal
is sent: the number of imports until the run folder exists is written to the file, and that is all.
"""

import os
import runpy
import signal
import sys
from pathlib import Path

at, number, folder, log = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
del sys.argv[1:5]
imports = 0


def count(event: str, _: object) -> None:
    """Python's audit hook: called at every import of a module that is not loaded yet."""
    global imports
    if event != "import":
        return
    if at == 0 and os.path.exists(folder):
        log.write_text(str(imports))
        os._exit(0)
    imports += 1
    if imports == at:
        os.kill(os.getpid(), number)


# Whoever was started in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.addaudithook(count)
runpy.run_module("frankrl", run_name="__main__", alter_sys=True)
