"""The loop in one's own hands."""
import copy
import pickle

import numpy as np
import pytest
import torch

import symma

GIVEN = dict(model={"kind": "mlp", "hidden": [16]}, learner={"kind": "maml", "inner_steps": 2}, tasks="sinusoid", agents=6, seed=3)


def fleet(**more) -> symma.Fleet:
    return symma.Fleet(**{**GIVEN, **more})


@pytest.mark.parametrize("exchange", [None, "ring", {"topology": "star"}, {"topology": "full", "every": 1}])
def test_a_loop_by_hand_is_the_engines_bit_for_bit(exchange):
    by_hand, whole = fleet(exchange=exchange), fleet(exchange=exchange)
    for _ in range(20):
        told = by_hand.step(by_hand.sample())
        by_hand.exchange()
        whole.round()
        assert told["loss"].shape == (6,) and np.isfinite(told["loss"]).all()
    assert torch.equal(by_hand.theta, whole.theta) and by_hand.rounds == whole.rounds == 20 and by_hand.bits == whole.bits


def test_partial_participation_too():
    by_hand, whole = fleet(exchange="star", server={"share": 0.5}), fleet(exchange="star", server={"share": 0.5})
    for _ in range(20):
        batch = by_hand.sample()
        if batch.agents:
            by_hand.step(batch)
        else:
            by_hand.round()
            whole.round()
            continue
        by_hand.exchange()
        whole.round()
    assert torch.equal(by_hand.theta, whole.theta)


def test_it_is_what_train_does(tmp_path):
    run = symma.train({"name": "f", "agents": 6, "seed": 3, "rounds": 20, "task": "sinusoid", "model": GIVEN["model"], "learner": GIVEN["learner"],
                       "exchange": "ring", "eval": {"tasks": 8}}, out=tmp_path / "r", progress=False)
    f = fleet(exchange="ring")
    for _ in range(20):
        f.round()
    assert np.array_equal(f.theta.numpy(), run.theta)
    judged = f.evaluate(tasks=8)
    assert judged["summary"]["mean"] == run.summary["eval"]["mean"]
    scores = judged["scores"]["mse"]
    assert scores.shape == (6, 4, 8) and scores.mean(axis=(0, 2)) == pytest.approx(judged["summary"]["mean"])


def test_losses_can_be_differentiated_from_python():
    f = fleet()
    batch = f.sample("test", agents=[0, 0, 3])
    rows = f.theta[[0, 0, 3]].requires_grad_()
    grad, = torch.autograd.grad(batch.tasks.loss(rows, "query").sum(), rows, create_graph=True)
    # Against differences, and once more against differences of that.
    d = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0)).double()
    f64 = symma.Fleet(**{**GIVEN}, precision="float64")
    b64 = f64.sample("test", agents=[0, 0, 3])
    at = f64.theta[[0, 0, 3]]
    loss = lambda r: b64.tasks.loss(r, "query").sum()
    h = 1e-5
    r = at.clone().requires_grad_()
    g, = torch.autograd.grad(loss(r), r, create_graph=True)
    assert float((g * d).sum()) == pytest.approx(float((loss(at + h * d) - loss(at - h * d)) / (2 * h)), rel=1e-5)
    hd, = torch.autograd.grad((g * d).sum(), r)
    gp, gm = (torch.autograd.grad(loss(q), q)[0] for q in [(at + h * d).requires_grad_(), (at - h * d).requires_grad_()])
    assert torch.allclose(hd, (gp - gm) / (2 * h), rtol=1e-3, atol=1e-5)


def test_adapting_and_predicting():
    f = fleet()
    for _ in range(100):
        f.step(f.sample())
    batch = f.sample("test")
    rows = f.adapt(batch, [0, 1, 5])
    assert [tuple(r.shape) for r in rows] == [(6, f.about["parameters"])] * 3
    data = batch.tasks.data
    out = f.predict(rows[2], data["query_x"])
    mse = ((out - data["query_y"]) ** 2).mean((1, 2))
    assert mse.tolist() == pytest.approx(batch.tasks.score(rows[2])["mse"].tolist(), rel=1e-5)


def test_rows_can_be_set_saved_and_loaded(tmp_path):
    f = fleet()
    f.theta = np.ones(tuple(f.theta.shape))
    assert float(f.theta.sum()) == f.theta.numel()
    f.round()
    f.save(tmp_path / "c.safetensors")
    g = fleet()
    g.load(tmp_path / "c.safetensors")
    f.round(), g.round()
    assert torch.equal(f.theta, g.theta)


def test_wrong_calls(wrong):
    f = fleet()
    wrong(lambda: f.step(3), "step", "no batch")
    wrong(lambda: f.sample("tset"), "split", "tset", "test")
    wrong(lambda: f.sample(agents=[9]), "agents", "no agent 9", "0 to 5")
    wrong(lambda: setattr(f, "theta", torch.zeros(2, 2)), "theta", "shape")
    wrong(lambda: setattr(f, "theta", f.theta.double()), "theta", "type")
    wrong(lambda: setattr(f, "theta", f.theta.requires_grad_()), "theta", "gradients", "detach")
    wrong(lambda: setattr(f, "theta", np.full(tuple(f.theta.shape), np.nan)), "theta", "nan")
    wrong(lambda: f.adapt(f.sample("test", agents=[0, 1]), [1]), "adapt", "2 tasks")
    wrong(lambda: f.adapt(f.sample("test"), [5, 1]), "steps", "ascending")
    wrong(lambda: f.evaluate(tasks=0), "tasks", "0")
    wrong(lambda: f.evaluate(split="nope"), "split", "nope")
    wrong(lambda: symma.Fleet(tasks=3), "TaskFamily", "3")
    wrong(lambda: symma.Fleet(exchange="rign"), "topology", "rign", "ring")
    wrong(lambda: f.adapt("nothing"), "adapt", "no batch but str")


def test_a_batch_of_another_fleet(wrong):
    """One of fewer agents was learned from by the first of them alone, and the others stood still."""
    six = fleet()
    few, wide, three = (fleet(agents=3), fleet(model={"hidden": [8, 8]}),
                          fleet(tasks=lambda key: (np.zeros((2, 3)), np.zeros((2, 1)), np.zeros((2, 3)), np.zeros((2, 1)))))
    before = six.theta
    for place, call in (("step", six.step), ("adapt", lambda batch: six.adapt(batch, [1]))):
        wrong(lambda: call(few.sample()), place, "of a fleet of 3 agents, and this one has 6", "sample gave")
        wrong(lambda: call(wide.sample()), place, "another model", "sample gave")
        wrong(lambda: call(three.sample()), place, "[3] to 1, and this fleet learns \"sinusoid\", [1] to 1", "sample gave")
    assert torch.equal(six.theta, before) and six.rounds == 0
    # Another family of the same shape, for as many, is what a curriculum is made of.
    hard = fleet(tasks={"kind": "sinusoid", "shots": 3})
    six.step(hard.sample())
    assert not torch.equal(six.theta, before)


def test_a_fleet_says_that_it_cannot_be_sent(wrong):
    for sent in (pickle.dumps, copy.copy, copy.deepcopy):
        wrong(lambda: sent(fleet()), "symma.Fleet", "another process", "save(path)")


def test_wrong_rows_points_batches_and_keys(wrong):
    """Each kind of wrong, at each door: shape, type, device, not a number, read-only (which is right), and what is no such thing."""
    import torch

    fleet = symma.Fleet({"hidden": [8]}, "maml", "sinusoid", exchange="ring", agents=4)
    q, batch = fleet.theta.shape[1], fleet.sample()
    many = fleet.theta.repeat_interleave(4, 0)
    nan, meta = float("nan"), torch.zeros(4, q, device="meta")

    def set_theta(x):
        def call():
            fleet.theta = x
        return call

    before = fleet.theta
    wrong(set_theta(np.full((4, q), nan)), "theta", "nan")
    wrong(set_theta(torch.full((4, q), nan)), "theta", "nan")
    wrong(set_theta(torch.full((4, q), float("inf"))), "theta", "inf")
    wrong(set_theta(torch.zeros(4, q, dtype=torch.int64)), "theta", "shape or type")
    wrong(set_theta(torch.zeros(4, q, dtype=torch.float64)), "theta", "shape or type")
    wrong(set_theta(np.zeros((3, q))), "theta", "shape")
    wrong(set_theta(meta), "theta", "meta")
    wrong(set_theta(torch.zeros(4, q).to_sparse()), "theta", "sparse", "to_dense")
    wrong(set_theta(torch.zeros(4, q, requires_grad=True)), "theta", "gradients", "detach")
    wrong(set_theta("x"), "theta", "<U1")
    wrong(set_theta(None), "theta", "nan")
    wrong(set_theta([[1], [2, 3]]), "theta", "no array")
    assert torch.equal(fleet.theta, before)
    locked = before.numpy().copy()
    locked.flags.writeable = False
    set_theta(locked)()
    assert torch.equal(fleet.theta, before)

    x = np.zeros((4, 5, 1))
    wrong(lambda: fleet.predict(before, np.zeros((4, 5, 2))), "x", "[4, 5, 2]", "[4, K, 1]")
    wrong(lambda: fleet.predict(before, np.zeros(4)), "x", "[4]")
    wrong(lambda: fleet.predict(before[:2], x), "x", "[4, 5, 1]", "[2, K, 1]")
    wrong(lambda: fleet.predict(before, np.full((4, 5, 1), nan)), "x", "nan")
    wrong(lambda: fleet.predict(before, torch.full((4, 5, 1), nan)), "x", "nan")
    wrong(lambda: fleet.predict(before, torch.zeros(4, 5, 1, device="meta")), "x", "meta")
    wrong(lambda: fleet.predict(before[:, :3], x), "rows", "3 columns", str(q))
    wrong(lambda: fleet.predict(before.long(), x), "rows", "int64")
    wrong(lambda: fleet.predict(before[0], x), "rows", "shape")
    wrong(lambda: fleet.predict(meta, x), "rows", "meta")
    assert fleet.predict(before.numpy(), torch.zeros(4, 5, 1, dtype=torch.int64)).shape == (4, 5, 1)

    tasks = batch.tasks
    for call, name in ((lambda r: tasks.loss(r, "support"), "loss"), (tasks.score, "score")):
        wrong(lambda: call(before), "rows", "are 4", "16")
        wrong(lambda: call(many[:, :3]), "rows", "3 columns")
        wrong(lambda: call(many.long()), "rows", "int64")
        wrong(lambda: call(many[0]), "rows", "shape")
        wrong(lambda: call(many.to("meta")), "rows", "meta")
        wrong(lambda: call("x"), "rows", "<U1")
    wrong(lambda: tasks.loss(many, "suport"), "stage", "suport")
    wrong(lambda: tasks.loss(many, 3), "loss", "int")
    assert torch.allclose(tasks.loss(many.numpy(), "query"), tasks.loss(many, "query"))
    leaf = many.clone().requires_grad_()
    assert torch.autograd.grad(tasks.loss(leaf, "query").sum(), leaf)[0].abs().sum() > 0

    wrong(lambda: fleet.adapt(3), "adapt", "int", "sample")
    wrong(lambda: fleet.adapt(batch, steps="a"), "steps", "'a'")
    wrong(lambda: fleet.adapt(batch, steps=[0, 1.5]), "steps", "1.5")
    wrong(lambda: fleet.adapt(batch, steps=-1), "steps", "-1")
    wrong(lambda: fleet.adapt(batch, key=3), "key", "int", "Key")
    wrong(lambda: fleet.sample("test", agents="abc"), "agents", "'abc'")
    wrong(lambda: fleet.sample("test", agents=[0, -2]), "agents", "-2")
    wrong(lambda: fleet.sample("test", key=3), "key", "int", "Key")
    wrong(lambda: fleet.evaluate(tasks="x"), "tasks", "'x'")
    wrong(lambda: fleet.evaluate(tasks=0), "tasks", "0")
    other = symma.Fleet({"hidden": [8]}, "maml", "sinusoid", agents=3)
    wrong(lambda: other.step(batch), "step", "agent 3, and there are 3")
    for seed in ("a", -1, 1.5, 2**64, np.float32(1)):
        wrong(lambda: symma.Key(seed), "Key", repr(seed), "whole number")
    assert symma.Key(np.int64(7)) == symma.Key(7) == symma.Key(np.uint8(7)) and symma.Key(2**64 - 1).seed == 2**64 - 1
    wrong(lambda: symma.Key(1).split(3), "Key.split", "int", "name: str")
    wrong(lambda: symma.Key(1).uniform("a"), "Key.uniform", "str")
    wrong(lambda: symma.Key(1).uniform([-1]), "Key", "negative")
    wrong(lambda: symma.Key(1).choose(3, 4), "Key.choose", "4 of 3")
    wrong(lambda: symma.set_threads("a"), "threads", "str")
    wrong(lambda: symma.set_threads(1.5), "threads", "float")
