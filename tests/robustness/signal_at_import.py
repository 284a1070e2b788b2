"""`frank` that sends itself a signal when it imports its n-th module.

Words: n, the signal's number, the file to write the number of imports to, a folder, then
`frank`'s own. Imports count until the folder exists. With n = 0 no signal is sent.
"""

import atexit
import os
import runpy
import sys
from pathlib import Path

at, number, log, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
del sys.argv[1:5]
imports = 0


def count(event: str, _: object) -> None:
    """Python's audit hook: called at every import of a module that is not loaded yet."""
    global imports
    if event == "import" and not os.path.exists(folder):
        imports += 1
        if imports == at:
            os.kill(os.getpid(), number)


atexit.register(lambda: log.write_text(str(imports)))
sys.addaudithook(count)
runpy.run_module("frankrl", run_name="__main__", alter_sys=True)
