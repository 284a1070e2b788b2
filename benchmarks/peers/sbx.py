"""SBX: Stable-Baselines3's interface over JAX."""

# pyright: reportMissingImports=false

from sbx import DQN

from benchmarks.peers.sb3 import main

if __name__ == "__main__":
    main(DQN)
