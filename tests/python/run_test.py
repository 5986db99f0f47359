"""Runs: the program's own, from Python."""
import copy
import json
import multiprocessing
import multiprocessing.pool
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import torch

import symma

SMALL = {"name": "small", "agents": 3, "rounds": 40, "task": {"kind": "sinusoid"}, "model": {"kind": "mlp", "hidden": [16]},
         "learner": {"kind": "maml", "inner_steps": 2}, "exchange": {"topology": "ring"}, "eval": {"tasks": 20, "steps": [0, 1, 5]}}


def bits(folder) -> dict:
    import symma._engine as engine

    return {k: v for k, v in engine.read_safetensors(os.path.join(folder, "checkpoint.safetensors")).items() if k != "seconds"}


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(torch.nan_to_num(a[k]), torch.nan_to_num(b[k])) for k in a)


def test_a_file_with_settings_is_what_the_program_makes_of_it_bit_for_bit(root, program, tmp_path):
    file = str(root / "examples/points/sinusoid.toml")
    run = symma.train(file, rounds=30, learner={"order": 1}, eval={"tasks": 10}, out=tmp_path / "python", progress=False)
    subprocess.run([program, "train", file, "--set", "rounds=30", "--set", "learner.order=1", "--set", "eval.tasks=10", "--out", tmp_path / "program"],
                   check=True, capture_output=True)
    assert same(bits(run.folder), bits(tmp_path / "program"))
    assert (tmp_path / "python/experiment.toml").read_text() == (tmp_path / "program/experiment.toml").read_text()
    theirs = json.loads((tmp_path / "program/summary.json").read_text())
    assert run.summary["eval"] == theirs["eval"] and run.summary["settings"] == theirs["settings"]
    opened = symma.open(tmp_path / "program")
    assert np.array_equal(opened.theta, run.theta) and opened.finished


def test_scores_metrics_summary_report(tmp_path):
    run = symma.train(SMALL, out=tmp_path / "run", progress=False)
    scores = run.scores
    assert list(scores["split"].unique()) == ["test"] and len(scores) == 3 * 20 * 3
    by_task = scores[scores["steps"] == 5].groupby("task")["mse"].mean()
    assert by_task.mean() == pytest.approx(run.summary["eval"]["mean"][2], rel=1e-6)
    metrics = run.metrics
    assert list(metrics["round"])[-1] == 40 and metrics["loss"].notna().all() and "validation/mse/5" in metrics
    assert "<html" in run.report.html and "srcdoc" in run.report._repr_html_()
    assert "small" in str(run) and "mse" in run._repr_html_()
    assert run.settings["exchange"]["topology"] == "ring"


def test_without_pandas_tables_are_dicts_of_arrays(tmp_path, monkeypatch):
    run = symma.train({**SMALL, "rounds": 2}, out=tmp_path / "run", progress=False)
    monkeypatch.setitem(sys.modules, "pandas", None)
    scores = run.scores
    assert isinstance(scores, dict) and scores["mse"].shape == (180,) and scores["agent"].dtype == np.int64


def test_names_of_folders(tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    few = {**SMALL, "rounds": 1}
    assert [symma.train(few, progress=False).folder for _ in range(2)] == ["runs/small", "runs/small-2"]
    wrong(lambda: symma.train(few, out="runs/small"), "runs/small", "holds a run already", "resume=True")
    assert symma.train(few, out="runs/small", force=True, progress=False).finished
    more = symma.train(out="runs/small", resume=True, rounds=3, progress=False)
    assert more.round == 3


def beside(seed):
    return os.path.basename(symma.train({**SMALL, "rounds": 5, "seed": seed}, progress=False).folder)


def test_runs_that_begin_together_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with multiprocessing.get_context("spawn").Pool(3) as others, multiprocessing.pool.ThreadPool(3) as threads:
        there = others.map_async(beside, range(3))
        here = threads.map(beside, range(3))
        names = here + there.get()
    assert sorted(names) == ["small", *(f"small-{n}" for n in range(2, 7))]
    assert all(symma.open(tmp_path / "runs" / name).finished for name in names)


def test_a_run_that_is_refused_leaves_no_folder(tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)

    class Unwilling:
        def begin(self, about, folder):
            raise KeyError(folder)

        def __call__(self, row):
            pass

    for given, what in ((dict(loggers=[3]), symma.UserError), (dict(loggers=[Unwilling()]), KeyError), (dict(learner={"kind": "maml", "inner_lr": -1.0}), symma.UserError)):
        with pytest.raises(what):
            symma.train({**SMALL, "rounds": 1}, progress=False, **given)
    assert beside(1) == "small"
    (tmp_path / "runs/small-2").write_text("a file")
    assert beside(1) == "small-3"


def test_a_run_that_is_held_can_be_gone_on_with_and_replaced(tmp_path):
    first = symma.train({**SMALL, "rounds": 2}, out=tmp_path / "run", progress=False)
    more = symma.train(resume=True, out=first.folder, rounds=4, progress=False)
    assert (first.round, more.round) == (2, 4)
    again = symma.train({**SMALL, "rounds": 1}, out=first.folder, force=True, progress=False)
    assert again.round == 1 and again.finished


def in_a_pool(seed):
    run = symma.train({**SMALL, "rounds": 3, "seed": seed}, out=f"pool-{seed}", progress=False)
    return run, run.adapt([0.0, 1.0, 2.0], [1.0, 2.0, 1.0], steps=3)


def test_runs_and_what_adapted_come_back_from_other_processes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        told = pool.map(in_a_pool, [1, 2])
    monkeypatch.chdir("/")
    for seed, (run, adapted) in zip((1, 2), told):
        here = symma.open(tmp_path / f"pool-{seed}")
        assert run.summary == here.summary and np.array_equal(run.theta, here.theta) and run.settings[""]["seed"] == seed
        want = here.adapt([0.0, 1.0, 2.0], [1.0, 2.0, 1.0], steps=3)
        assert np.array_equal(adapted.predict([0.5]), want.predict([0.5])) and (adapted.before, adapted.after) == (want.before, want.after)
        assert adapted.parameters.keys() == want.parameters.keys()
    # What adapted stays what it was, though the run goes on.
    before = adapted.predict([0.5])
    symma.train(resume=True, out=run.folder, rounds=30, progress=False)
    assert np.array_equal(pickle.loads(pickle.dumps(adapted)).predict([0.5]), before)
    assert copy.deepcopy(adapted).steps == 3


def test_progress_and_loggers_hear_of_it(tmp_path):
    told, rows = [], []
    csv = symma.loggers.CSV()
    run = symma.train(SMALL, out=tmp_path / "run", progress=told.append, loggers=[rows.append, csv], log_every=10)
    assert told[-1]["round"] == told[-1]["rounds"] == 40
    written = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [r["round"] for r in rows] == [1, 10, 20, 30, 40] and rows == written
    import pandas

    table = pandas.read_csv(tmp_path / "run/metrics.csv")
    assert list(table["round"]) == [1, 10, 20, 30, 40] and table["loss"].tolist() == pytest.approx([r["loss"] for r in rows])


def test_one_logger_needs_no_list(tmp_path, wrong):
    rows = []
    run = symma.train({**SMALL, "rounds": 2}, out=tmp_path / "one", progress=False, loggers=rows.append)
    assert [r["round"] for r in rows] == [1, 2]
    run = symma.train({**SMALL, "rounds": 2}, out=tmp_path / "csv", progress=False, loggers=symma.loggers.CSV())
    assert os.path.exists(os.path.join(run.folder, "metrics.csv"))
    for given in (3, None, "csv", [rows.append, None], {"csv": 1}):
        wrong(lambda: symma.train({**SMALL, "rounds": 2}, out=tmp_path / "no", progress=False, loggers=given), "loggers", "not callable", "functions of a dict")
    assert not (tmp_path / "no").exists()


def test_what_a_listener_raises_arrives_as_itself(tmp_path):
    class Mine(Exception):
        pass

    def raising(row):
        raise Mine("here")

    with pytest.raises(Mine, match="here"):
        symma.train(SMALL, out=tmp_path / "run", progress=False, loggers=[raising])


def test_an_interrupt_saves_and_resuming_gives_the_unbroken_run(tmp_path):
    code = textwrap.dedent(f"""
        import os, signal, threading, symma
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs have it ignored
        threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        run = symma.train({dict(SMALL, rounds=10**6, log_every=100)!r}, out={str(tmp_path / 'broken')!r}, progress=False)
        print(run.round, run.summary, run.finished)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rounds = int(done.stdout.split()[0])
    assert 0 < rounds < 10**6 and "None False" in done.stdout and "resume=True" in done.stderr
    target = rounds + 50
    import symma._engine as engine

    # A run of as many rounds in one go, and the broken one taken up; a shorter whole is not asked for.
    whole = engine.RunState(engine.Experiment.build("", dict(SMALL, rounds=10**6, log_every=100), "x"))
    e = engine.Experiment.build("", dict(SMALL, rounds=10**6, log_every=100), "x")
    broken = symma.open(tmp_path / "broken").state
    for _ in range(rounds):
        engine.round(e, whole)
    assert torch.equal(whole.theta, broken.theta)
    for _ in range(target - rounds):
        engine.round(e, whole)
        engine.round(e, broken)
    assert torch.equal(whole.theta, broken.theta)


# ---- adapting


@pytest.fixture(scope="module")
def sine(tmp_path_factory):
    return symma.train({**SMALL, "rounds": 300, "agents": 2, "learner": {"kind": "maml", "inner_steps": 1, "inner_lr": 0.02}},
                       out=tmp_path_factory.mktemp("sine") / "run", progress=False)


def points(k: int = 10):
    x = np.linspace(-4, 4, k)
    return x, 2 * np.sin(x - 1)


def test_adapting_predicts_what_the_program_predicts(sine, program, tmp_path):
    x, y = points()
    x2 = np.array([-1.5, 0.25, 3.0])
    adapted = sine.adapt(x, y, steps=7)
    got = adapted.predict(x2)
    file = tmp_path / "few.csv"
    file.write_text("x,y\n" + "".join(f"{float(a)!r},{float(b)!r}\n" for a, b in zip(x, y)) + "".join(f"{float(a)!r},\n" for a in x2))
    subprocess.run([program, "adapt", sine.folder, "--data", file, "--steps", "7", "--out", tmp_path / "out"], check=True, capture_output=True)
    theirs = [float(line.split(",")[-1]) for line in (tmp_path / "out/predictions.csv").read_text().splitlines()[1:]]
    assert got == pytest.approx(theirs, rel=1e-5)
    assert adapted.after < adapted.before


def test_what_goes_in_comes_out(sine):
    import pandas

    x, y = points()
    want = sine.adapt(x, y, steps=3).predict(x)
    assert isinstance(want, np.ndarray) and want.shape == (10,)
    t = sine.adapt(torch.tensor(x), torch.tensor(y, requires_grad=True), steps=3).predict(torch.tensor(x))
    assert isinstance(t, torch.Tensor) and t.tolist() == pytest.approx(want.tolist(), rel=1e-5)
    frame = pandas.DataFrame({"other": 0.0, "x": x}, index=[f"row{i}" for i in range(10)])
    s = sine.adapt(frame, pandas.Series(y), steps=3).predict(frame)
    assert list(s.index) == list(frame.index) and s.tolist() == pytest.approx(want.tolist(), rel=1e-6)
    assert sine.adapt(x[:, None].astype(np.float32), list(y), steps=3).predict(x).tolist() == pytest.approx(want.tolist(), rel=1e-4)
    assert sine.adapt(x, y[:, None], steps=3).predict(x).shape == (10, 1)
    locked = x.copy()
    locked.flags.writeable = False
    assert np.array_equal(sine.adapt(locked, y, steps=3).predict(locked), want)


def test_units_are_those_of_the_data(tmp_path, program):
    rng = np.random.default_rng(0)
    lines = ["patient,dose,age,level"]
    for p in range(30):
        base = rng.normal(1000, 200)
        for _ in range(25):
            dose, age = rng.uniform(100, 900), rng.uniform(20, 80)
            lines.append(f"p{p},{dose},{age},{base + 5 * dose + rng.normal(0, 10)}")
    data = tmp_path / "table.csv"
    data.write_text("\n".join(lines) + "\n")
    run = symma.train(task={"kind": "table", "path": str(data), "group": "patient", "target": "level", "shots": 10, "queries": 10}, learner={"inner_lr": 0.05},
                      rounds=300, name="table", eval={"tasks": 10}, out=tmp_path / "run", progress=False)
    x = np.stack([rng.uniform(100, 900, 12), rng.uniform(20, 80, 12)], 1)
    y = 1100 + 5 * x[:, 0]
    got = run.adapt(x, y, steps=10).predict(x)
    assert np.abs(got - y).mean() < 0.3 * y.std()      # of thousands: had the units been those of the network, all would be near 0
    few = tmp_path / "few.csv"
    few.write_text("dose,age,level\n" + "".join(f"{a},{b},{c}\n" for (a, b), c in zip(x, y)) + "".join(f"{a},{b},\n" for a, b in x))
    subprocess.run([program, "adapt", run.folder, "--data", few, "--steps", "10", "--out", tmp_path / "out"], check=True, capture_output=True)
    theirs = [float(line.split(",")[-1]) for line in (tmp_path / "out/predictions.csv").read_text().splitlines()[1:]]
    assert got == pytest.approx(theirs, rel=1e-4)


@pytest.fixture
def levels(tmp_path, monkeypatch):
    """A run on levels.csv, which its file names as it lies beside it: as one trains who stands in the folder of the data."""
    rng = np.random.default_rng(0)
    rows = [f"p{p},{d:.4f},{1000 + 20 * p + 5 * d:.4f}" for p in range(12) for d in rng.uniform(100, 900, 12)]
    there = tmp_path / "there"
    there.mkdir()
    (there / "levels.csv").write_text("patient,dose,level\n" + "\n".join(rows) + "\n")
    monkeypatch.chdir(there)
    return symma.train(task={"kind": "table", "path": "levels.csv", "group": "patient", "target": "level", "shots": 5, "queries": 5}, model={"hidden": [8]},
                       learner={"inner_lr": 0.05}, rounds=20, agents=1, name="levels", eval={"tasks": 5}, out=there / "run", progress=False)


EXAMPLES = np.array([200.0, 500.0, 800.0]), np.array([2100.0, 3600.0, 5100.0])


def test_a_run_is_opened_where_its_data_are_not(levels, tmp_path, monkeypatch):
    want, rows = levels.adapt(*EXAMPLES).predict([300.0, 700.0]), levels.theta
    here = tmp_path / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)
    for gone in (False, True):
        if gone:
            os.remove(tmp_path / "there/levels.csv")
        run = symma.open(levels.folder)
        assert run.settings == levels.settings and run.settings["task"]["known"] == ""
        assert run.round == 20 and np.array_equal(run.theta, rows) and torch.equal(run.state.theta, levels.state.theta)
        assert np.array_equal(run.adapt(*EXAMPLES).predict([300.0, 700.0]), want)


def test_a_run_goes_on_where_its_data_are_not(levels, tmp_path, monkeypatch, wrong):
    whole = symma.train(levels.settings[""] | {k: v for k, v in levels.settings.items() if k}, rounds=40, out=tmp_path / "whole", progress=False)
    here = tmp_path / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)
    more = symma.train(resume=True, out=levels.folder, rounds=40, progress=False)
    assert more.round == 40 and np.array_equal(more.theta, whole.theta) and more.settings == whole.settings
    data = tmp_path / "there/levels.csv"
    data.write_text(data.read_text().replace("p3,", "p4,"))
    wrong(lambda: symma.train(resume=True, out=levels.folder, rounds=60, progress=False), "levels.csv", "changed")
    os.remove(data)
    wrong(lambda: symma.train(resume=True, out=levels.folder, rounds=60, progress=False), "levels.csv", "")


def test_data_that_changed_since_are_noticed_and_not_gone_by(levels, program):
    want = levels.adapt(*EXAMPLES).predict([300.0, 700.0])
    lines = pathlib.Path("levels.csv").read_text().splitlines()
    times = [",".join([w[0], str(100 * float(w[1])), str(100 * float(w[2]))]) for w in (line.split(",") for line in lines[1:])]
    pathlib.Path("levels.csv").write_text("\n".join([lines[0], *times]) + "\n")
    run = symma.open(levels.folder)
    with pytest.warns(UserWarning, match="levels.csv has changed since training"):
        got = run.adapt(*EXAMPLES).predict([300.0, 700.0])
    assert np.array_equal(got, want)
    few = pathlib.Path("few.csv")
    few.write_text("dose,level\n" + "".join(f"{a},{b}\n" for a, b in zip(*EXAMPLES)) + "300,\n700,\n")
    subprocess.run([program, "adapt", levels.folder, "--data", few, "--out", "out"], check=True, capture_output=True)
    theirs = [float(line.split(",")[-1]) for line in pathlib.Path("out/predictions.csv").read_text().splitlines()[1:]]
    assert got == pytest.approx(theirs, rel=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.adapt(*EXAMPLES)  # said once


def test_labels_come_back_as_labels(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["who,a,b,kind"]
    for p in range(20):
        turn = rng.uniform(0, 1)
        for _ in range(30):
            a, b = rng.normal(size=2)
            lines.append(f"p{p},{a},{b},{'yes' if a + turn * b > 0 else 'no'}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    run = symma.train(task={"kind": "table", "path": str(tmp_path / "t.csv"), "group": "who", "target": "kind", "predict": "classification", "shots": 5, "queries": 5},
                      learner={"inner_lr": 0.1}, rounds=300, name="labels", eval={"tasks": 10}, out=tmp_path / "run", progress=False)
    x = rng.normal(size=(20, 2))
    y = np.where(x[:, 0] + 0.5 * x[:, 1] > 0, "yes", "no")
    adapted = run.adapt(x, y, steps=10)
    p = adapted.predict_proba(x)
    assert set(adapted.predict(x)) <= {"yes", "no"} and (adapted.predict(x) == y).mean() > 0.8
    assert p.shape == (20, 2) and np.allclose(p.sum(1), 1) and adapted.labels == sorted({"yes", "no"}, key=adapted.labels.index)


def test_a_plain_module_says_the_same(sine):
    x, y = points()
    adapted = sine.adapt(x, y, steps=3)
    module = adapted.to_torch()
    assert type(module) is torch.nn.Sequential and not any("symma" in type(m).__module__ for m in module.modules())
    with torch.no_grad():
        got = module(torch.tensor(x, dtype=torch.float32)[:, None])[:, 0].numpy()
    assert got == pytest.approx(adapted.predict(x), rel=1e-5, abs=1e-6)
    assert sum(p.numel() for p in sine.to_torch(1).parameters()) == sine.about["parameters"]
    assert adapted.parameters["head.bias"].shape == (1,)


def test_wrong_examples(sine, wrong):
    x, y = points()
    bad = y.copy()
    bad[3] = np.nan
    wrong(lambda: sine.adapt(x, bad), "y", "nan", "missing")
    wrong(lambda: sine.adapt(np.full(10, np.inf), y), "x", "inf")
    wrong(lambda: sine.adapt(x, y[:4]), "y", "4 targets")
    wrong(lambda: sine.adapt(x.reshape(5, 2), y), "x", "shape [5, 2]", "[K, 1]")
    wrong(lambda: sine.adapt(np.array(["a"] * 10), y), "x", "<U1")
    wrong(lambda: sine.adapt(x + 1j, y), "x", "complex")
    wrong(lambda: sine.adapt([[1], [2, 3]], y), "x", "no array")
    wrong(lambda: sine.adapt([], []), "x", "empty")
    wrong(lambda: sine.adapt(x, y, steps=-1), "steps", "-1")
    wrong(lambda: sine.adapt(x, y, steps=1.5), "steps", "1.5")
    wrong(lambda: sine.adapt(x, y, agent=2), "agent", "no agent 2", "0 to 1")
    wrong(lambda: sine.adapt(x, y).predict([float("nan")]), "x", "nan")
    wrong(lambda: sine.adapt(x, y).predict_proba(x), "predict_proba", "numbers")
    wrong(lambda: sine.adapt(1e30 * x, 1e30 * y, steps=50), "adapt", "diverged")


def test_wrong_settings(tmp_path, wrong):
    few = {**SMALL, "rounds": 1}
    wrong(lambda: symma.train(few, roundz=3), "symma.train: roundz", "unknown key", "rounds")
    wrong(lambda: symma.train(few, learner={"inner_lrr": 3}), "[learner] inner_lrr", "unknown key", "inner_lr")
    wrong(lambda: symma.train(few, learner="mmaml"), "[learner] kind", "mmaml", "maml")
    wrong(lambda: symma.train(few, learner={"epochs": 3}), "[learner] epochs", "not of maml")
    wrong(lambda: symma.train(task="sinusoid", learner={"kind": "scratch", "order": 1}), "[learner] order", "not of scratch")
    wrong(lambda: symma.train(few, rounds=0), "rounds", "out of range")
    wrong(lambda: symma.train(few, rounds=1.5), "rounds", "1.5", "integer")
    wrong(lambda: symma.train(few, rounds=10**30), "rounds", "64 bits")
    wrong(lambda: symma.train(few, learner={"inner_lr": float("nan")}), "inner_lr", "nan")
    wrong(lambda: symma.train(few, learner={"inner_lr": object()}), "learner.inner_lr", "type object")
    wrong(lambda: symma.train(few, learner={1: 2}), "learner", "no string")
    wrong(lambda: symma.train(tmp_path / "none.toml"), "none.toml", "no such file")
    wrong(lambda: symma.train(3), "symma.train", "no int")
    wrong(lambda: symma.train(), "symma.train", "no experiment")
    wrong(lambda: symma.train(resume=True), "symma.train", "no run to resume")
    wrong(lambda: symma.train(few, device="tpu"), "device", "tpu", "cpu, cuda")
    if not torch.cuda.is_available():
        wrong(lambda: symma.train(few, device="cuda"), "device", "no CUDA", "use cpu")
    wrong(lambda: symma.train(few, loggers=[3], out=tmp_path / "r"), "loggers", "not callable")
    wrong(lambda: symma.open(tmp_path), str(tmp_path), "holds no run")
    wrong(lambda: symma.set_threads(-1), "threads", "-1")
    wrong(lambda: symma.parts("Larner"), "parts", "Larner")
    wrong(lambda: symma.load("/none.so"), "none.so", "cannot open")
    assert symma.train(few, learner={"inner_lr": np.float32(0.5), "inner_steps": np.int64(2)}, out=tmp_path / "n", progress=False).settings["learner"]["inner_lr"] == 0.5


def test_a_sweep_is_the_programs(program, tmp_path, wrong):
    file = tmp_path / "sine.toml"
    file.write_text('agents = 3\nrounds = 30\n[task]\nkind = "sinusoid"\n[model]\nhidden = [16]\n[eval]\ntasks = 10\n')
    over = {"exchange.topology": ["none", "ring"], "seed": [1, 2]}
    told = []
    swept = symma.sweep(file, over, out=tmp_path / "python", progress=told.append, learner={"order": 1})
    words = [program, "sweep", file, "--over", "exchange.topology=none,ring", "--over", "seed=1,2", "--set", "learner.order=1", "--json", "--out"]
    subprocess.run([*words, tmp_path / "program"], check=True, capture_output=True)
    theirs = symma.Sweep(tmp_path / "program")
    assert [t["run"] for t in told] == list(swept.runs) == list(theirs.runs) and len(told) == 4
    assert all(same(bits(run.folder), bits(theirs.runs[name].folder)) for name, run in swept.runs.items())
    assert swept.table.drop(columns="seconds").equals(theirs.table.drop(columns="seconds")) and swept.standing == theirs.standing
    # Each goes on with the other's: nothing is left to do, and more seeds are as many runs more.
    subprocess.run([*words, tmp_path / "python"], check=True, capture_output=True)
    told.clear()
    # A reader of what was there reads on, whole: files are replaced, never written over.
    names = ["sweep.json", "sweep.csv", "report.html"]
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in names:
        os.link(tmp_path / "program" / name, kept / name)
    before = {name: (kept / name).read_bytes() for name in names}
    more = symma.sweep(file, ["exchange.topology=none,ring", "seed=1..3"], out=tmp_path / "program", progress=told.append, learner={"order": 1})
    assert len(told) == 2 and len(more.runs) == 6
    for name in names:
        assert (kept / name).read_bytes() == before[name] != (tmp_path / "program" / name).read_bytes(), name
    wrong(lambda: symma.sweep(file, over, out=tmp_path / "program", learner={"order": 2}), str(tmp_path / "program"), "another experiment", "force=True")
    # Two settings that end in the same word.
    symma.sweep(file, {"tasks": [5]}, out=tmp_path / "shared", progress=False, rounds=2)
    wrong(lambda: symma.sweep(file, {"eval.tasks": [5]}, out=tmp_path / "shared", rounds=2), "tasks=5", "holds a run of other settings", "choose another out=")
    wrong(lambda: symma.sweep(file, {}), "symma.sweep", "nothing to go over")
    wrong(lambda: symma.sweep(file, {"seed": []}), "seed", "empty")
    wrong(lambda: symma.sweep(file, {"seed": "1"}), "over: seed", "'1'", "list")
    wrong(lambda: symma.sweep(file, ["seed"]), "seed", "key=value")
    wrong(lambda: symma.sweep(file, {"seedd": [1]}), "seedd", "unknown key")
    wrong(lambda: symma.Sweep(tmp_path), str(tmp_path), "holds no sweep")
    # What is laid over all runs is of those whose parts have it; runs that would be the same are refused.
    kinds = {"learner.kind": ["maml", "scratch"]}
    for source in (file, {"task": "sinusoid", "agents": 3, "model": {"hidden": [16]}, "eval": {"tasks": 10}, "name": "sine"}):
        both = symma.sweep(source, kinds, out=tmp_path / "kinds", force=True, progress=False, rounds=2, learner={"order": 1})
        assert both.runs["kind=maml"].settings["learner"]["order"] == 1 and "order" not in both.runs["kind=scratch"].settings["learner"]
    wrong(lambda: symma.sweep(file, {"learner.epochs": [1, 2]}), "[learner] epochs", "not of maml")
    wrong(lambda: symma.sweep(file, {**kinds, "learner.order": [1, 2]}), "[learner] order", "not of scratch")
    wrong(lambda: symma.sweep(file, kinds, learner={"epochs": 3}), "[learner] epochs", "not of maml")
    failing = symma.sweep(file, {"learner.inner_lr": [0.1, -1.0]}, out=tmp_path / "failing", progress=False, rounds=2)
    assert list(failing.runs) == ["inner_lr=0.1"] and "inner_lr" in failing.failed[0]
