"""The files that a run, or its download, writes into its folder, told from all others."""

import os
import re
from collections.abc import Collection
from pathlib import Path

_HIDDEN = r"\.[^/]+\.new-\d+\.(mkv|mp4|gif|png)"
_CHECKPOINT = r"(\d+|\.\d+\.(new|old|gone|damaged))"
_FILES = (
    r"\.lock|config\.toml|\.config\.toml\.new|report\.json|\.report\.json\.new",
    r"initial_network\.safetensors|publish\.json|\.publish\.json\.new",
    r"metrics\.sqlite(-wal|-shm|-journal)?",
    rf"plot\.png|{_HIDDEN}",
    rf"videos/(\d+-s\d+\.(mp4|gif)|{_HIDDEN})",
    r"trackers/(\w[\w.-]*\.json|\.\w[\w.-]*\.json\.new)",
    r"trackers/tensorboard/events\.[\w.-]+",
    rf"(checkpoints|best)/{_CHECKPOINT}/([a-z_]+\.safetensors|state\.json|manifest\.json)",
    rf"checkpoints/{_CHECKPOINT}/(steps|endings)-\d+\.zst",
    r"hub/(README\.md|(results|config|manifest|source)\.json|replay\.mp4)",
)
_OF_TRACKER = re.compile(r"trackers/([^/]+)(/.*)?")
_OWN_FILE = re.compile("|".join(f"({pattern})" for pattern in _FILES))
_OWN_FOLDER = re.compile(
    rf"videos|checkpoints|best|hub|trackers(/tensorboard)?|(checkpoints|best)/{_CHECKPOINT}"
)


def others_in(run: Path, trackers: Collection[str] = ()) -> list[str]:
    """The entries of a run folder that no run writes, relative to it; a folder as a whole.

    Args:
        run: the run folder.
        trackers: names of the run's trackers, to each of which a folder of its own belongs.

    Raises:
        OSError: the folder cannot be read.
    """

    def is_of_tracker(name: str) -> bool:
        place = _OF_TRACKER.fullmatch(name)
        return place is not None and place[1] in trackers

    found, waiting = [], [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(run / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                is_folder, is_file = (
                    kind(follow_symlinks=False) for kind in (entry.is_dir, entry.is_file)
                )
                known = _OWN_FOLDER if is_folder else _OWN_FILE
                is_own = is_of_tracker(name) or known.fullmatch(name) is not None
                if is_own and is_folder:
                    waiting.append(name)
                elif not (is_own and is_file):
                    found.append(f"{name}/" if is_folder else name)
    return sorted(found)
