"""The engine's worlds as Gymnasium's vector environments and PettingZoo's parallel ones, and the arrays beneath."""
from __future__ import annotations

import functools
from typing import Any, Mapping, Optional

import gymnasium
import numpy as np
import pettingzoo

from . import _engine
from ._arrays import numbers
from ._picture import picture
from .errors import UserError
from .parts import _names, kind_of


def _world(kind: Any, copies: int, settings: dict) -> _engine.World:
    if not isinstance(kind, str):
        kind = kind_of("Env", kind)
    if isinstance(copies, bool) or not isinstance(copies, (int, np.integer)):
        raise UserError("num_envs", f"is {copies!r}", "give a whole number")
    return _engine.World(kind, int(copies), settings)


def _seed_of(seed: Optional[int], rng: Any) -> int:
    if seed is None:
        return int(rng.integers(2**63))
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise UserError("seed", f"is {seed!r}", "give a whole number of 0 or more")
    return int(seed)


def _options(options: Any, *known: str) -> Mapping:
    """What reset is told, if it is told it in words that it knows."""
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise UserError("options", f"is {options!r}", "give a dict of " + ", ".join(known))
    for key in options:
        if key not in known:
            raise UserError(f"options, {key}", "is not known", "one of " + ", ".join(known))
    return options


def _tasks(world: _engine.World, options: Mapping, rng: Any) -> None:
    """options={"task": {"name": value}} or {"tasks": "train" | "test" | "ood" | [E, K] array} sets what next episodes are of."""
    if "task" in options and "tasks" in options:
        raise UserError("options", "has a task and tasks", "give one of them")
    names = [p["name"] for p in world.parameters]
    if "task" in options:
        row = [float(p["value"]) for p in world.parameters]
        if not isinstance(options["task"], Mapping):
            raise UserError("options, task", f"is {options['task']!r}", 'give {"name": value}' + (" of " + ", ".join(names) if names else "; this world has no task parameters"))
        for name, value in options["task"].items():
            if name not in names:
                raise UserError(f"options, task, {name}", "is not known", "one of " + ", ".join(names) if names else "this world has no task parameters")
            try:
                row[names.index(name)] = float(value)
            except (TypeError, ValueError):
                raise UserError(f"options, task, {name}", f"is {value!r}", "give a number") from None
        if row:
            world.set_tasks(np.tile(numbers(row, "options, task"), (world.spec["copies"], 1)))
    if "tasks" in options:
        tasks = options["tasks"]
        world.set_tasks(world.draw_tasks(tasks, int(rng.integers(2**63))) if isinstance(tasks, str) else numbers(tasks, "options, tasks"))


def _box(spec: dict, size: int, shape: tuple) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(spec["obs_low"], spec["obs_high"], shape, np.float32)


def _legal(actions: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Masked actions become the first that is allowed, as worlds do that take an illegal one for standing still."""
    outside = (actions < 0) | (actions >= mask.shape[-1])
    if outside.any():
        raise UserError("actions", f"one is {actions[outside][0]}", f"give whole numbers of 0 to {mask.shape[-1] - 1}")
    good = np.take_along_axis(mask, actions[..., None], -1)[..., 0]
    return actions if good.all() else np.where(good, actions, mask.argmax(-1))


class _Masked:
    """What worlds of both kinds do with an action that is masked (`illegal` is "first" or "error"), how they are drawn, and that they end."""

    closed = False

    def _choose(self, illegal: str, render_mode: Optional[str], *modes: str) -> None:
        if illegal not in ("first", "error"):
            raise UserError("illegal", f'"{illegal}" is not known', "one of first, error")
        if render_mode is not None and render_mode not in modes:
            raise UserError("render_mode", f"{render_mode!r} is not known", "one of " + ", ".join(modes))
        self._lenient, self.render_mode = illegal == "first", render_mode

    def _open(self) -> None:
        if self.closed:
            raise UserError(self.world.spec["name"], "is closed", "make another")

    def __reduce__(self):
        raise UserError(type(self).__name__, "cannot be sent to another process, or copied", "make one there, and send what makes it: lambda: symma.make_vec(...); world.save(copy) and restore carry where it stands")


class VectorEnv(_Masked, gymnasium.vector.VectorEnv):
    """E copies of a world, stepped together: gymnasium.vector.VectorEnv over all agents of each copy.

    Observations [E, A, D] float32, where A agents act in a copy; actions [E, A] int64, or [E, A, n] float32 where agents set
    numbers. Rewards [E] are the team's; info["reward"] [E, A] are each agent's. info["action_mask"] [E, A, n] says what may be
    done next, info["present"] [E, A] who is there. A copy that ended starts its next episode within the step (SAME_STEP):
    info["final_obs"] [E, A, D] then has what was seen last, where info["_final_obs"] [E] is true.
    Observations are copies unless `copy=False`: then they are views that the next step rewrites.
    """

    def __init__(self, kind: Any, num_envs: int = 1, *, illegal: str = "first", copy: bool = True, render_mode: Optional[str] = None, **settings: Any):
        self.world = _world(kind, num_envs, settings)
        self._choose(illegal, render_mode, "rgb_array")
        s = self.world.spec
        self.num_envs, self.players, self.agent_names = s["copies"], s["agents"], list(s["agent_names"])
        same = settings.get("auto_reset", True)
        mode = gymnasium.vector.AutoresetMode.SAME_STEP if same else gymnasium.vector.AutoresetMode.DISABLED
        self.metadata = {"autoreset_mode": mode, "render_modes": ["rgb_array"], "render_fps": 10}
        self.single_observation_space = _box(s, s["obs"], (s["agents"], s["obs"]))
        if s["continuous"]:
            low, high = (np.array(s[k], np.float32).reshape(s["agents"], s["actions"]) for k in ("action_low", "action_high"))
            self.single_action_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        else:
            self.single_action_space = gymnasium.spaces.MultiDiscrete(s["agent_actions"])
        batch = gymnasium.vector.utils.batch_space
        self.observation_space = batch(self.single_observation_space, self.num_envs)
        self.action_space = batch(self.single_action_space, self.num_envs)
        self._copy, self._common, self._discrete, self._begun = copy, s["common_reward"], not s["continuous"], False
        self._leaving = s["leaving"]
        self._foreign = ("Env", s["name"]) in _names

    def _info(self) -> dict:
        a = self._a
        info = {"action_mask": a["mask"].copy() if self._copy else a["mask"]}
        if self._leaving:
            info["present"] = a["present"].copy()
        return info

    def _seen(self) -> np.ndarray:
        return self._a["obs"].copy() if self._copy else self._a["obs"]

    def reset(self, *, seed: Optional[int] = None, options: Optional[dict] = None):
        """New episodes of all copies, or of those that options["reset_mask"] [E] names. Without a seed, the next episodes of the
        same streams."""
        self._open()
        options = _options(options, "task", "tasks", "reset_mask")
        if seed is not None:
            seed = _seed_of(seed, None)
        super().reset(seed=seed)
        _tasks(self.world, options, self.np_random)
        which = options.get("reset_mask")
        if seed is not None or not self._begun:
            if which is not None and not np.all(which):
                raise UserError("options, reset_mask", "names some copies, with a seed", "a seed begins anew for all; reset copies without one")
            self.world.reset(_seed_of(seed, self.np_random))
            self._a, self._begun = self.world.arrays(), True
        else:
            self.world.reset_copies(np.ones(self.num_envs, bool) if which is None else np.array(which))
        return self._seen(), self._info()

    def step(self, actions: Any):
        self._open()
        if not self._begun:
            raise UserError(self.world.spec["name"], "was asked to step before its first episode began", "call reset first")
        actions = _checked(actions, self._discrete)
        lenient = self._discrete and self._lenient and actions.shape == self._a["mask"].shape[:2]
        if lenient and self._foreign:
            actions = _legal(actions, self._a["mask"])
        try:
            self.world.step(actions)
        except UserError:
            # The engine's worlds look at every action themselves, and stand as they stood where one will not do.
            legal = _legal(actions, self._a["mask"]) if lenient else actions
            if legal is actions:
                raise
            self.world.step(legal)
        a = self._a
        reward = a["reward"]
        team = reward[:, 0].astype(np.float64)
        if not self._common and reward.shape[1] < 8:  # column by column is faster, and the same order
            for k in range(1, reward.shape[1]):
                team += reward[:, k]
        elif not self._common:
            team = reward.sum(1, dtype=np.float64)
        terminated, truncated = a["terminated"].copy(), a["truncated"].copy()
        info = self._info()
        info["reward"] = reward.copy()
        over = terminated | truncated
        if over.any():
            info["final_obs"], info["_final_obs"] = a["final_obs"].copy(), over
        return self._seen(), team, terminated, truncated, info

    def render(self):
        """A picture of each copy, [H, W, 3] uint8 each."""
        self._open()
        if self.render_mode != "rgb_array":
            return None
        return tuple(picture(self.world.svg(e)) for e in range(self.num_envs))

    def state(self) -> np.ndarray:
        """What all agents see, side by side: [E, S] float32."""
        return self._a["state"].copy()


def _checked(actions: Any, discrete: bool) -> np.ndarray:
    if hasattr(actions, "detach"):
        from ._arrays import to_numpy
        from ._checks import dense

        actions = to_numpy(dense(actions, "actions") if actions.device.type == "meta" else actions)
    a = np.asarray(actions)
    if a.dtype.kind not in ("iu" if discrete else "fiu"):
        raise UserError("actions", f"are of type {a.dtype}", "actions are " + ("int64, the number of one action for each agent" if discrete else "float32, the numbers that each agent sets"))
    return np.asarray(a, np.int64 if discrete else np.float32, order="C")


class Env(_Masked, gymnasium.Env):
    """One copy of a world as a gymnasium.Env whose actor moves all agents: observations [A, D], actions [A] or [A, n]."""

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 10}

    def __init__(self, kind: Any, *, render_mode: Optional[str] = None, illegal: str = "first", **settings: Any):
        self._choose(illegal, render_mode, *self.metadata["render_modes"])
        self.vector = VectorEnv(kind, 1, illegal=illegal, **{**settings, "auto_reset": False})
        self.world = self.vector.world
        self.observation_space, self.action_space = self.vector.single_observation_space, self.vector.single_action_space

    def reset(self, *, seed: Optional[int] = None, options: Optional[dict] = None):
        self._open()
        super().reset(seed=seed)
        options = _options(options, "task", "tasks")
        obs, info = self.vector.reset(seed=seed, options=options)
        return obs[0], {k: v[0] for k, v in info.items()}

    def step(self, action: Any):
        self._open()
        obs, reward, terminated, truncated, info = self.vector.step(np.asarray(action)[None])
        return obs[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), {k: v[0] for k, v in info.items() if "final_obs" not in k}

    def render(self):
        self._open()
        if self.render_mode == "ansi":
            return self.world.text(0)
        return picture(self.world.svg(0)) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        self.closed = True


class ParallelEnv(_Masked, pettingzoo.ParallelEnv):
    """One copy of a world as PettingZoo's parallel environment.

    Each agent has its own sizes and bounds. infos[agent]["action_mask"] [n] says what may be done next; a masked action is
    taken for the first that is allowed, unless illegal="error". A reset without a seed begins the next episode.
    """

    def __init__(self, kind: Any, *, render_mode: Optional[str] = None, illegal: str = "first", **settings: Any):
        self.world = _world(kind, 1, {**settings, "auto_reset": False})
        self._choose(illegal, render_mode, "rgb_array", "ansi")
        s = self._s = self.world.spec
        self.metadata = {"name": f"symma_{s['name']}", "render_modes": ["rgb_array", "ansi"], "is_parallelizable": True, "render_fps": 10}
        self.possible_agents = list(s["agent_names"])
        self.agents: list = []
        self.observation_spaces, self.action_spaces = {}, {}
        shape = tuple(s["obs_shape"])
        for i, a in enumerate(self.possible_agents):
            seen, n = s["agent_obs"][i], s["agent_actions"][i]
            self.observation_spaces[a] = _box(s, seen, shape if seen == s["obs"] else (seen,))
            if s["continuous"]:
                at = slice(i * s["actions"], i * s["actions"] + n)
                self.action_spaces[a] = gymnasium.spaces.Box(np.array(s["action_low"][at], np.float32), np.array(s["action_high"][at], np.float32), dtype=np.float32)
            else:
                self.action_spaces[a] = gymnasium.spaces.Discrete(n)
        self.state_space = _box(s, s["state"], (s["state"],))
        self._rng = np.random.default_rng()
        self._begun = False

    def observation_space(self, agent: str) -> gymnasium.Space:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.Space:
        return self.action_spaces[agent]

    def _there(self) -> list:
        if "present" not in self._a:
            return list(self.possible_agents)
        return [a for a, here in zip(self.possible_agents, self._a["present"][0]) if here]

    def _seen(self, agents: list) -> dict:
        at = self.possible_agents.index
        return {a: self._a["obs"][0, at(a), :self._s["agent_obs"][at(a)]].copy().reshape(self.observation_spaces[a].shape) for a in agents}

    def _infos(self, agents: list) -> dict:
        if self._s["continuous"]:
            return {a: {} for a in agents}
        at = self.possible_agents.index
        return {a: {"action_mask": self._a["mask"][0, at(a), :self._s["agent_actions"][at(a)]].astype(np.int8)} for a in agents}

    def reset(self, seed: Optional[int] = None, options: Optional[dict] = None):
        self._open()
        if seed is not None:
            self._rng = np.random.default_rng(_seed_of(seed, None))
        # PettingZoo's suites tell it {"options": 1}, and ask no more than that it be taken.
        options = {k: v for k, v in _options(options, "task", "tasks", "options").items() if k != "options"}
        _tasks(self.world, options, self._rng)
        if seed is not None or not self._begun:
            self.world.reset(_seed_of(seed, self._rng))
            self._a, self._begun = self.world.arrays(), True
        else:
            self.world.reset_copies(np.ones(1, bool))
        self.agents = self._there()
        return self._seen(self.agents), self._infos(self.agents)

    def step(self, actions: dict):
        self._open()
        if not self._begun:
            raise UserError(self._s["name"], "was asked to step before its first episode began", "call reset first")
        if not self.agents:
            return {}, {}, {}, {}, {}
        s, acting = self._s, list(self.agents)
        unknown = [a for a in actions if a not in self.possible_agents]
        if unknown:
            raise UserError("actions", f"are given for {unknown[0]!r}", "agents are " + ", ".join(self.possible_agents))
        both = np.zeros((1, s["agents"], s["actions"]), np.float32) if s["continuous"] else self._a["mask"].argmax(-1)
        for i, a in enumerate(self.possible_agents):
            if a not in acting:
                continue
            if a not in actions:
                raise UserError("actions", f"have none for {a}", "give an action for each of env.agents")
            given = _checked(actions[a], not s["continuous"])
            if given.shape != ((s["agent_actions"][i],) if s["continuous"] else ()):
                raise UserError(f"actions, {a}", f"has shape {list(given.shape)}", f"[{s['agent_actions'][i]}] would be right" if s["continuous"] else "give one number")
            if s["continuous"]:
                both[0, i, :len(given)] = given
            else:
                both[0, i] = given
        if not s["continuous"] and self._lenient:
            both = _legal(both, self._a["mask"])
        self.world.step(both)
        f = self._a
        ended, cut = bool(f["terminated"][0]), bool(f["truncated"][0])
        staying = [] if ended or cut else [a for a in self._there() if a in acting]
        rewards = {a: float(f["reward"][0, self.possible_agents.index(a)]) for a in acting}
        out = {a: a not in staying and not cut for a in acting}, {a: cut for a in acting}
        obs, infos = self._seen(acting), self._infos(acting)
        self.agents = staying
        return obs, rewards, *out, infos

    def state(self) -> np.ndarray:
        return self._a["state"][0].copy()

    def render(self):
        self._open()
        if self.render_mode == "ansi":
            return self.world.text(0)
        return picture(self.world.svg(0)) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        self.closed = True


def make_vec(kind: Any, num_envs: int = 1, **settings: Any) -> VectorEnv:
    """E copies of a world as a gymnasium.vector.VectorEnv. kind: a name of `symma.parts("Env")`, or a factory."""
    return VectorEnv(kind, num_envs, **settings)


def make(kind: Any, **settings: Any) -> Env:
    """One copy of a world as a gymnasium.Env that moves all agents together."""
    return Env(kind, **settings)


def parallel_env(kind: Any, **settings: Any) -> ParallelEnv:
    """One copy of a world as PettingZoo's ParallelEnv."""
    return ParallelEnv(kind, **settings)


def aec_env(kind: Any, **settings: Any) -> pettingzoo.AECEnv:
    """The same with agents that take turns: PettingZoo's AECEnv."""
    from pettingzoo.utils import parallel_to_aec

    return parallel_to_aec(ParallelEnv(kind, **settings))
