"""Agents with random parameters for any spaces, and what their ONNX graphs answer."""

import jax
import numpy as np
import onnxruntime
from gymnasium import spaces
from gymnasium.vector.utils import batch_space

from frankrl.agent import Agent
from frankrl.config import Settings
from frankrl.core.normalisation import LeafScale, Scales
from frankrl.environments import EnvironmentSpec
from frankrl.environments.facts import EnvironmentFacts, spec_of
from frankrl.environments.preprocessing import Preprocessing
from frankrl.experience import HostPolicy, NormalisedQValues
from frankrl.experience.normaliser import is_normalised
from frankrl.exporting.inputs import MASK, inputs_of
from frankrl.exporting.onnx_file import onnx_file
from frankrl.learning import network_for

FACTS = {"frank_version": "0"}


def spec_for(
    space: spaces.Space, *, actions: int = 4, first_action: int = 0, mask: str = "", stack: int = 1
) -> EnvironmentSpec:
    """The description of an environment with these spaces; with `mask`, its info holds one."""
    facts = EnvironmentFacts(
        observation_space=space,
        action_space=spaces.Discrete(actions, start=first_action),
        reward_threshold=None,
        mask_outside=lambda: ("info", mask) if mask else ("nowhere", ""),
        made_by="",
        can_be_filmed=False,
        has_time_limit=True,
        running_statistics=(),
        own_action_names=(),
    )
    return spec_of(facts, "Spaces-v0", {}, "auto", Preprocessing(frame_stack=stack))


def agent_of(spec: EnvironmentSpec, **changes) -> Agent:
    """An agent of a network with random parameters, whatever their initial values."""
    widths = {} if "q_function" in changes else {"hidden_widths": (9, 7)}
    settings = Settings().with_changes(**{**widths, **changes})
    network = network_for(settings, spec)
    random = np.random.default_rng(1)
    params = jax.tree.map(
        lambda array: (array + random.normal(size=array.shape) / len(array)).astype(np.float32),
        network.init(0),
    )
    policy = HostPolicy(network)
    policy.load(network.layout.flatten(params))
    agent = Agent(spec, policy.q_values, 0.0)
    agent.policy, agent.scales = policy, None
    return agent


def normalising_agent_of(spec: EnvironmentSpec, *, clip: float, **changes) -> Agent:
    """Such an agent that normalises every leaf of real numbers by statistics drawn at random."""
    agent, random = agent_of(spec, **changes), np.random.default_rng(2)

    def drawn(leaf) -> LeafScale | None:
        if not is_normalised(leaf.dtype):
            return None
        mean, factor = random.normal(size=leaf.shape), random.uniform(0.1, 3, leaf.shape)
        return LeafScale(np.asarray(mean, np.float32), np.asarray(factor, np.float32))

    leaves = tuple(map(drawn, spec.leaves))
    agent.scales = Scales(leaves, np.float32(clip), None, np.float32(1))
    agent.batch_q_values = NormalisedQValues(agent.policy, agent.scales)
    return agent


def observations_of(spec: EnvironmentSpec, count: int, seed: int = 0):
    """Random observations in the environment's own form, and action masks or None."""
    space, stack = spec.observation_space, spec.preprocessing.frame_stack
    batch = batch_space(batch_space(space, stack) if stack > 1 else space, count)
    batch.seed(seed)
    found = batch.sample()
    allowed = np.random.default_rng(seed).random((count, spec.num_actions)) < 0.6
    allowed[np.arange(count), np.arange(count) % spec.num_actions] = True
    if spec.mask_entries is not None:
        found = dict(found)
        found[spec.mask_entries.mask] = allowed.astype(np.int8)
    return found, allowed if spec.is_masked else None


def session_of(content: bytes) -> onnxruntime.InferenceSession:
    """The graph in onnxruntime, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def graph_of(agent: Agent) -> bytes:
    """The agent's ONNX file."""
    return onnx_file(agent.policy.network, agent.policy.params, agent.scales, agent.spec, FACTS)


def feed_of(spec: EnvironmentSpec, observations, allowed):
    """The inputs of the graph: the entries of the observations as they are, by name."""
    parts, _ = spec.parts(observations, {}, ValueError)
    feed = {source.name: part for source, part in zip(inputs_of(spec), parts, strict=True)}
    return feed if allowed is None else feed | {MASK: allowed}


def asked(agent: Agent, observations, allowed):
    """The Q-values of the agent itself."""
    return agent.q_values(observations, allowed if agent.spec.masks_from == "info" else None)
