# %% [markdown]
# # Your own environment: three robots, one PettingZoo file
#
# Three robots on a line share two chargers. The class is an ordinary PettingZoo parallel environment and knows nothing of symma. Registered, it is a world like
# any other: teams learn in it, its constants make tasks, and it comes back out as a vector environment.
# %%
import gymnasium
import numpy as np
import pettingzoo
import symma


class Chargers(pettingzoo.ParallelEnv):
    metadata = {"name": "chargers"}

    def __init__(self, apart=3.0):
        self.possible_agents = ["robot_0", "robot_1", "robot_2"]
        self.places = np.array([-apart, apart])
        self._obs = gymnasium.spaces.Box(-20, 20, (5,), np.float32)
        self._act = gymnasium.spaces.Discrete(3)  # left, stay, right

    def observation_space(self, agent):
        return self._obs

    def action_space(self, agent):
        return self._act

    def _seen(self):
        return {a: np.array([self.at[i], *np.delete(self.at, i), *self.places], np.float32) for i, a in enumerate(self.possible_agents)}

    def reset(self, seed=None, options=None):
        self.agents = list(self.possible_agents)
        self.at = np.random.default_rng(seed).uniform(-4, 4, 3)
        return self._seen(), {a: {} for a in self.agents}

    def step(self, actions):
        self.at = np.clip(self.at + [actions[a] - 1.0 for a in self.possible_agents], -10, 10)
        served = sum(float((np.abs(self.at - p) < 0.75).any()) for p in self.places)  # chargers in use
        return (self._seen(), {a: served / 3 for a in self.agents}, {a: False for a in self.agents}, {a: False for a in self.agents}, {a: {} for a in self.agents})


symma.register("chargers", Chargers, kind="Env", limit=12, task_parameters={"apart": (2.0, 4.0)}, replace=True)
run = symma.train(name="chargers", task={"kind": "control", "world": "chargers", "vary": ["apart"], "copies": 8}, model={"kind": "mlp", "hidden": [32]},
                  learner={"kind": "ippo", "lr": 3e-3}, agents=1, tasks=1, rounds=150, eval={"tasks": 50, "steps": [0]}, out="runs/chargers", force=True, progress=False)
returns = run.metrics["train/return"]
returns.iloc[:5].mean().round(1), returns.iloc[-5:].mean().round(1)   # the team's return of an episode: at first, at last (24 at most)
# %% [markdown]
# The same class as a vector environment, for whatever trains elsewhere:
# %%
env = symma.make_vec("chargers", num_envs=4)
obs, info = env.reset(seed=0)
obs, reward, terminated, truncated, info = env.step(env.action_space.sample())
obs.shape, reward.shape, info["action_mask"].shape
