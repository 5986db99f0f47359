"""On Flower (pip install 'symma[flower]'): each agent a ClientApp, the exchange's server a ServerApp.

    app = symma.flower.client_app("exp.toml")           # in client_app.py; the node says which agent it is: --node-config 'agent=0'
    app = symma.flower.server_app("exp.toml")           # in server_app.py

What agents say to the server is what processes of one fleet say, and Flower carries it. So every rule, compression, privacy and
optimiser of the server that an experiment file can ask for is there, and a federation in which nobody dies learns the rows that
`symma.train` learns. `FedAvg` here is Flower's own strategy with our rules, for clients that are not symma's. docs/flower.md has the rest.
"""
from __future__ import annotations

import json
import os
import time
from logging import INFO, WARNING
from typing import Any, Iterable, Mapping, Optional

import numpy as np
import torch

try:
    import flwr  # noqa: F401
except ImportError:
    raise ImportError("symma.flower needs flwr: pip install 'symma[flower]'") from None

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common import Array, log
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg as _FedAvg, Strategy as _Strategy

from . import _engine
from ._arrays import to_numpy
from ._settings import experiment as _experiment, nested, over as _over
from .errors import UserError

__all__ = ["FedAvg", "Strategy", "client_app", "fedmeta", "per_fedavg", "server_app"]

_CONFIG, _STATE, _METRICS = "symma", "symma", "metrics"
_SECTIONS = ("task", "model", "learner", "exchange", "aggregator", "compression", "server", "privacy", "eval")
_PLAIN = ("rounds", "agents", "tasks", "seed", "name")


def per_fedavg(inner_lr: float = 0.01, inner_steps: int = 1, lr: float = 0.01, order: int = 1, every: int = 5) -> dict[str, Any]:
    """Settings of Per-FedAvg (Fallah et al. 2020, arXiv:2002.07948): agents make `every` steps of MAML with rate `lr`, and rows are averaged.
    order 1 drops the Hessian, as the paper's FO version does."""
    return {"learner": {"kind": "maml", "order": order, "inner_lr": inner_lr, "inner_steps": inner_steps, "optimizer": "sgd", "meta_lr": lr},
            "exchange": {"topology": "star", "every": every}}


def fedmeta(inner_lr: float = 0.01, inner_steps: int = 1, lr: float = 0.001, order: int = 2, optimizer: str = "adam") -> dict[str, Any]:
    """Settings of FedMeta (Chen et al. 2018, arXiv:1802.07876): agents send the meta-gradient at the server's row, and the server's optimizer
    takes their mean."""
    return {"learner": {"kind": "maml", "order": order, "inner_lr": inner_lr, "inner_steps": inner_steps, "optimizer": "sgd", "meta_lr": 1.0},
            "exchange": {"topology": "star", "payload": "updates", "every": 1}, "server": {"optimizer": optimizer, "lr": lr}}


def _asked(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's or a node's config says of the experiment: dotted keys of its sections, and a few plain ones."""
    return nested({k: v for k, v in config.items() if k in _PLAIN or (k.split(".")[0] in _SECTIONS and "." in k)})


_built: dict[str, Any] = {}


def _build(experiment: Any, settings: Mapping[str, Any], *configs: Mapping[str, Any]) -> Any:
    laid = dict(settings)
    for config in configs:
        laid = _over(laid, _asked(config))
    if experiment is None and not laid:
        raise UserError("symma.flower", "no experiment", "name a file, or give a dict")
    key = repr((experiment, laid))  # parts of one's own by who they are
    if key not in _built:
        _built.clear()  # one app, one experiment
        _built[key] = _experiment(experiment, laid, "symma.flower")
    return _built[key]


# ---- an agent


def client_app(experiment: Any = None, **settings: Any) -> ClientApp:
    """An agent's app. Which agent a node is, its config says: `agent`, or Flower's own `partition-id`.

    Keys of the node's config that name settings lie over the experiment there: `task.path` is where this node's data are. So do those of
    the run's config. What an agent keeps is in the node's context, and a node that starts anew takes up the server's row.
    """
    app = ClientApp()

    def agent_of(context: Context) -> tuple[Any, int]:
        number = context.node_config.get("agent", context.node_config.get("partition-id"))
        if number is None:
            raise UserError("node config", "does not say which agent this node is", "start the node with --node-config 'agent=0'")
        e = _build(experiment, settings, context.run_config, {k: v for k, v in context.node_config.items() if k not in _PLAIN})
        agent = _engine.Agent(e, int(number))
        kept = context.state.get(_STATE)
        if kept is not None:
            agent.load(bytes(kept["state"]))
        return agent, int(number)

    def up_to_date(agent: Any, context: Context, asked: Mapping[str, Any]) -> bool:
        """Hears the server's last answer. False where it is of no use to one who missed the one before."""
        number = int(asked["exchange"])
        return number == 0 or agent.exchanges == number or agent.hear(bytes(asked["answer"]), number)

    def keep(agent: Any, context: Context, said: int) -> None:
        context.state[_STATE] = ConfigRecord({"state": agent.state(), "said": said})

    def said_before(context: Context) -> int:
        kept = context.state.get(_STATE)
        return int(kept["said"]) if kept is not None else 0

    @app.query()
    def query(message: Message, context: Context) -> Message:
        _, number = agent_of(context)
        return Message(content=RecordDict({_CONFIG: ConfigRecord({"agent": number})}), reply_to=message)

    @app.train()
    def train(message: Message, context: Context) -> Message:
        asked = message.content[_CONFIG]
        agent, number = agent_of(context)
        if not up_to_date(agent, context, asked):
            return Message(content=RecordDict({_CONFIG: ConfigRecord({"agent": number, "behind": True})}), reply_to=message)
        exchange = int(asked["exchange"])
        letter, scores = agent.play(exchange, int(asked["heard"]) == said_before(context))
        keep(agent, context, exchange + 1)
        told = {name: float(values[0]) for name, values in scores.items() if np.isfinite(values[0])}
        return Message(content=RecordDict({_CONFIG: ConfigRecord({"agent": number, "behind": False, "letter": letter}),
                                           _METRICS: MetricRecord({**told, "num-examples": 1})}), reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        asked = message.content[_CONFIG]
        agent, number = agent_of(context)
        if not up_to_date(agent, context, asked):
            return Message(content=RecordDict({_CONFIG: ConfigRecord({"agent": number, "behind": True})}), reply_to=message)
        keep(agent, context, said_before(context))
        scores = agent.judge(str(asked["split"]), int(asked["tasks"]))
        told = {f"{asked['split']}/{name}": [float(m) for m in means] for name, means in scores.items()}
        return Message(content=RecordDict({_CONFIG: ConfigRecord({"agent": number, "behind": False}),
                                           _METRICS: MetricRecord({**told, "num-examples": 1})}), reply_to=message)

    return app


# ---- the server


class Strategy(_Strategy):
    """The server of an experiment as a strategy of Flower's.

    experiment:  a file or a dict, with exchange.topology = "star"; the same as the clients'
    least:       agents that must be there for a round to begin; half of them unless given
    wait:        seconds that they are waited for
    judge_every: rounds of Flower's from one judgement on validation tasks to the next; 0: only after the last, on unseen tasks

    `strategy.start(grid, strategy.initial, num_rounds=strategy.num_rounds)` returns Flower's Result, whose arrays are the row.
    A round of Flower's is an exchange: `exchange.every` rounds of the experiment's. Raises UserError.
    """

    def __init__(self, experiment: Any = None, *, least: Optional[int] = None, wait: float = 300, judge_every: int = 0, **settings: Any):
        self.experiment = _build(experiment, settings)
        self.about = self.experiment.about
        self.server = _engine.Server(self.experiment)
        agents = self.about["agents"]
        self.least = (agents + 1) // 2 if least is None else least
        if isinstance(self.least, bool) or not isinstance(self.least, int) or not 1 <= self.least <= agents:
            raise UserError("least", f"is {least!r}", f"give a whole number from 1 to {agents}")
        self.wait, self.judge_every = wait, judge_every
        self.num_rounds = max(1, self.server.last_round // self.about["settings"]["exchange"]["every"])
        self.log: list[dict] = []
        self._agent: dict[int, int] = {}  # by node
        self._heard: dict[int, int] = {}  # by agent: the exchange whose answer it has, from 1
        self._said: dict[int, int] = {}   # by agent: the exchange for which it said something last, as far as the server knows
        self._lost: set[int] = set()      # agents that were asked and not heard: they are to say all, no difference
        self._asked: set[int] = set()
        self._deaf: set[int] = set()      # nodes that could not say who they are

    @property
    def initial(self) -> ArrayRecord:
        return self._arrays()

    def _arrays(self) -> ArrayRecord:
        return ArrayRecord({"row": Array(to_numpy(self.server.row).copy())})

    def summary(self) -> None:
        s = self.about["settings"]
        kind = s["aggregator"]["kind"]
        log(INFO, "\t├──> symma: %s of %s agents, %s on %s", self.about["learner"], self.about["agents"], kind, self.about["task"])
        log(INFO, "\t└──> server: %s, compression: %s, privacy: %s", s["server"]["optimizer"], s["compression"]["kind"], s["privacy"]["unit"])

    def _meet(self, grid: Grid) -> dict[int, int]:
        """Who is there: {agent: node}. Waits until enough are."""
        until = time.monotonic() + self.wait
        while True:
            there = set(grid.get_node_ids())
            new = sorted(there - set(self._agent) - self._deaf)
            if new:
                asked = [Message(content=RecordDict({}), message_type="query", dst_node_id=n) for n in new]
                for reply in grid.send_and_receive(asked, timeout=60):
                    node = reply.metadata.src_node_id
                    if reply.has_error():
                        log(WARNING, "symma: node %s is no agent: %s", node, reply.error.reason)
                        self._deaf.add(node)
                    else:
                        self._agent[node] = int(reply.content[_CONFIG]["agent"])
                        self._heard.pop(self._agent[node], None)
            # Of two nodes that say they are one agent the later one is it: the other is likely to be its past self.
            found = {agent: node for node, agent in self._agent.items() if node in there}
            if len(found) >= self.least:
                return found
            if time.monotonic() > until:
                raise UserError("federation", f"{len(found)} of {self.about['agents']} agents are there after {self.wait:.0f} s, and {self.least} are needed",
                                "start more nodes, or lower least=")
            time.sleep(0.5)

    def _ask(self, kind: str, agents: Mapping[int, int], who: Iterable[int], more: Mapping[str, Any]) -> list[Message]:
        number = self.server.exchanges
        out = []
        for agent in who:
            if agent not in agents:
                continue
            # A difference is for one who has the answer before it.
            answer = b"" if number == 0 else self.server.answer if self._heard.get(agent, -1) >= number - 1 else self.server.whole
            record = ConfigRecord({"exchange": number, "answer": answer, "heard": -1 if agent in self._lost else self._said.get(agent, 0), **more})
            out.append(Message(content=RecordDict({_CONFIG: record}), message_type=kind, dst_node_id=agents[agent]))
        return out

    def _replies(self, replies: Iterable[Message], what: str) -> list[tuple[int, RecordDict]]:
        out = []
        for reply in replies:
            if reply.has_error():
                log(WARNING, "symma: node %s: %s", reply.metadata.src_node_id, reply.error.reason)
                continue
            told = reply.content[_CONFIG]
            agent = int(told["agent"])
            if told["behind"]:
                log(INFO, "symma: agent %s has missed an answer, and gets the next one whole", agent)
                self._heard.pop(agent, None)
                continue
            self._heard[agent] = self.server.exchanges
            out.append((agent, reply.content))
        return out

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        self._asked = set(self.server.asked)
        return self._ask("train", self._meet(grid), sorted(self._asked), {})

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple[Optional[ArrayRecord], Optional[MetricRecord]]:
        came = self._replies(replies, "train")
        letters = {agent: bytes(content[_CONFIG]["letter"]) for agent, content in came}
        self.server.combine(letters)
        for agent in letters:
            self._said[agent] = self.server.exchanges
        self._lost = (self._lost | self._asked) - set(letters)
        names = {name for _, content in came for name in content[_METRICS] if name != "num-examples"}
        means = {name: float(np.mean([content[_METRICS][name] for _, content in came if name in content[_METRICS]])) for name in sorted(names)}
        row = {"round": self.server.rounds, "agents": sorted(letters), "bytes": sum(map(len, letters.values())), **means}
        privacy = self.server.privacy
        if privacy:
            row["epsilon"] = privacy.get("epsilon")
        self.log.append(row)
        return self._arrays(), MetricRecord({**means, "agents": len(letters)})

    def configure_evaluate(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        last = self.server.exchanges >= self.num_rounds
        if not last and (self.judge_every < 1 or server_round % self.judge_every):
            return []
        agents = self._meet(grid)
        more = {"split": "test" if last else "validation", "tasks": 0 if last else self.about["settings"]["eval"]["validation_tasks"]}
        return self._ask("evaluate", agents, sorted(agents), more)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> Optional[MetricRecord]:
        came = self._replies(replies, "evaluate")
        if not came:
            return None
        names = sorted({name for _, content in came for name in content[_METRICS] if name != "num-examples"})
        means = {name: np.mean([content[_METRICS][name] for _, content in came if name in content[_METRICS]], axis=0).tolist() for name in names}
        self.log[-1].update({**means, "judged": sorted(agent for agent, _ in came)})
        return MetricRecord({**means, "agents": len(came)})

    def save(self, folder: Any) -> None:
        """Writes the server's row as a run that `symma.open` opens: experiment.toml, checkpoint.safetensors, and federation.json, the log."""
        folder = os.fspath(folder)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "experiment.toml"), "w", encoding="utf-8") as out:
            out.write(self.experiment.toml)
        self.server.save(os.path.join(folder, "checkpoint.safetensors"))
        with open(os.path.join(folder, "federation.json"), "w", encoding="utf-8") as out:
            json.dump({"steps": self.about["steps"], "log": self.log, "privacy": self.server.privacy}, out, indent=1)


def server_app(experiment: Any = None, *, out: Any = None, least: Optional[int] = None, wait: float = 300, judge_every: int = 0,
               timeout: float = 600, **settings: Any) -> ServerApp:
    """The server's app: plays the experiment's rounds, has the agents judged on unseen tasks, and writes `out` (runs/NAME unless given).

    timeout: seconds that a round waits for an agent's reply; without it the round goes on, and the rule allows for fewer bad ones
    The rest as of Strategy. Settings in the run's config (`flwr run --run-config`) lie over the experiment, and `out` there over this one.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        laid = _over(settings, _asked(context.run_config))
        strategy = Strategy(experiment, least=least, wait=wait, judge_every=judge_every, **laid)
        begun = time.monotonic()
        strategy.start(grid, strategy.initial, num_rounds=strategy.num_rounds, timeout=timeout)
        asked = context.run_config.get("out", out)
        folder = os.path.join("runs", strategy.about["name"]) if asked is None else os.fspath(asked)
        strategy.save(folder)
        log(INFO, "symma: %s rounds in %.1f s; written to %s", strategy.server.rounds, time.monotonic() - begun, folder)

    return app


# ---- for clients that are not symma's


class FedAvg(_FedAvg):
    """Flower's FedAvg with one of symma's rules in place of the mean: any client that FedAvg serves will do.

    aggregator: a rule's name or a dict of its settings, or one of your own; `symma.parts("Aggregator")` has the list
    bad:        how many of the replies may be bad; where fewer come, it allows for fewer
    before:     what is done to the replies first: `symma.parts("PreAggregator")`
    seed:       of rules that draw
    Replies count alike, whatever they say of their examples: a weight that a client names itself is no defence. The rest as of Flower's FedAvg.
    """

    def __init__(self, aggregator: Any = "median", bad: int = 0, before: Iterable[str] = (), seed: int = 0, **of_flower: Any):
        super().__init__(**of_flower)
        rule = dict(aggregator) if isinstance(aggregator, Mapping) else {"kind": aggregator}
        rule |= {"bad": bad, "before": list(before)}
        agents = 4 * max(1, bad if isinstance(bad, int) else 1) + 3  # enough for any rule to bear them
        self._rule = _experiment(None, {"task": "sinusoid", "agents": agents, "exchange": {"topology": "star"}, "aggregator": rule}, "symma.flower.FedAvg")
        self._key, self._last = _engine.Key(seed), None

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        self._last = _flat(arrays)
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple[Optional[ArrayRecord], Optional[MetricRecord]]:
        valid, _ = self._check_and_log_replies(replies, is_train=True)
        if not valid:
            return None, None
        contents = [message.content for message in valid]
        records = [next(iter(content.array_records.values())) for content in contents]
        rows = torch.stack([torch.from_dlpack(_flat(r)) for r in records])
        centre = None if self._last is None else torch.from_dlpack(self._last)
        row = to_numpy(_engine.combine(self._rule, rows, centre, self._key.split("round", server_round)))
        out, at = {}, 0
        for name, array in records[0].items():
            like = array.numpy()
            out[name] = Array(row[at:at + like.size].reshape(like.shape).astype(like.dtype))
            at += like.size
        return ArrayRecord(out), self.train_metrics_aggr_fn(contents, self.weighted_by_key)


def _flat(record: ArrayRecord) -> np.ndarray:
    return np.concatenate([array.numpy().astype(np.float64).reshape(-1) for array in record.values()])
