"""On Ray: actors that are one fleet, workers that die, sweeps as tasks, settings searched by Tune."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import symma

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'symma[ray]' (docs/ray.md)")

FLEET = {"name": "fleet", "agents": 7, "rounds": 60, "task": {"kind": "sinusoid"}, "model": {"kind": "mlp", "hidden": [16, 16]}, "exchange": {"topology": "ring"},
         "compression": {"kind": "top_k", "gamma": 0.5}, "checkpoint_every": 10, "log_every": 5, "eval": {"tasks": 10, "steps": [0, 1, 5]}}


@pytest.fixture(scope="module", autouse=True)
def cluster():
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # or it writes a token into the home
    symma.ray.start(num_cpus=3, logging_level="ERROR", log_to_driver=False)
    yield
    ray.shutdown()


def bits(folder) -> dict:
    import symma._engine as engine

    # What several processes keep of letters that may be lost one does not.
    apart = ("seconds", "exchange.heard", "exchange.asked")
    return {k: v for k, v in engine.read_safetensors(os.path.join(folder, "checkpoint.safetensors")).items() if not k.startswith(apart)}


def same(a, b) -> bool:
    import torch

    a, b = bits(a), bits(b)
    return a.keys() == b.keys() and all(torch.equal(torch.nan_to_num(a[k]), torch.nan_to_num(b[k])) for k in a)


def lines(path) -> list:
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def worker_pids() -> list:
    out = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True).stdout.split("\n")
    mine = ray._private.worker._global_node.all_processes["raylet"][0].process.pid
    return sorted(int(line.split()[0]) for line in out if "ray::_Worker" in line and int(line.split()[1]) == mine)


class Lines(symma.TaskFamily):
    def __init__(self, shots: int = 5, fails_at: int = 0):
        self.k, self.fails_at, self.calls = shots, fails_at, 0

    def sample(self, agent, key):
        self.calls += 1
        if self.fails_at and self.calls > self.fails_at:
            raise ZeroDivisionError("of its own")
        slope, height = key.uniform([2], -3, 3)
        x = key.split("x").uniform([2 * self.k, 1], -1, 1)
        y = slope * x + height
        return x[:self.k], y[:self.k], x[self.k:], y[self.k:]


def test_three_workers_are_one_process_bit_for_bit(tmp_path):
    one = symma.train(FLEET, out=tmp_path / "one", progress=False)
    told, rows = [], []
    three = symma.ray.train(FLEET, num_workers=3, out=tmp_path / "three", progress=told.append, loggers=[rows.append])
    assert same(one.folder, three.folder) and three.finished
    assert (tmp_path / "one/scores.csv").read_text() == (tmp_path / "three/scores.csv").read_text()
    assert one.summary["eval"] == three.summary["eval"] and "<html" in three.report.html
    assert rows == lines(tmp_path / "three/metrics.jsonl") and told[-1]["round"] == 60


def test_a_part_of_ones_own_goes_along_and_what_it_raises_comes_back(tmp_path):
    settings = {**FLEET, "task": Lines(shots=4), "rounds": 20}
    one = symma.train(settings, out=tmp_path / "one", progress=False)
    two = symma.ray.train(settings, num_workers=2, out=tmp_path / "two", progress=False)
    assert same(one.folder, two.folder)
    with pytest.raises(ZeroDivisionError, match="of its own"):
        symma.ray.train({**settings, "task": Lines(fails_at=40)}, num_workers=2, out=tmp_path / "bad", progress=False)


@pytest.mark.parametrize("which, how", [(0, signal.SIGKILL), (1, signal.SIGKILL), (1, signal.SIGSTOP)], ids=["the first killed", "another killed", "another stopped"])
def test_a_worker_that_goes_comes_back_and_the_bits_are_those_of_an_unbroken_run(tmp_path, capfd, which, how):
    settings = {**FLEET, "rounds": 6000, "log_every": 50, "checkpoint_every": 200, "eval": {**FLEET["eval"], "every": 6000}}
    one = symma.train(settings, out=tmp_path / "one", progress=False)
    rows, hit = [], []

    def strike(row):
        rows.append(row)
        if row["round"] >= 1000 and not hit:
            hit.append(worker_pids())
            os.kill(hit[0][which], how)

    two = symma.ray.train(settings, num_workers=2, out=tmp_path / "two", progress=False, loggers=[strike], silence=10)
    assert len(hit[0]) == 2
    said = capfd.readouterr().err
    assert "going on from the last checkpoint" in said and ("has not answered" in said or how != signal.SIGSTOP), said
    assert same(one.folder, two.folder)
    assert [r["round"] for r in rows] == [1, *range(50, 6001, 50)]  # each once, whoever died
    assert [{k: v for k, v in r.items() if "per_s" not in k and k != "seconds"} for r in lines(tmp_path / "one/metrics.jsonl")] == \
        [{k: v for k, v in r.items() if "per_s" not in k and k != "seconds"} for r in lines(tmp_path / "two/metrics.jsonl")]


def test_workers_that_die_too_often_are_given_up_and_the_run_can_be_gone_on_with(tmp_path):
    settings = {**FLEET, "rounds": 4000, "log_every": 50, "checkpoint_every": 100, "eval": {**FLEET["eval"], "every": 4000}}
    hit = []

    def strike(row):
        if row["round"] >= 500 and not hit:
            hit.append(worker_pids()[1])
            os.kill(hit[0], signal.SIGKILL)

    with pytest.raises(RuntimeError, match="resume=True"):
        symma.ray.train(settings, num_workers=2, out=tmp_path / "run", progress=False, loggers=[strike], max_failures=0)
    more = symma.ray.train(resume=True, out=tmp_path / "run", num_workers=3, progress=False)
    one = symma.train(settings, out=tmp_path / "one", progress=False)
    assert same(one.folder, more.folder)


def test_an_interrupt_stops_all_and_saves(tmp_path):
    code = textwrap.dedent(f"""
        import os, signal, symma
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs have it ignored
        symma.ray.start(num_cpus=2, logging_level="ERROR", log_to_driver=False)
        def strike(row):
            if row["round"] == 200: os.kill(os.getpid(), signal.SIGINT)
        run = symma.ray.train({dict(FLEET, rounds=10**6, log_every=100)!r}, num_workers=2, out={str(tmp_path / 'run')!r}, progress=False, loggers=[strike])
        print(run.round, run.finished)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rounds = int(done.stdout.split()[-2])
    assert 200 <= rounds < 10**6 and done.stdout.split()[-1] == "False" and "resume=True" in done.stderr
    import symma._engine as engine

    e = engine.Experiment.build("", dict(FLEET, rounds=10**6, log_every=100), "x")
    whole = engine.RunState(e)
    for _ in range(rounds):
        engine.round(e, whole)
    assert np.array_equal(whole.theta.numpy(), symma.open(tmp_path / "run").theta)


def test_a_sweep_in_tasks_is_the_sweep(tmp_path, root, program):
    file = tmp_path / "sine.toml"
    file.write_text('agents = 3\nrounds = 30\n[task]\nkind = "sinusoid"\n[model]\nhidden = [16]\n[eval]\ntasks = 10\n')
    over = {"exchange.topology": ["none", "ring"], "seed": [1, 2]}
    told = []
    swept = symma.ray.sweep(file, over, out=tmp_path / "ray", progress=told.append, learner={"order": 1})
    assert sorted(swept.runs) == ["topology=none,seed=1", "topology=none,seed=2", "topology=ring,seed=1", "topology=ring,seed=2"] and not swept.failed
    assert [t["done"] for t in told] == [1, 2, 3, 4]
    here = symma.sweep(file, over, out=tmp_path / "here", progress=False, learner={"order": 1})
    assert all(same(swept.runs[name].folder, run.folder) for name, run in here.runs.items())
    assert len(here.table) and swept.table.drop(columns="seconds").equals(here.table.drop(columns="seconds")) and swept.standing == here.standing
    # The program finds nothing left to do in either, and judges as they did.
    words = [program, "sweep", file, "--over", "exchange.topology=none,ring", "--over", "seed=1,2", "--set", "learner.order=1", "--out", tmp_path / "ray", "--json"]
    before = (tmp_path / "ray/sweep.csv").read_text()
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ray/sweep.csv").read_text() == before


def test_a_run_of_a_sweep_that_fails_costs_no_other(tmp_path):
    swept = symma.ray.sweep(FLEET, {"learner.inner_lr": [0.1, -1]}, out=tmp_path / "s", progress=False, rounds=5)
    assert list(swept.runs) == ["inner_lr=0.1"] and len(swept.failed) == 1 and "inner_lr" in swept.failed[0]


def test_tune_searches_eight_settings(tmp_path):
    tune = pytest.importorskip("ray.tune", reason="ray[tune] is not installed")
    rates = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 1.0]
    searched = symma.ray.trainable(FLEET, rounds=150, agents=2, eval={"tasks": 20, "steps": [0, 1], "every": 50})
    assert searched.mode == "min"
    found = tune.Tuner(searched, param_space={"learner.inner_lr": tune.grid_search(rates)}, tune_config=tune.TuneConfig(metric="score", mode=searched.mode),
                       run_config=tune.RunConfig(storage_path=str(tmp_path / "tune"), name="t", verbose=0)).fit()
    assert len(found) == 8 and not found.errors
    scores = {r.config["learner.inner_lr"]: r.metrics["score"] for r in found}
    # What Tune was told is what the same run says by itself, and the best of it is found: by validation, with the test beside it.
    alone = symma.train(FLEET, rounds=150, agents=2, eval={"tasks": 20, "steps": [0, 1], "every": 50}, learner={"inner_lr": 1e-2}, out=tmp_path / "alone", progress=False)
    assert scores[1e-2] == list(alone.metrics["validation/mse/1"])[-1] and all(r.metrics["finished"] == 1 for r in found)
    tested = {r.config["learner.inner_lr"]: r.metrics["test/mse/1"] for r in found}
    assert tested[1e-2] == alone.summary["eval"]["mean"][-1] != scores[1e-2]
    best = found.get_best_result().config["learner.inner_lr"]
    assert scores[best] == min(scores.values()) and scores[best] < scores[1e-6]


def test_a_start_that_fails_is_tried_again_aloud():
    """Ray gets no time to start its first process."""
    code = """
        import symma
        try:
            symma.ray.start(tries=2, num_cpus=1, logging_level="ERROR")
        except Exception as e:
            print("refused", type(e).__name__)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "RAY_gcs_server_port_wait_time_s": "0"})
    told = [line for line in done.stderr.splitlines() if line.startswith("symma.ray: Ray did not start")]
    assert "refused" in done.stdout and "trying again (2 of 2)" in told[0] and "given up after 2 tries" in told[1], done.stderr


def test_the_first_block_of_the_page_runs(root, tmp_path, monkeypatch):
    import re

    block = re.search(r"```python\n(.*?)```", (root / "docs/ray.md").read_text(), re.S)[1]
    monkeypatch.chdir(tmp_path)
    exec(block.replace('"examples/', f'"{root}/examples/').replace("num_workers=2", "num_workers=2, rounds=20").replace("rounds=500", "rounds=5"), {})
    assert symma.open("runs/collaborate").round == 20 and len(os.listdir("sweeps/sinusoid/runs")) == 6


def test_wrong_calls(tmp_path, wrong):
    out = tmp_path / "no"
    for workers in (0, -1, 2.5, "3", True, None):
        wrong(lambda: symma.ray.train(FLEET, num_workers=workers, out=out), "num_workers", repr(workers), "whole number")
    wrong(lambda: symma.ray.train(FLEET, num_workers=8, out=out), "processes", "8 for 7 agents", "at most 7")
    wrong(lambda: symma.ray.train(FLEET, threads=0, out=out), "threads", "0")
    wrong(lambda: symma.ray.train(FLEET, max_failures=-1, out=out), "max_failures", "-1")
    wrong(lambda: symma.ray.train(FLEET, rounds=0, out=out), "rounds", "out of range")
    wrong(lambda: symma.ray.train(num_workers=2), "symma.ray.train", "no experiment")
    wrong(lambda: symma.ray.train(resume=True), "symma.ray.train", "no run to resume")
    wrong(lambda: symma.ray.train(FLEET, loggers=[3], out=out), "loggers", "not callable")
    wrong(lambda: symma.ray.train(FLEET, server={"secure": True, "share": 0.5}, exchange="star", compression={"kind": "none"}, out=out), "server.crowd", "of its own")
    held = Lines()
    held.lock = threading.Lock()
    wrong(lambda: symma.ray.train(FLEET, task=held, out=out), "symma.ray.train", "cannot be sent", "locks")
    wrong(lambda: symma.ray.sweep(FLEET, {}, out=out), "symma.sweep", "nothing to go over")
    wrong(lambda: symma.ray.sweep(FLEET, {"seed": 3}, out=out), "over: seed", "3", "list")
    wrong(lambda: symma.ray.sweep(FLEET, {"learner.lrx": [1, 2]}, out=out), "lrx", "unknown key")
    wrong(lambda: symma.ray.trainable(FLEET, learner="mmaml"), "[learner] kind", "mmaml", "maml")
    assert not out.exists()
    symma.train(FLEET, rounds=1, out=out, progress=False)
    # What only the first worker finds is said as here.
    wrong(lambda: symma.ray.train(FLEET, rounds=1, num_workers=2, out=out, progress=False), str(out), "holds a run already", "resume=True")
