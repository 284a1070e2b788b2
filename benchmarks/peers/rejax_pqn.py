"""rejax's PQN."""

from benchmarks.peers.rejax_dqn import main

if __name__ == "__main__":
    main("pqn")
