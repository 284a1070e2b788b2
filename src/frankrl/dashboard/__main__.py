"""`python -m frankrl.dashboard FOLDER`: serve the page until standard input ends."""

import sys
from pathlib import Path

from frankrl.dashboard.serving import listen, serve

if __name__ == "__main__":
    serve(Path(sys.argv[1]), listen("127.0.0.1", 0), opened=False, with_parent=True)
