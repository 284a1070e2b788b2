"""Train a lander, judge it, film it. Takes about 40 s on 2 cores."""

import frankrl

if __name__ == "__main__":
    result = frankrl.train(
        "LunarLander-v3",
        seed=0,
        until_solved=True,
        out="runs/first-landing",
        overwrite=True,
    )
    print(result)
    agent = frankrl.load(result)
    print(frankrl.evaluate(agent, episodes=20))
    print(frankrl.film(agent))
