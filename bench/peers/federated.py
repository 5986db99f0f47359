#!/usr/bin/env python3
"""FedAvg and FedProx beside Ray actors, Flower's and TensorFlow Federated's: the same clients, the same rows, and how long a round takes.

    PYTHONPATH=build/release/python python bench/peers/federated.py [--clients 8] [--rounds 20] [--tff PYTHON]

A client has 20 points of a sine wave of its own and makes five steps of gradient descent on all of them, from the server's row; the server takes the mean.
FedProx adds mu / 2 |row - server's row|^2 to each loss (Li et al. 2020, arXiv:1812.06127). The network has one hidden layer of 32 tanh units, in float32.

- symma: `pretrain` with SGD, on the topology "star".
- Ray: an actor a client, in torch; rows go through the object store, and the server takes their mean with numpy.
- Flower: a client in torch, and Flower's own FedAvg and FedProx strategies, their messages handed over in one process: nothing travels.
- TFF: `build_weighted_fed_avg` and `build_weighted_fed_prox`, in the Python that --tff names (TFF 0.87 wants TensorFlow 2.14 and a numpy of its own):
      uv pip install --override <(printf 'jaxlib>=0.4.16,<0.4.20\\njax>=0.4.14,<0.4.20\\n') tensorflow-federated==0.87.0 'setuptools<80'
"""
import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

POINTS, STEPS, RATE, HIDDEN, MU = 20, 5, 0.05, 32, 0.5


def data_of(clients: int):
    rng = np.random.default_rng(7)
    x = rng.uniform(-3, 3, (clients, POINTS, 1)).astype(np.float32)
    y = (rng.uniform(0.5, 2, (clients, 1, 1)) * np.sin(x + rng.uniform(0, 3, (clients, 1, 1)))).astype(np.float32)
    return x, y


def first_row() -> list:
    """weight [1, H], bias [H], weight [H, 1], bias [1]"""
    rng = np.random.default_rng(8)
    return [rng.normal(0, 0.5, s).astype(np.float32) for s in ((1, HIDDEN), (HIDDEN,), (HIDDEN, 1), (1,))]


def ours(clients: int, rounds: int, mu: float, threads: int = 1):
    """The server's row, and seconds a round."""
    import symma

    symma.set_threads(threads)
    x, y = data_of(clients)

    class Waves(symma.TaskFamily):
        inputs, outputs = 1, 1

        def sample(self, agent, key):
            half = POINTS // 2
            return x[agent, :half], y[agent, :half], x[agent, half:], y[agent, half:]

    fleet = symma.Fleet({"kind": "mlp", "hidden": [HIDDEN], "activation": "tanh"},
                        {"kind": "pretrain", "optimizer": "sgd", "meta_lr": RATE, "proximal": mu}, Waves(),
                        exchange={"topology": "star", "every": STEPS}, agents=clients, tasks_per_round=1, rounds=rounds * STEPS)
    row = np.concatenate([p.reshape(-1) for p in first_row()])
    fleet.theta = np.repeat(row[None], clients, 0)
    if "anchor" in fleet.state.own:
        fleet.state.own = {**fleet.state.own, "anchor": fleet.theta}
    begun = time.perf_counter()
    for _ in range(rounds * STEPS):
        fleet.round()
    return fleet.theta[0].numpy().astype(np.float64), (time.perf_counter() - begun) / rounds


def flowers(clients: int, rounds: int, mu: float, sign: float = 1.0):
    """As `ours`; sign -1 turns FedProx's pull around."""
    import torch
    from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
    from flwr.common import Array
    from flwr.serverapp.strategy import FedAvg, FedProx

    try:  # messages ask of which run they are
        from flwr.supercore.task_identity import TaskIdentity

        TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 0
    except ImportError:
        pass
    torch.set_num_threads(1)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    x, y = (torch.tensor(t) for t in data_of(clients))
    strategy = FedProx(proximal_mu=mu) if mu > 0 else FedAvg()

    class Grid:  # of configure_train, which asks who is there
        def get_node_ids(self):
            return list(range(1, clients + 1))

    def client(message):
        start = [torch.tensor(a.numpy()) for a in message.content["arrays"].values()]
        pull = sign * float(message.content["config"].get("proximal-mu", 0.0))
        rows, i = [p.clone().requires_grad_() for p in start], message.metadata.dst_node_id - 1
        for _ in range(STEPS):
            out = torch.tanh(x[i] @ rows[0] + rows[1]) @ rows[2] + rows[3]
            loss = (out - y[i]).square().mean() + pull / 2 * sum((a - b).square().sum() for a, b in zip(rows, start))
            grads = torch.autograd.grad(loss, rows)
            rows = [(p - RATE * g).detach().requires_grad_() for p, g in zip(rows, grads)]
        arrays = ArrayRecord({str(k): Array(p.detach().numpy()) for k, p in enumerate(rows)})
        return Message(content=RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": POINTS})}), reply_to=message)

    arrays = ArrayRecord({str(k): Array(p) for k, p in enumerate(first_row())})
    begun = time.perf_counter()
    for k in range(1, rounds + 1):
        messages = strategy.configure_train(k, arrays, ConfigRecord(), Grid())
        arrays, _ = strategy.aggregate_train(k, [client(m) for m in messages])
    took = (time.perf_counter() - begun) / rounds
    return np.concatenate([a.numpy().astype(np.float64).reshape(-1) for a in arrays.values()]), took


def rays(clients: int, rounds: int, mu: float):
    """As `ours`; an actor lives in a process of its own."""
    import ray

    ray.init(num_cpus=clients, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)

    @ray.remote(num_cpus=1)
    class Client:
        def __init__(self, x, y):
            import torch

            torch.set_num_threads(1)
            self.torch, self.x, self.y = torch, torch.tensor(x), torch.tensor(y)

        def learn(self, row):
            torch = self.torch
            start = [torch.tensor(p) for p in row]
            rows = [p.clone().requires_grad_() for p in start]
            for _ in range(STEPS):
                out = torch.tanh(self.x @ rows[0] + rows[1]) @ rows[2] + rows[3]
                loss = (out - self.y).square().mean() + mu / 2 * sum((a - b).square().sum() for a, b in zip(rows, start))
                grads = torch.autograd.grad(loss, rows)
                rows = [(p - RATE * g).detach().requires_grad_() for p, g in zip(rows, grads)]
            return [p.detach().numpy() for p in rows]

    try:
        actors = [Client.remote(*both) for both in zip(*data_of(clients))]
        row = first_row()
        ray.get([a.learn.remote(row) for a in actors])  # all are up
        begun = time.perf_counter()
        for _ in range(rounds):
            told = ray.put(row)
            row = [np.mean(p, 0) for p in zip(*ray.get([a.learn.remote(told) for a in actors]))]
        took = (time.perf_counter() - begun) / rounds
    finally:
        ray.shutdown()
    return np.concatenate([p.astype(np.float64).reshape(-1) for p in row]), took


TFF = """
import json, os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, {here!r})
import numpy as np, tensorflow as tf, tensorflow_federated as tff
import federated as f
clients, rounds, mu = {clients}, {rounds}, {mu}
x, y = f.data_of(clients)
spec = (tf.TensorSpec([None, 1], tf.float32), tf.TensorSpec([None, 1], tf.float32))

def model():
    keras = tf.keras.Sequential([tf.keras.layers.InputLayer((1,)), tf.keras.layers.Dense(f.HIDDEN, "tanh"), tf.keras.layers.Dense(1)])
    return tff.learning.models.from_keras_model(keras, input_spec=spec, loss=tf.keras.losses.MeanSquaredError())

sgd = tff.learning.optimizers.build_sgdm(f.RATE)
one = tff.learning.optimizers.build_sgdm(1.0)
process = (tff.learning.algorithms.build_weighted_fed_prox(model, mu, sgd, one) if mu > 0 else
           tff.learning.algorithms.build_weighted_fed_avg(model, sgd, one))
data = [tf.data.Dataset.from_tensor_slices((a, b)).batch(f.POINTS).repeat(f.STEPS) for a, b in zip(x, y)]
state = process.initialize()
weights = process.get_model_weights(state)
state = process.set_model_weights(state, tff.learning.models.ModelWeights(f.first_row(), weights.non_trainable))
begun = time.perf_counter()
for k in range(rounds):
    if k == 1: begun = time.perf_counter()  # the first traces the graph
    state = process.next(state, data).state
took = (time.perf_counter() - begun) / max(1, rounds - 1)
row = np.concatenate([np.asarray(p).reshape(-1) for p in process.get_model_weights(state).trainable])
json.dump(dict(row=row.astype(float).tolist(), seconds=took), open(sys.argv[1], "w"))
os._exit(0)  # its worker outlives the script otherwise
"""


def tffs(python: str, clients: int, rounds: int, mu: float):
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "out.json")
        code = TFF.format(here=os.path.dirname(os.path.abspath(__file__)), clients=clients, rounds=rounds, mu=mu)
        subprocess.run([python, "-c", code, out], check=True, env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"})
        told = json.load(open(out))
    return np.array(told["row"]), told["seconds"]


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--clients", type=int, default=8)
    p.add_argument("--rounds", type=int, default=20)
    p.add_argument("--tff", help="a Python that has TensorFlow Federated")
    a = p.parse_args()
    print(f"{a.clients} clients, {a.rounds} rounds of {STEPS} steps on {POINTS} points, one thread")
    for warm in (ours, flowers):  # what a first call loads is nobody's round
        try:
            warm(a.clients, 1, 0.0)
        except ImportError:
            pass
    for name, mu in (("FedAvg", 0.0), ("FedProx", MU)):
        row, took = ours(a.clients, a.rounds, mu)
        print(f"{name}  symma   {1e3 * took:9.3f} ms a round")
        peers = {"Ray": lambda: rays(a.clients, a.rounds, mu), "Flower": lambda: flowers(a.clients, a.rounds, mu)}
        if a.tff:
            peers["TFF"] = lambda: tffs(a.tff, a.clients, a.rounds, mu)
        for peer, call in peers.items():
            try:
                theirs, their_time = call()
            except ImportError as e:
                print(f"{name}  {peer}: skipped ({e})", file=sys.stderr)
                continue
            print(f"{name}  {peer:7s} {1e3 * their_time:9.3f} ms a round, {their_time / took:7.1f} times symma's; rows differ by at most {np.abs(row - theirs).max():.1e}")
            if peer == "TFF" and mu > 0:
                turned, _ = flowers(a.clients, a.rounds, mu, -1.0)
                print(f"                {np.abs(turned - theirs).max():.1e} from Flower's client with the pull turned around: TFF adds mu (server's row - row) to the gradient")


if __name__ == "__main__":
    main()
