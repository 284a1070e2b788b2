"""Opens shared storage by its address."""

import os

from frankrl.core.errors import MissingExtraError, StorageError
from frankrl.core.paths import given_path
from frankrl.core.text import given, shown
from frankrl.core.wording import option
from frankrl.runs.publishing.folder_storage import FolderStorage
from frankrl.runs.publishing.remote_storage import RemoteStorage
from frankrl.runs.publishing.storage import Storage

_PACKAGES = {
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    "az": ("adlfs", "azure"),
    "abfs": ("adlfs", "azure"),
    "memory": ("fsspec", "remote-storage"),
}
"""Protocols whose stores create a file only if there is none, in one step; the package behind each,
and the extra that installs it."""


def open_storage(address: str | os.PathLike[str]) -> Storage:
    """The shared storage at an address; nothing is written.

    Args:
        address: a folder, or an address such as `s3://bucket/folder`.

    Raises:
        MissingExtraError: fsspec, or the package of its protocol, is not installed.
        SettingError: it is no path.
        StorageError: the protocol is unknown, or the store cannot be opened.
    """
    protocol, separator, rest = str(address).partition("://")
    if not separator:
        return FolderStorage(given_path(address, option("publish")).absolute())
    if protocol not in _PACKAGES:
        raise StorageError(
            f"{option('publish')} takes a folder, or an address that begins with "
            f"{', '.join(f'{name}://' for name in _PACKAGES)}; got {given(str(address))}"
        )
    if not rest.strip("/"):
        raise StorageError(
            f"{address} names no place in the store: give {protocol}://BUCKET/FOLDER"
        )
    feature, (package, extra) = f"an address of {protocol}://", _PACKAGES[protocol]
    try:
        import fsspec
    except ImportError:
        raise MissingExtraError(feature, "fsspec", extra) from None
    try:
        files = fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError:
        raise MissingExtraError(feature, package, extra) from None
    except Exception as error:
        raise StorageError(f"{address} cannot be opened: {shown(error, 500)}") from error
    clean = str(address).rstrip("/")
    return RemoteStorage(clean, files, files._strip_protocol(clean))
