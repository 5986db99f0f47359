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
