"""On Flower (pip install 'symma[flower]'): each agent a ClientApp, the exchange's server a ServerApp.

    app = symma.flower.client_app("exp.toml")           # in client_app.py; the node says which agent it is: --node-config 'agent=0'
    app = symma.flower.server_app("exp.toml")           # in server_app.py

What agents say to the server is what processes of one fleet say, and Flower carries it. So every rule, compression, privacy and
optimiser of the server that an experiment file can ask for is there, and a federation in which nobody dies learns the rows that
`symma.train` learns. `FedAvg` here is Flower's own strategy with our rules, for clients that are not symma's. docs/flower.md has the rest.
"""
from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from logging import INFO, WARNING
from typing import Any, Callable, Iterable, Mapping, Optional

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


_OURS = {"num-examples", "round", "agents", "bytes", "epsilon", "judged"}  # no metric of a node's takes their place in the log


def _number(content: RecordDict, agents: int) -> Optional[int]:
    """Which agent a node says that it is; None where it says none that there is."""
    number = content.config_records.get(_CONFIG, {}).get("agent")
    return number if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < agents else None


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float)) and math.isfinite(x)


def _metrics(content: RecordDict, read: Callable[[str], bool], good: Callable[[Any], bool]) -> Optional[dict[str, Any]]:
    """The metrics whose names are read; None where there are none, or one of them is not good."""
    record = content.metric_records.get(_METRICS)
    if record is None:
        return None
    told = {name: value for name, value in record.items() if read(name)}
    return told if all(map(good, told.values())) else None


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
        self._agent: dict[int, int] = {}  # by node, in the order in which they said so
        self._node: dict[int, int] = {}   # by agent: who is it
        self._sent: dict[int, int] = {}   # by node: as which agent it was asked, until it answers
        self._heard: dict[int, int] = {}  # by agent: the exchange whose answer it has, from 1
        self._said: dict[int, int] = {}   # by agent: the exchange for which it said something last, as far as the server knows
        self._lost: set[int] = set()      # agents that were asked and not heard: they are to say all, no difference
        self._asked: set[int] = set()
        self._deaf: set[int] = set()      # nodes that could not say who they are
        self._split = "validation"        # on which agents were judged last

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
                    if node not in new or node in self._agent:
                        continue
                    number = None if reply.has_error() else _number(reply.content, self.about["agents"])
                    if number is None:
                        log(WARNING, "symma: node %s is no agent: %s", node, reply.error.reason if reply.has_error() else "it does not say which one")
                        self._deaf.add(node)
                    else:
                        self._agent[node] = number
            # Of two nodes that say they are one agent the earlier one is it as long as it is there: the other may be what it has become
            # since it started anew, or somebody who would speak for it.
            found: dict[int, int] = {}
            for node, agent in self._agent.items():
                if node in there:
                    found.setdefault(agent, node)
            for agent, node in found.items():
                if self._node.get(agent) != node:
                    self._node[agent] = node
                    self._heard.pop(agent, None)
            if len(found) >= self.least:
                return found
            if time.monotonic() > until:
                raise UserError("federation", f"{len(found)} of {self.about['agents']} agents are there after {self.wait:.0f} s, and {self.least} are needed",
                                "start more nodes, or lower least=")
            time.sleep(0.5)

    def _ask(self, kind: str, agents: Mapping[int, int], who: Iterable[int], more: Mapping[str, Any]) -> list[Message]:
        number = self.server.exchanges
        out = []
        self._sent = {agents[agent]: agent for agent in who if agent in agents}
        for agent in who:
            if agent not in agents:
                continue
            # A difference is for one who has the answer before it.
            answer = b"" if number == 0 else self.server.answer if self._heard.get(agent, -1) >= number - 1 else self.server.whole
            record = ConfigRecord({"exchange": number, "answer": answer, "heard": -1 if agent in self._lost else self._said.get(agent, 0), **more})
            out.append(Message(content=RecordDict({_CONFIG: record}), message_type=kind, dst_node_id=agents[agent]))
        return out

    def _replies(self, replies: Iterable[Message], read: Callable[[RecordDict], Optional[dict[str, Any]]]
                 ) -> list[tuple[int, RecordDict, dict[str, Any]]]:
        """What came, with the metrics in it, by agent: the one that the node was asked as. Who speaks for another, or answers what is no answer
        (`read` finds None), has not answered."""
        out = []
        for reply in replies:
            node = reply.metadata.src_node_id
            agent = self._sent.pop(node, None)
            if reply.has_error():
                log(WARNING, "symma: node %s: %s", node, reply.error.reason)
                continue
            if agent is None:
                log(WARNING, "symma: node %s was not asked, or answers again", node)
                continue
            told = reply.content.config_records.get(_CONFIG, {})
            behind = told.get("behind")
            metrics = {} if behind is True else read(reply.content) if behind is False else None
            if metrics is None or _number(reply.content, self.about["agents"]) != agent:
                log(WARNING, "symma: node %s, asked as agent %s: its answer is none", node, agent)
                continue
            if behind:
                log(INFO, "symma: agent %s has missed an answer, and gets the next one whole", agent)
                self._heard.pop(agent, None)
                continue
            self._heard[agent] = self.server.exchanges
            out.append((agent, reply.content, metrics))
        return out

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        self._asked = set(self.server.asked)
        return self._ask("train", self._meet(grid), sorted(self._asked), {})

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple[Optional[ArrayRecord], Optional[MetricRecord]]:
        def read(content: RecordDict) -> Optional[dict[str, Any]]:
            is_letter = isinstance(content[_CONFIG].get("letter"), bytes)
            return _metrics(content, lambda name: "/" not in name and name not in _OURS, _is_number) if is_letter else None

        came = self._replies(replies, read)
        letters = {agent: bytes(content[_CONFIG]["letter"]) for agent, content, _ in came}
        self.server.combine(letters)
        for agent in letters:
            self._said[agent] = self.server.exchanges
        self._lost = (self._lost | self._asked) - set(letters)
        names = {name for _, _, told in came for name in told}
        means = {name: float(np.mean([told[name] for _, _, told in came if name in told])) for name in sorted(names)}
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
        self._split = "test" if last else "validation"
        more = {"split": self._split, "tasks": 0 if last else self.about["settings"]["eval"]["validation_tasks"]}
        return self._ask("evaluate", agents, sorted(agents), more)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> Optional[MetricRecord]:
        n = len(self.about["steps"])

        def read(content: RecordDict) -> Optional[dict[str, Any]]:
            return _metrics(content, lambda name: name.startswith(self._split + "/"), lambda means: isinstance(means, list) and len(means) == n)

        came = self._replies(replies, read)
        if not came:
            return None
        names = sorted({name for _, _, told in came for name in told})
        means = {name: np.mean([told[name] for _, _, told in came if name in told], axis=0).tolist() for name in names}
        self.log[-1].update({**means, "judged": sorted(agent for agent, _, _ in came)})
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
    Replies count alike, whatever they say of their examples: a weight that a client names itself is no defence. Those of another form than
    most are left out. The rest as of Flower's FedAvg.
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
        valid, _ = self._check_and_log_replies(_alike(replies, self.weighted_by_key), is_train=True)
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

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> Optional[MetricRecord]:
        return super().aggregate_evaluate(server_round, _alike(replies, self.weighted_by_key))


def _alike(replies: Iterable[Message], weight: str) -> list[Message]:
    """Replies of the form that most have: names and shapes of arrays, names and lengths of metrics. Flower ends a run where one differs."""

    def form(content: RecordDict) -> Optional[tuple]:
        w = next((record.get(weight) for record in content.metric_records.values()), None)
        if not _is_number(w) or w < 0:
            return None
        arrays, metrics = [], []
        try:
            for key, record in content.array_records.items():
                arrays += [(key, name, a.shape, a.dtype.kind in "biuf") for name, a in ((name, array.numpy()) for name, array in record.items())]
        except (EOFError, OSError, TypeError, ValueError):  # bytes that are no array
            return None
        for key, record in content.metric_records.items():
            metrics += [(key, name, len(v) if isinstance(v, list) else -1) for name, v in record.items()]
        return tuple(arrays), tuple(sorted(metrics))

    came = list(replies)
    forms = [None if reply.has_error() else form(reply.content) for reply in came]
    usual = Counter(f for f in forms if f is not None).most_common(1)
    if not usual:
        return came  # Flower says what they lack
    out = []
    for reply, f in zip(came, forms):
        if reply.has_error() or f == usual[0][0]:
            out.append(reply)
        else:
            log(WARNING, "symma: node %s: its answer has another form than most", reply.metadata.src_node_id)
    return out


def _flat(record: ArrayRecord) -> np.ndarray:
    return np.concatenate([array.numpy().astype(np.float64).reshape(-1) for array in record.values()])
