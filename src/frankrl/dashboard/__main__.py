"""`python -m frankrl.dashboard FOLDER PATH`: serve the page until standard input ends.

PATH is a JSON list of the folders in which the workers of the page find modules first. This
process takes no module from there.
"""

import json
import sys
from pathlib import Path

from frankrl.dashboard.serving import listen, serve

if __name__ == "__main__":
    serve(
        Path(sys.argv[1]),
        listen("127.0.0.1", 0),
        opened=False,
        module_path=json.loads(sys.argv[2]),
        with_parent=True,
    )
