"""The sample program of the field, nearly word for word: a model, a meta-learner, a multi-agent environment that hands out each
task's data, epochs over tasks, and an accuracy for each; with chance, and the accuracy before adapting, beside it.

    PYTHONPATH=build/release/python build/venv/bin/python examples/article.py
"""
import sys

import numpy as np

import symma


class MultiAgentEnv(symma.TaskFamily):
    """Each task has three blobs of points in the plane; each agent sees blobs of its own quarter of the plane."""

    inputs, classes = 2, 3

    def get_task_data(self, agent, key):
        turn = np.pi / 2 * (agent if agent >= 0 else int(key.split("quarter").uniform([1], 0, 4)[0]))
        centres = np.array([np.cos(turn), np.sin(turn)]) + key.normal([3, 2])
        labels = np.tile(np.arange(3), 10)
        points = centres[labels] + 0.3 * key.split("noise").normal([30, 2])
        return points[:15], labels[:15], points[15:], labels[15:]

    def sample(self, agent, key):
        return self.get_task_data(agent, key)


def main(epochs=300):
    env = MultiAgentEnv()
    model = {"kind": "mlp", "hidden": [32, 32]}
    meta_learner = {"kind": "maml", "inner_lr": 0.1, "inner_steps": 3, "meta_lr": 0.003}
    fleet = symma.Fleet(model, meta_learner, env, exchange="full", agents=4)

    for epoch in range(epochs):
        tasks = fleet.sample()
        fleet.step(tasks)          # every agent learns from its own tasks
        fleet.exchange()           # and takes the mean of what all have learned

    tasks = fleet.sample("test")   # one for each agent, unseen
    before, after = (tasks.tasks.score(rows)["accuracy"] for rows in fleet.adapt(tasks, steps=[0, 10]))
    for i in range(len(after)):
        print(f"Task {i}: Accuracy = {after[i]:.2f}   (before adapting {before[i]:.2f}, by chance {1 / env.classes:.2f})")
    return before, after


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
