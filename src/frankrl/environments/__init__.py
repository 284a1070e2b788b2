"""Environments: make them, check what they return, step many together, restore them."""

from frankrl.environments import cartpole_positions, nine_squares, repeat_after_me
from frankrl.environments.checked_env import CheckedEnv, EnvStep
from frankrl.environments.described_by_data import described_by_data
from frankrl.environments.describing import (
    describe,
    describe_for,
    described_for_evaluation,
    for_evaluation,
)
from frankrl.environments.env_group import EnvGroup, Worker, WorkerDiedError
from frankrl.environments.episode_record import EnvironmentLog, Position
from frankrl.environments.final_info import SUCCESS, finite_number
from frankrl.environments.frame_stack import FrameStack
from frankrl.environments.from_code import exists_already, given_again, named_env, objects_among
from frankrl.environments.functional import functional_of
from frankrl.environments.functional import register as register_functional
from frankrl.environments.gymnasium_vector import GymnasiumVector
from frankrl.environments.leaves import Leaf, Structure, together
from frankrl.environments.make import WorkerPool, make_vector, start_worker_pool
from frankrl.environments.picture_axes import PictureAxes, picture_axes
from frankrl.environments.protocol import spec_fingerprint
from frankrl.environments.single import make_environment
from frankrl.environments.spec import DIGEST_BYTES, EnvironmentSpec
from frankrl.environments.stacked import stacked_environment
from frankrl.environments.stored_spec import spec_from_data, spec_to_data
from frankrl.environments.symmetry import Symmetry, images_under
from frankrl.environments.symmetry_check import broken_symmetry, check_symmetries
from frankrl.environments.trial import Trial, try_out
from frankrl.environments.vector import EnvironmentVector

for _world in (nine_squares, repeat_after_me, cartpole_positions):
    _world.register()
register_functional()

__all__ = [
    "DIGEST_BYTES",
    "SUCCESS",
    "CheckedEnv",
    "EnvGroup",
    "EnvStep",
    "EnvironmentLog",
    "EnvironmentSpec",
    "EnvironmentVector",
    "FrameStack",
    "GymnasiumVector",
    "Leaf",
    "PictureAxes",
    "Position",
    "Structure",
    "Symmetry",
    "Trial",
    "Worker",
    "WorkerDiedError",
    "WorkerPool",
    "broken_symmetry",
    "check_symmetries",
    "describe",
    "describe_for",
    "described_by_data",
    "described_for_evaluation",
    "exists_already",
    "finite_number",
    "for_evaluation",
    "functional_of",
    "given_again",
    "images_under",
    "make_environment",
    "make_vector",
    "named_env",
    "objects_among",
    "picture_axes",
    "spec_fingerprint",
    "spec_from_data",
    "spec_to_data",
    "stacked_environment",
    "start_worker_pool",
    "together",
    "try_out",
]
