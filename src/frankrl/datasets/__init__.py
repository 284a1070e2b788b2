"""Data sets of whole episodes in Minari's form: read, checked and written; nothing is run."""

from frankrl.datasets.dataset import DataSet, open_dataset
from frankrl.datasets.records import DataEpisode, DataSetDescription
from frankrl.datasets.writing import check_place, write_dataset

__all__ = [
    "DataEpisode",
    "DataSet",
    "DataSetDescription",
    "check_place",
    "open_dataset",
    "write_dataset",
]
