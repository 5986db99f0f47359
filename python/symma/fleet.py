"""A fleet whose loop is in one's own hands: sample, step, exchange, adapt, evaluate."""
from __future__ import annotations

from typing import Any, Optional, Sequence

import numpy as np
import torch

from . import _checks, _engine
from ._arrays import numbers, tensor
from ._settings import experiment as _experiment
from .errors import UserError


class Fleet:
    """Agents as rows of a matrix.

    model, learner, tasks: the name of a kind, a dict of its settings, or a part of one's own (a torch.nn.Module, a
    symma.Learner, a symma.TaskFamily or a function from a key to arrays)
    exchange: a topology's name, or a dict of settings; none unless given
    settings: as those of an experiment file: agents=6, seed=1, aggregator="median", ...

        fleet = symma.Fleet("mlp", "maml", "sinusoid", exchange="ring", agents=4)
        for _ in range(1000):
            fleet.step(fleet.sample())
            fleet.exchange()

    does what 1000 x fleet.round() do, and what `symma.train` does, bit for bit.
    """

    def __init__(self, model: Any = "mlp", learner: Any = "maml", tasks: Any = "sinusoid", exchange: Any = None, *,
                 tasks_per_round: int = 4, **settings: Any):
        given = {"model": model, "learner": learner, "task": tasks, "tasks": tasks_per_round, **settings}
        if exchange is not None:
            given["exchange"] = exchange
        self.experiment = _experiment(None, given, "symma.Fleet")
        self._run = _engine.RunState(self.experiment)
        self.about = self.experiment.about
        self._evaluations = 0

    def __len__(self) -> int:
        return self.about["agents"]

    def __reduce__(self):
        raise UserError("symma.Fleet", "cannot be sent to another process, or copied", "make one there of the same settings; save(path) and load(path) carry what it has learned")

    @property
    def settings(self) -> dict:
        return self.about["settings"]

    @property
    def rounds(self) -> int:
        """Steps made so far."""
        return self._run.round

    @property
    def theta(self) -> torch.Tensor:
        """The agents' rows, [N, Q]: a copy. Assign a tensor of the same shape and type to replace them."""
        return self._run.theta.clone()

    @theta.setter
    def theta(self, rows: Any) -> None:
        if isinstance(rows, torch.Tensor):
            numbers(_checks.dense(rows, "theta"), "theta")
        else:
            rows = tensor(numbers(rows, "theta"), self._run.theta.dtype)
        self._run.theta = rows

    @property
    def state(self) -> _engine.State:
        """All that changes: id [N], theta [N, Q], steps [N], own {name: [N, ...]}."""
        return self._run.learner

    @property
    def bits(self) -> int:
        """Sent over all edges so far."""
        return self._run.bits

    @property
    def disagreement(self) -> float:
        return self._run.disagreement

    def sample(self, split: str = "train", agents: Optional[Sequence[int]] = None, key: Optional[_engine.Key] = None) -> _engine.Batch:
        """Tasks. Without arguments those of this round, for all who take part in it; else one of `split` for each entry of `agents`
        (-1: of everyone)."""
        if split == "train" and agents is None and key is None:
            return _engine.draw(self.experiment, self._run)
        if key is None:
            key = _engine.Key(self.about["seed"]).split("sample", self._run.round).split(split)
        agents = list(range(len(self))) if agents is None else _checks.wholes(agents, "agents", -1)
        return _engine.Batch.sample(self.experiment, agents, split, _checks.key(key, "key"))

    def step(self, batch: _engine.Batch) -> dict[str, np.ndarray]:
        """One update of every agent that has tasks in the batch. Returns what the learner tells, [n] each."""
        if not isinstance(batch, _engine.Batch):
            raise UserError("step", f"a {type(batch).__name__} is no batch", "give what fleet.sample() gave")
        if batch.agents and max(batch.agents) >= len(self):
            raise UserError("step", f"the batch is of agent {max(batch.agents)}, and there are {len(self)}", "give what this fleet's sample gave")
        return _engine.learn(self.experiment, self._run, batch)

    def exchange(self) -> None:
        """Mixes the rows along the graph, once, by the rules of the settings."""
        _engine.communicate(self.experiment, self._run)

    def round(self) -> None:
        """A whole round, as `symma.train` plays it."""
        _engine.round(self.experiment, self._run)

    def adapt(self, batch: Any, steps: Any = (0, 1, 5, 10), key: Optional[_engine.Key] = None) -> list[torch.Tensor]:
        """Rows after each of `steps` steps of adaptation, [B, P] each. The batch has as many tasks for each agent, agent by agent."""
        steps = _checks.wholes(steps, "steps")
        _checks.batch(batch, "adapt")
        key = _checks.key(key, "key") if key is not None else _engine.Key(self.about["seed"]).split("adapt")
        return _engine.adapt(self.experiment, self._run.learner, batch, steps, key)

    def evaluate(self, split: str = "test", tasks: Optional[int] = None, steps: Optional[Sequence[int]] = None) -> dict:
        """Every agent on unseen tasks: {"scores": {name: [agents, steps, tasks]}, "steps", "metric", "summary"}."""
        return _engine.evaluate(self.experiment, self._run, split, self.about["eval_tasks"] if tasks is None else _checks.whole(tasks, "tasks", 1),
                                self.about["steps"] if steps is None else _checks.wholes(steps, "steps"))

    def predict(self, rows: torch.Tensor, x: Any) -> torch.Tensor:
        """Outputs [B, K, out] of rows [B, P] at x [B, K, in...]."""
        rows = _checks.rows(rows, "rows", like=self._run.theta.dtype)
        if rows.shape[1] not in (self.about["parameters"], self._run.theta.shape[1]):
            raise UserError("rows", f"have {rows.shape[1]} columns", f"give rows [B, {self.about['parameters']}]")
        return self.experiment.forward(rows, _checks.points(x, "x", rows.shape[0], self.about["in"]).to(rows.dtype))

    def save(self, path: str) -> None:
        """A checkpoint: safetensors, which any of its readers opens."""
        self._run.save(str(path), self.experiment)

    def load(self, path: str) -> None:
        self._run = _engine.RunState.load(str(path), self.experiment)
