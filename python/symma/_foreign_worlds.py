"""PettingZoo's parallel environments and Gymnasium's, as a world of the engine: one object a copy, made by a factory."""
from __future__ import annotations

import inspect
import math
from typing import Any, Callable, Mapping

import numpy as np

from . import _engine
from .errors import UserError

# What every such world has beside the factory's own options.
OPTIONS = [
    ("limit", 0, "steps until an episode is cut off; 0: as the environment says, or 1000"),
    ("auto_reset", True, "whether a copy that ended starts its next episode within the same step"),
    ("first_copy", 0, "number of the first copy's random stream, for copies spread over objects"),
    ("leaving", False, "whether agents may leave before their episode ends"),
    ("common_reward", False, "whether every agent is handed the team's reward"),
]


class _Alone:
    """A Gymnasium environment as one of PettingZoo's with one agent."""

    def __init__(self, env: Any):
        self.env, self.possible_agents, self.agents = env, ["agent_0"], []

    def observation_space(self, agent):
        return self.env.observation_space

    def action_space(self, agent):
        return self.env.action_space

    def reset(self, seed=None):
        obs, info = self.env.reset(seed=seed)
        self.agents = ["agent_0"]
        return {"agent_0": obs}, {"agent_0": info}

    def step(self, actions):
        obs, reward, terminated, truncated, info = self.env.step(actions["agent_0"])
        if terminated or truncated:
            self.agents = []
        return tuple({"agent_0": v} for v in (obs, reward, bool(terminated), bool(truncated), info))


def ranges_of(task_parameters: Any, factory: Callable, origin: str) -> dict[str, dict]:
    """{name: (low, high)} or {name: {"train": (low, high), "test": ..., "ood": ...}}, each with all three ranges.

    Raises UserError for a range that is none, and for a name that the factory does not take.
    """
    task_parameters = {} if task_parameters is None else task_parameters
    if not isinstance(task_parameters, Mapping):
        raise UserError(origin, f"task_parameters are {task_parameters!r}", 'give {"name": (low, high)}')
    takes = inspect.signature(factory).parameters
    anything = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    out = {}
    for name, given in task_parameters.items():
        place = f"{origin}, task_parameters, {name}"
        if name not in takes and not anything:
            raise UserError(place, "is no argument of the factory", "one of " + ", ".join(takes) if takes else "it takes none")
        given = given if isinstance(given, Mapping) else {"train": given}
        unknown = [split for split in given if split not in ("train", "test", "ood")]
        if unknown or "train" not in given:
            raise UserError(place, f"has {unknown[0]!r}" if unknown else "has no train", "give ranges of train, and of test and ood where they differ")
        ranges = {split: _range(r, f"{place}, {split}" if len(given) > 1 else place) for split, r in given.items()}
        out[name] = {split: ranges.get(split, ranges["train"]) for split in ("train", "test", "ood")}
    return out


def _range(given: Any, place: str) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in given)
    except (TypeError, ValueError):
        raise UserError(place, f"is {given!r}", "give (low, high)") from None
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise UserError(place, f"is {given!r}", "give two finite numbers, the lower one first")
    return low, high


class Copies:
    """E objects, stepped one after another; fills the arrays of a frame."""

    def __init__(self, name: str, factory: Callable, task_parameters: Any, options: dict, copies: int):
        import gymnasium

        self.name, self.factory = name, factory
        own = {k: options.pop(k) for k, _, _ in OPTIONS if k in options}
        self.options = options
        self.ranges = ranges_of(task_parameters, factory, name)
        self.constants: list[dict] = [{} for _ in range(copies)]
        self.spaces = gymnasium.spaces
        self.flatten = gymnasium.spaces.utils.flatten
        self.envs = [self._make(e) for e in range(copies)]
        env = self.envs[0]
        self.agents = list(env.possible_agents)
        obs = [self._seen(env.observation_space(a)) for a in self.agents]
        acts = [env.action_space(a) for a in self.agents]
        sizes = [int(gymnasium.spaces.utils.flatdim(s)) for s in obs]
        self.obs_spaces, self.sizes, self.D = obs, sizes, max(sizes)
        self.discrete = all(isinstance(s, gymnasium.spaces.Discrete) for s in acts)
        if not self.discrete and not all(isinstance(s, gymnasium.spaces.Box) and len(s.shape) == 1 for s in acts):
            raise UserError(name, f"has actions {acts[0]}", "actions are Discrete for all agents, or Box of one dimension")
        counts = [int(s.n) if self.discrete else s.shape[0] for s in acts]
        self.starts = [int(s.start) if self.discrete else 0 for s in acts]
        self.n, self.counts = max(counts), counts
        self.limit = own.get("limit") or getattr(getattr(env, "env", env), "max_cycles", 0) or self._limit(env) or 1000
        self.auto_reset, self.first = own.get("auto_reset", True), own.get("first_copy", 0)
        self.leaving, self.common = own.get("leaving", False), own.get("common_reward", False)
        low, high = [], []
        if not self.discrete:
            for s in acts:
                pad = [-1.0] * (self.n - s.shape[0]), [1.0] * (self.n - s.shape[0])
                low += [float(v) for v in s.low] + pad[0]
                high += [float(v) for v in s.high] + pad[1]
        shape = obs[0].shape if all(isinstance(s, gymnasium.spaces.Box) and s.shape == obs[0].shape for s in obs) else (self.D,)
        values = self._values()
        self.spec = {
            "agents": len(self.agents), "obs": self.D, "actions": self.n, "continuous": not self.discrete, "leaving": self.leaving,
            "limit": self.limit, "common_reward": self.common, "agent_names": [str(a) for a in self.agents],
            "action_names": [f"action {i}" for i in range(self.n)], "agent_obs": sizes, "agent_actions": counts,
            "obs_shape": list(shape) or [1], "action_low": low, "action_high": high,
            "parameters": [{"name": p, "doc": "of the factory", "value": values[p], "whole": isinstance(values[p], int), **r} for p, r in self.ranges.items()],
        }
        self.keys = [None] * copies
        self.episodes, self.clocks, self.ended = [0] * copies, [0] * copies, [True] * copies

    def _values(self) -> dict:
        defaults = {k: p.default for k, p in inspect.signature(self.factory).parameters.items()}
        out = {}
        for p, r in self.ranges.items():
            value = self.options.get(p, defaults.get(p, r["train"][0]))
            out[p] = value if isinstance(value, (int, float)) else r["train"][0]
        return out

    @staticmethod
    def _limit(env: Any) -> int:
        spec = getattr(getattr(env, "env", env), "spec", None)
        return int(getattr(spec, "max_episode_steps", 0) or 0)

    def _make(self, copy: int) -> Any:
        env = self.factory(**{**self.options, **self.constants[copy]})
        if hasattr(env, "possible_agents"):
            if hasattr(env, "agent_iter"):
                raise UserError(self.name, "is an AEC environment", "wrap it in pettingzoo.utils.aec_to_parallel")
            return env
        if hasattr(env, "step") and hasattr(env, "observation_space"):
            return _Alone(env)
        raise UserError(self.name, f"the factory made a {type(env).__name__}", "make a PettingZoo parallel environment or a Gymnasium environment")

    def _seen(self, space: Any) -> Any:
        if isinstance(space, self.spaces.Dict) and "action_mask" in space.spaces and "observation" in space.spaces:
            return space["observation"]
        return space

    # ---- what the engine calls

    def reset(self, key: _engine.Key, frame: dict) -> None:
        for e in range(len(self.envs)):
            self.keys[e], self.episodes[e] = key.split("copy", self.first + e), 0
            self._start(e, frame)
        self._quiet(frame, slice(None))

    def reset_copies(self, which: np.ndarray, frame: dict) -> None:
        if self.keys[0] is None:
            raise UserError(self.name, "was asked for the next episode before its first one began", "call reset with a seed first")
        for e in np.flatnonzero(which):
            self._start(int(e), frame)
            self._quiet(frame, int(e))

    def set_tasks(self, tasks: np.ndarray) -> None:
        names = list(self.ranges)
        whole = [isinstance(v, int) for v in self._values().values()]
        for e, row in enumerate(tasks):
            self.constants[e] = {n: int(v) if w else float(v) for n, v, w in zip(names, row, whole)}
        self._fresh = [True] * len(self.envs)

    def step(self, actions: np.ndarray, frame: dict) -> None:
        if self.keys[0] is None:
            raise UserError(self.name, "was asked to step before its first episode began", "call reset first")
        self._check(actions, frame)
        frame["reward"][...] = 0
        for e, env in enumerate(self.envs):
            if self.ended[e]:
                continue
            there = list(env.agents)
            obs, reward, term, trunc, info = env.step({a: self._action(actions, e, a) for a in there})
            self.clocks[e] += 1
            for a in there:
                self._earn(e, frame, a, reward.get(a, 0.0))
            over = [a for a in there if term.get(a) or trunc.get(a) or a not in env.agents]
            staying = [a for a in there if a not in over]
            ended = not staying
            if over and staying and not self.leaving:
                raise UserError(self.name, f"{over[0]} left before its episode ended", "register it with leaving=True")
            cut = not ended and self.clocks[e] >= self.limit
            truncated = ended and not any(term.get(a) for a in there)
            self._show(e, frame, obs, info)
            frame["terminated"][e], frame["truncated"][e] = ended and not truncated, cut or truncated
            if not (ended or cut):
                continue
            frame["final_obs"][e] = frame["obs"][e]
            if self.leaving:
                frame["final_present"][e] = frame["present"][e]
            self.ended[e] = True
            if self.auto_reset:
                self._start(e, frame)

    # ---- inside

    def _start(self, e: int, frame: dict) -> None:
        if getattr(self, "_fresh", None) and self._fresh[e]:
            self.envs[e], self._fresh[e] = self._make(e), False
        seed = self.keys[e].split("episode", self.episodes[e]).seed % 2**31
        self.episodes[e] += 1
        self.clocks[e], self.ended[e] = 0, False
        obs, info = self.envs[e].reset(seed=seed)
        self._show(e, frame, obs, info)

    def _quiet(self, frame: dict, at: Any) -> None:
        for name in ("reward", "terminated", "truncated"):
            frame[name][at] = 0

    def _show(self, e: int, frame: dict, obs: dict, info: dict) -> None:
        there = self.envs[e].agents
        for i, a in enumerate(self.agents):
            if self.leaving:
                frame["present"][e, i] = a in there
            if a not in obs:
                continue
            o = obs[a]
            mask = info.get(a, {}).get("action_mask") if isinstance(info.get(a), dict) else None
            if isinstance(o, dict) and "observation" in o and "action_mask" in o:
                o, mask = o["observation"], o["action_mask"]
            flat = self.flatten(self.obs_spaces[i], o)
            if len(flat) != self.sizes[i]:
                raise UserError(f"{self.name}, copy {e}, {a}", f"observes {len(flat)} numbers", f"its space has {self.sizes[i]}")
            seen = frame["obs"][e, i]
            seen[:len(flat)] = flat
            # One that is not finite would make every parameter so, and a score of what is left would look like any other.
            if not np.isfinite(seen).all():
                raise UserError(f"{self.name}, copy {e}, {a}", f"observes {seen[~np.isfinite(seen)][0]}", "return finite observations")
            if mask is not None and self.discrete:
                frame["mask"][e, i, :self.counts[i]] = np.asarray(mask, dtype=bool)

    def _earn(self, e: int, frame: dict, agent: Any, reward: Any) -> None:
        i = self.agents.index(agent)
        try:
            frame["reward"][e, i] = float(reward)
        except (TypeError, ValueError):
            raise UserError(f"{self.name}, copy {e}, {agent}", f"earns {reward!r}", "return a number") from None
        if not math.isfinite(frame["reward"][e, i]):
            raise UserError(f"{self.name}, copy {e}, {agent}", f"earns {reward}", "return finite rewards")

    def _action(self, actions: np.ndarray, e: int, agent: Any) -> Any:
        i = self.agents.index(agent)
        if self.discrete:
            return int(actions[e, i]) + self.starts[i]
        space = self.envs[e].action_space(agent)
        return np.clip(actions[e, i, :self.counts[i]], space.low, space.high).astype(space.dtype)

    def _check(self, actions: np.ndarray, frame: dict) -> None:
        live = ~np.asarray(self.ended)[:, None]
        if self.leaving:
            live = live & frame["present"]
        if self.discrete:
            inside = (actions >= 0) & (actions < self.n)
            good = inside & np.take_along_axis(frame["mask"], np.where(inside, actions, 0)[..., None], 2)[..., 0]
        else:
            good = np.isfinite(actions).all(-1)
        bad = np.argwhere(live & ~good)
        if len(bad):
            e, i = bad[0]
            raise UserError(f"{self.name}, copy {e}, {self.agents[i]}", f"action {actions[e, i]} is not allowed", "give one that the mask allows" if self.discrete else "give finite numbers")
