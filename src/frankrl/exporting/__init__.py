"""Trained agents as files for other programs: ONNX graphs, and safetensors files of weights."""

from frankrl.exporting.export import check_files, export_network
from frankrl.exporting.trained_network import TrainedNetwork

__all__ = ["TrainedNetwork", "check_files", "export_network"]
