"""On Flower, for real: a SuperLink and SuperNodes on loopback with TLS, of which one is killed. And Flower's FedAvg with our rules."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

import symma

flwr = pytest.importorskip("flwr", reason="flwr is not installed: pip install 'symma[flower]' (docs/flower.md)")

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict  # noqa: E402
from flwr.common import Array  # noqa: E402


def port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def certificates(folder) -> None:
    def openssl(*words) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.pem", "-days", "2", "-extfile", "names")


class Network:
    """A SuperLink and SuperNodes, each a process with a log, with TLS between them."""

    def __init__(self, folder, agents: int):
        self.folder, self.processes = folder, {}
        certificates(folder)
        self.env = {**os.environ, "FLWR_HOME": str(folder / "home"), "FLWR_TELEMETRY_ENABLED": "0",
                    "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]}
        self.port = port()
        (folder / "home").mkdir()
        (folder / "home/config.toml").write_text(
            f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "127.0.0.1:{self.port}"\nroot-certificates = "{folder}/ca.pem"\n')
        self.start("link", "flower-superlink", "--port", str(self.port), "--ssl-certfile", "server.pem", "--ssl-keyfile", "server.key", "--ssl-ca-certfile", "ca.pem",
                   "--disable-runtime-dependency-installation")
        until = time.time() + 120
        while time.time() < until:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.3)
        for agent in range(agents):
            self.node(agent)

    def start(self, name: str, *words: str) -> None:
        log = open(self.folder / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen(words, cwd=self.folder, env=self.env, stdout=log, stderr=log, start_new_session=True)

    def node(self, agent: int) -> None:
        self.start(f"node{agent}", "flower-supernode", "--superlink", f"127.0.0.1:{self.port}", "--root-certificates", "ca.pem", "--port", str(port()),
                   "--node-config", f"agent={agent}")

    def kill(self, name: str) -> None:
        os.killpg(self.processes.pop(name).pid, signal.SIGKILL)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def run(self, app, config: str) -> subprocess.Popen:
        self.start("run", "flwr", "run", str(app), "here", "--stream", "--run-config", config)
        return self.processes["run"]

    def end(self) -> None:
        for name in list(self.processes):
            try:
                self.kill(name)
            except ProcessLookupError:
                pass


def finished(network: Network, out, seconds: float, middle=lambda: None) -> dict:
    until = time.time() + seconds
    while time.time() < until and not (out / "federation.json").exists():
        middle()
        time.sleep(0.3)
    assert (out / "federation.json").exists(), network.log("run") + network.log("link")[-3000:] + network.log("node0")[-3000:]
    time.sleep(0.5)
    return json.loads((out / "federation.json").read_text())


@pytest.fixture
def network(tmp_path):
    n = Network(tmp_path, 3)
    yield n
    n.end()


def test_a_federation_with_tls_learns_what_one_process_learns_and_outlives_a_node(network, tmp_path, root):
    app = tmp_path / "app"
    shutil.copytree(root / "examples/flower", app)
    here = symma.train(app / "symma_app/fleet.toml", rounds=30, out=tmp_path / "here", progress=False)
    network.run(app, f'rounds=30 out="{tmp_path}/whole"')
    told = finished(network, tmp_path / "whole", 240)
    assert [row["agents"] for row in told["log"]] == [[0, 1, 2]] * 3
    run = symma.open(tmp_path / "whole")
    assert np.array_equal(run.theta[0], here.theta[0])  # to the bit
    assert told["log"][-1]["test/mse"] == pytest.approx(here.summary["eval"]["mean"], rel=1e-6)
    assert run.adapt([-1, 0, 1], [0.5, 0, 1]).predict([0.5]).shape == (1,)
    # Again, and one node is killed on the way: the others go on, and the rule with what comes.
    network.processes.pop("run").wait(60)
    network.run(app, f'rounds=60 out="{tmp_path}/killed"')

    def strike() -> None:
        if "node2" in network.processes and len(re.findall(r"ROUND 2/6", network.log("run") + network.log("link"))) > 0:
            network.kill("node2")

    told = finished(network, tmp_path / "killed", 400, strike)
    assert "node2" not in network.processes
    agents = [row["agents"] for row in told["log"]]
    assert agents[0] == [0, 1, 2] and agents[-1] == [0, 1] and len(agents) == 6 and told["log"][-1]["judged"] == [0, 1]
    assert np.isfinite(symma.open(tmp_path / "killed").theta).all() and all(np.isfinite(told["log"][-1]["test/mse"]))


@pytest.fixture
def messages():
    """Messages ask of which run they are, where Flower has not started this process."""
    task = pytest.importorskip("flwr.supercore.task_identity").TaskIdentity
    task.run_id, task.task_id, task.node_id = 1, 1, 0


def test_flowers_fedavg_with_our_rules_bears_a_liar(messages):
    record = lambda x: ArrayRecord({"w": Array(np.full((2, 2), x, np.float32)), "b": Array(np.full(2, x, np.float32))})
    for rule, bad in (("median", 1), ("krum", 1), ("trimmed_mean", 1)):
        strategy = symma.flower.FedAvg(rule, bad=bad)
        values = [1.0, 1.1, 0.9, 1.05, 1e6]
        replies = []
        for k, v in enumerate(values):
            asked = Message(content=RecordDict({}), message_type="train", dst_node_id=k + 1)
            replies.append(Message(content=RecordDict({"arrays": record(v), "metrics": MetricRecord({"num-examples": 1, "loss": v})}), reply_to=asked))
        arrays, metrics = strategy.aggregate_train(1, replies)
        row = np.concatenate([a.numpy().reshape(-1) for a in arrays.values()])
        assert list(arrays) == ["w", "b"] and arrays["w"].numpy().shape == (2, 2) and arrays["w"].numpy().dtype == np.float32
        assert (np.abs(row - 1) < 0.2).all(), rule


FLEET = {"name": "f", "agents": 3, "rounds": 4, "tasks": 2, "task": "sinusoid", "model": {"hidden": [8]}, "exchange": {"topology": "star"},
         "eval": {"tasks": 2, "steps": [0, 1]}}


class Nodes:
    """Flower's grid without Flower: nodes that answer by hand. `says` of a node changes its answer, which is of an honest agent."""

    def __init__(self, agents):
        self.agents = dict(agents)  # by node
        self.says = {}

    def get_node_ids(self):
        return list(self.agents)

    def answer(self, asked):
        node = asked.metadata.dst_node_id
        number = self.agents[node]
        told, metrics = {"agent": number}, {"num-examples": 1}
        if asked.metadata.message_type == "train":
            agent = symma._engine.Agent(symma.flower._build(FLEET, {}), number)
            told |= {"behind": False, "letter": agent.play(0, False)[0]}
            metrics["loss"] = 1.0 + number
        if asked.metadata.message_type == "evaluate":
            told["behind"] = False
            metrics["test/mse"] = [2.0 + number, 1.0]
        records = {"symma": told, "metrics": metrics}
        if node in self.says:
            records = self.says[node](records)
        made = {name: (ConfigRecord if name == "symma" else MetricRecord)(record) for name, record in records.items()}
        return Message(content=RecordDict(made), reply_to=asked)

    def send_and_receive(self, asked, timeout=None):
        return [self.answer(message) for message in asked]


NODES = {11: 0, 12: 1, 13: 2}


def played(nodes, more=lambda replies: replies):
    """A round of training, and of judging after it: the strategy, and what it says of the judgement."""
    strategy = symma.flower.Strategy(FLEET, rounds=1, least=1, wait=0)
    for kind in ("train", "evaluate"):
        asked = getattr(strategy, f"configure_{kind}")(1, strategy.initial, ConfigRecord(), nodes)
        told = getattr(strategy, f"aggregate_{kind}")(1, more(nodes.send_and_receive(asked)))
    return strategy, told


def instead(name, key, value):
    return lambda records: {**records, name: {**records[name], key: value}}


def without(name, key=None):
    return lambda records: {n: {k: v for k, v in record.items() if (n, k) != (name, key)} for n, record in records.items() if n != name or key}


@pytest.mark.parametrize("says", [
    without("symma"), without("symma", "agent"), without("symma", "behind"), without("metrics"),
    *(instead("symma", "agent", value) for value in ("x", "2", 2.0, True, -1, 3, 1 << 62, [2], b"2", 0)),
    *(instead("symma", "behind", value) for value in (0, "no", [False])),
])
def test_an_answer_that_is_none_is_missing_and_nobody_elses(messages, says):
    """On the old code most of these ended the server's app; and node 13 could say agent 0's letter."""
    expected, _ = played(Nodes({11: 0, 12: 1}))
    nodes = Nodes(NODES)
    nodes.says = {13: lambda records: says(records) if "behind" in records["symma"] else records}
    strategy, told = played(nodes)
    assert strategy.log[-1]["agents"] == strategy.log[-1]["judged"] == [0, 1]
    assert strategy.log[-1]["loss"] == 1.5 and told["test/mse"] == [2.5, 1.0]
    assert np.array_equal(strategy.server.row, expected.server.row)
    # And where it is asked who it is.
    nodes.says = {13: says}
    met = symma.flower.Strategy(FLEET, least=1, wait=0)._meet(nodes)
    same = says({"symma": {"agent": 2}, "metrics": {}}).get("symma", {}).get("agent")
    assert met == ({0: 11, 1: 12, 2: 13} if same == 2 and isinstance(same, int) else {0: 11, 1: 12})


@pytest.mark.parametrize("says", [
    without("symma", "letter"), instead("symma", "letter", "words"), instead("symma", "letter", 3),
    instead("metrics", "loss", [1.0, 2.0]), instead("metrics", "loss", float("inf")),
    instead("metrics", "test/mse", [1.0]), instead("metrics", "test/mse", 1.0),
])
def test_letters_and_metrics_of_another_form_are_missing(messages, says):
    nodes = Nodes(NODES)
    nodes.says = {13: lambda records: says(records) if "behind" in records["symma"] else records}
    strategy, told = played(nodes)
    row, everybody = strategy.log[-1], [0, 1, 2]
    assert (row["agents"], row["judged"]) in (([0, 1], everybody), (everybody, [0, 1]))
    assert row["loss"] == (1.5 if row["agents"] == [0, 1] else 2) and told["test/mse"] == [2.5 if row["judged"] == [0, 1] else 3, 1]


def test_metrics_do_not_take_the_place_of_what_the_server_says(messages):
    nodes = Nodes(NODES)
    nodes.says = {13: instead("metrics", "agents", 7.0)}
    strategy, told = played(nodes)
    assert strategy.log[-1]["agents"] == [0, 1, 2] == strategy.log[-1]["judged"] and told["agents"] == 3


def test_each_node_answers_once_and_only_where_it_was_asked(messages):
    def more(replies):
        stranger = Message(content=RecordDict({}), message_type=replies[0].metadata.message_type, dst_node_id=14)
        return [*replies, replies[2], Message(content=replies[0].content, reply_to=stranger)]

    strategy, told = played(Nodes(NODES), more)
    expected, _ = played(Nodes(NODES))
    assert strategy.log == expected.log and np.array_equal(strategy.server.row, expected.server.row) and told["agents"] == 3


def test_an_agents_number_is_its_nodes_as_long_as_that_is_there(messages):
    """On the old code whoever came last and said a number was that agent from then on."""
    nodes = Nodes(NODES)
    strategy = symma.flower.Strategy(FLEET, least=1, wait=0)
    strategy._meet(nodes)
    strategy._heard[0] = 3
    nodes.agents[14] = 0
    assert strategy._meet(nodes) == {0: 11, 1: 12, 2: 13} and strategy._heard == {0: 3}
    del nodes.agents[11]
    assert strategy._meet(nodes) == {0: 14, 1: 12, 2: 13} and strategy._heard == {}
    nodes.agents[11] = 0  # again: it was here before the other
    assert strategy._meet(nodes)[0] == 11


def test_flowers_fedavg_with_our_rules_leaves_out_what_has_another_form(messages):
    record = lambda shape: ArrayRecord({"w": Array(np.ones(shape, np.float32))})
    broken = record(2)
    broken["w"].data = b"no array"
    good = {"num-examples": 1, "loss": 2.0, "by_class": [1.0, 2.0]}
    for arrays, metrics in [(record(3), good), (broken, good), (ArrayRecord({"v": Array(np.ones(2))}), good), (None, good), (record(2), None),
                            (record(2), {**good, "num-examples": -2}), (record(2), {**good, "by_class": [1.0]}), (record(2), {"num-examples": 1})]:
        strategy = symma.flower.FedAvg("median", bad=1)
        replies = []
        for k in range(4):
            a, m = (arrays, metrics) if k == 0 else (record(2), good)
            asked = Message(content=RecordDict({}), message_type="train", dst_node_id=k + 1)
            records = ({} if a is None else {"arrays": a}) | ({} if m is None else {"metrics": MetricRecord(m)})
            replies.append(Message(content=RecordDict(records), reply_to=asked))
        out, told = strategy.aggregate_train(1, replies)
        assert np.array_equal(out["w"].numpy(), np.ones(2)) and told["loss"] == 2 and told["by_class"] == [1, 2]
        if m is not None and arrays is not None:
            assert strategy.aggregate_evaluate(1, replies)["loss"] == 2


@pytest.mark.parametrize("mu", [0.0, 0.5], ids=["FedAvg", "FedProx"])
def test_the_rows_are_those_of_flowers_own_fedavg_and_fedprox(root, monkeypatch, mu):
    monkeypatch.syspath_prepend(str(root / "bench/peers"))
    import federated

    row, _ = federated.ours(4, 10, mu)
    theirs, _ = federated.flowers(4, 10, mu)
    start = np.concatenate([p.reshape(-1) for p in federated.first_row()])
    assert np.abs(row - start).max() > 0.1 and np.abs(row - theirs).max() < 1e-5


def test_settings_of_fedmeta_and_per_fedavg_are_the_papers(tmp_path):
    """FedMeta with SGD at the server is one step of it along the mean of the agents' meta-gradients; Per-FedAvg with one local step is that, too."""
    fleet = {"name": "f", "agents": 4, "tasks": 3, "rounds": 1, "task": "sinusoid", "model": {"hidden": [8]}, "eval": {"tasks": 2, "steps": [0]}, "precision": "float64"}
    meta = symma.train(fleet, **symma.flower.fedmeta(lr=0.3, optimizer="sgd"), out=tmp_path / "meta", progress=False)
    per = symma.train(fleet, **symma.flower.per_fedavg(lr=0.3, order=2, every=1), out=tmp_path / "per", progress=False)
    start = symma.Fleet(agents=4, tasks="sinusoid", tasks_per_round=3, model={"hidden": [8]}, precision="float64").theta[0].numpy()
    assert np.abs(meta.theta - start).max() > 1e-3 and meta.theta == pytest.approx(per.theta, abs=1e-12)


def test_wrong_calls(wrong):
    fleet = {"agents": 3, "task": "sinusoid", "exchange": "star"}
    wrong(lambda: symma.flower.Strategy(), "symma.flower", "no experiment")
    wrong(lambda: symma.flower.Strategy(fleet, exchange="ring"), "topology", "ring", "star")
    wrong(lambda: symma.flower.Strategy(fleet, least=4), "least", "4", "1 to 3")
    wrong(lambda: symma.flower.FedAvg("medan"), "kind", "medan", "mean")
    wrong(lambda: symma.flower.FedAvg("median", bad=-1), "bad", "-1")
