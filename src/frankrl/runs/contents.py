"""The files that a run, or its download, writes into its folder, told from all others."""

import os
import re
from pathlib import Path

_HIDDEN = r"\.[^/]+\.new-\d+\.(mkv|mp4|gif|png)"
_CHECKPOINT = r"(\d+|\.\d+\.(new|old|gone|damaged))"
_FILES = (
    r"\.lock|config\.toml|\.config\.toml\.new|report\.json|\.report\.json\.new",
    r"initial_network\.safetensors",
    r"metrics\.sqlite(-wal|-shm|-journal)?",
    rf"plot\.png|{_HIDDEN}",
    rf"videos/(\d+-s\d+\.(mp4|gif)|{_HIDDEN})",
    r"trackers/(\w[\w.-]*\.json|\.\w[\w.-]*\.json\.new)",
    r"trackers/\w[\w.-]*/.+",
    rf"(checkpoints|best)/{_CHECKPOINT}/([a-z_]+\.safetensors|state\.json|manifest\.json)",
    rf"checkpoints/{_CHECKPOINT}/(steps|endings)-\d+\.zst",
    r"hub/(README\.md|(results|config|manifest|source)\.json|replay\.mp4)",
)
_OWN_FILE = re.compile("|".join(f"({pattern})" for pattern in _FILES))
_OWN_FOLDER = re.compile(
    rf"videos|checkpoints|best|hub|trackers(/\w[\w.-]*(/.+)?)?|(checkpoints|best)/{_CHECKPOINT}"
)


def others_in(run: Path) -> list[str]:
    """The entries of a run folder that no run writes, relative to it; a folder as a whole.

    Raises:
        OSError: the folder cannot be read.
    """
    found, waiting = [], [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(run / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder and _OWN_FOLDER.fullmatch(name):
                    waiting.append(name)
                elif not entry.is_file(follow_symlinks=False) or not _OWN_FILE.fullmatch(name):
                    found.append(f"{name}/" if is_folder else name)
    return sorted(found)
