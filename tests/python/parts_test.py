"""Parts written in Python, beside the engine's."""
import os
import pathlib
import subprocess
import sys
import threading
import time

import gymnasium
import numpy as np
import pettingzoo
import pytest
import torch

import symma

EVAL = {"tasks": 12, "steps": [0, 1, 5]}


class Lines(symma.TaskFamily):
    """Straight lines."""

    def __init__(self, shots=5, queries=10, steepest=3.0):
        self.shots, self.queries, self.steepest = shots, queries, steepest

    def sample(self, agent, key):
        slope, height = key.uniform([2], -self.steepest, self.steepest)
        x = key.split("x").uniform([self.shots + self.queries, 1], -1, 1)
        y = slope * x + height
        return x[:self.shots], y[:self.shots], x[self.shots:], y[self.shots:]


def train(tmp_path, name="r", **settings):
    return symma.train({"name": name, "agents": 2, "rounds": 60, "model": {"hidden": [16]}, "learner": {"inner_lr": 0.1}, "eval": EVAL, **settings},
                       out=tmp_path / name, progress=False)


def test_a_family_learns_and_does_not_depend_on_threads(tmp_path):
    symma.register("lines_py", Lines, replace=True)
    assert symma.parts("TaskFamily")["lines_py"]["summary"] == "Straight lines."
    options = {o["name"]: o["default"] for o in symma.parts("TaskFamily")["lines_py"]["options"]}
    assert options == {"shots": 5, "queries": 10, "steepest": 3.0}
    before, rows = symma.threads(), []
    try:
        for threads in (1, 2):
            symma.set_threads(threads)
            run = train(tmp_path, f"t{threads}", task={"kind": "lines_py", "shots": 6}, rounds=300)
            rows.append(run.theta)
    finally:
        symma.set_threads(before)
    assert np.array_equal(*rows)
    mean = run.summary["eval"]["mean"]
    assert mean[2] < 0.5 * mean[0]
    assert symma.open(run.folder).adapt([0.0, 0.5, 1.0], [1.0, 2.0, 3.0], steps=5).predict([0.25]).shape == (1,)


def test_a_family_is_the_engines_where_it_draws_the_same(tmp_path):
    """A family in Python that hands on what the engine's sinusoid drew trains to the same rows, bit for bit."""
    cache = {}
    f = symma.Fleet({"hidden": [16]}, "maml", "sinusoid", agents=2)

    class Cached(symma.TaskFamily):
        inputs, outputs = 1, 1

        def sample(self, agent, key, split):
            return cache[agent, key]

    g = symma.Fleet({"hidden": [16]}, "maml", Cached(), agents=2)
    for r in range(3):
        batch = f.sample()
        data = {k: v.numpy() for k, v in batch.tasks.data.items()}
        rng = symma.Key(1).split("round", r).split("tasks")
        for b in range(8):
            key = rng.split("agent", b // 4).split("task", b % 4).split("train")
            cache[b // 4, key] = tuple(data[n][b] for n in ("support_x", "support_y", "query_x", "query_y"))
        f.step(batch)
        g.step(g.sample())
    assert torch.equal(f.theta, g.theta)


def test_a_function_and_classes(tmp_path):
    class Blobs(symma.TaskFamily):
        inputs, classes = 2, 3

        def sample(self, agent, key, split):
            centres = key.normal([3, 2])
            label = np.tile(np.arange(3), 5)
            points = centres[label] + 0.2 * key.split("noise").normal([15, 2])
            return points[:6], label[:6], torch.tensor(points[6:]), torch.tensor(label[6:])

    run = train(tmp_path, task=Blobs(), rounds=200)
    assert run.summary["eval"]["metric"] == "accuracy" and run.summary["eval"]["mean"][2] > run.summary["eval"]["mean"][0]
    fleet = symma.Fleet({"hidden": [8]}, "maml", lambda key: Lines().sample(0, key))
    fleet.step(fleet.sample())


BAD_TASKS = {
    "no tuple": (lambda x, y: x, "no tuple", "support_x"),
    "nan": (lambda x, y: (x, y * np.nan, x, y), "nan", "finite"),
    "shape": (lambda x, y: (x[:, :, None], y, x, y), "shape [5, 1, 1]", "[K, 1]"),
    "targets": (lambda x, y: (x, y[:3], x, y), "5 points and 3 targets", "target"),
    "none": (lambda x, y: (x, None, x, y), "is None", "numpy"),
    "empty": (lambda x, y: (x[:0], y[:0], x, y), "is empty", "one point"),
    "no queries": (lambda x, y: (x, y, torch.tensor(x[:0]), torch.tensor(y[:0])), "is empty", "one point"),
    "words": (lambda x, y: (np.array(["a"] * 5), y, x, y), "array of numbers", "numpy"),
}


@pytest.mark.parametrize("case", BAD_TASKS)
def test_wrong_tasks(case, wrong):
    give, what, remedy = BAD_TASKS[case]

    class Bad(symma.TaskFamily):
        inputs = outputs = 1

        def sample(self, agent, key):
            x = key.uniform([5, 1])
            return give(x, x)

    fleet = symma.Fleet({"hidden": [4]}, "maml", Bad())
    if case == "words":
        with pytest.raises((symma.UserError, ValueError)):
            fleet.sample()
    else:
        wrong(fleet.sample, "Bad", what, remedy)


def test_tasks_of_unequal_size_and_labels_out_of_range(wrong):
    class Uneven(symma.TaskFamily):
        inputs = outputs = 1

        def sample(self, agent, key):
            x = np.zeros((3 + agent, 1))
            return x, x, x, x

    wrong(symma.Fleet({"hidden": [4]}, "maml", Uneven(), agents=2).sample, "Uneven", "4 points", "as many")

    class Labels(symma.TaskFamily):
        inputs, classes = 1, 2

        def sample(self, agent, key):
            return np.zeros((2, 1)), np.array([0, 2]), np.zeros((2, 1)), np.array([0, 1])

    wrong(symma.Fleet({"hidden": [4]}, "maml", Labels()).sample, "Labels", "label 2", "0 to 1")


class Mine(Exception):
    pass


def test_what_a_part_raises_arrives_as_itself_from_any_thread():
    class Raises(symma.TaskFamily):
        inputs = outputs = 1

        def sample(self, agent, key):
            raise Mine(threading.current_thread().name)

    fleet = symma.Fleet({"hidden": [4]}, "maml", Raises(), agents=4)
    with pytest.raises(Mine):
        fleet.round()
    with pytest.raises(Mine):
        fleet.evaluate(tasks=200)    # from the engine's threads


def test_parts_that_wait_do_not_stand_in_each_others_way():
    """A family that gives up the lock while another thread of Python's works, and while the engine's other threads ask."""
    class Waits(symma.TaskFamily):
        inputs = outputs = 1

        def sample(self, agent, key):
            time.sleep(0.0005)
            x = key.uniform([5, 1])
            return x, x, x, x

    fleet = symma.Fleet({"hidden": [4]}, "maml", Waits(), agents=2)
    done = threading.Event()
    other = threading.Thread(target=lambda: [done.wait(0.001) for _ in range(200)])
    other.start()
    fleet.evaluate(tasks=150, steps=[0, 1])
    other.join(60)
    assert not other.is_alive()


# ---- models


class Net(torch.nn.Module):
    """One hidden layer."""

    def __init__(self, inputs, outputs, hidden=16):
        super().__init__()
        self.first = torch.nn.Linear(inputs, hidden)
        self.last = torch.nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


def test_a_module_is_the_engines_perceptron():
    """The same rows through a torch module and through the engine's mlp: outputs, losses, and one step of maml."""
    given = dict(tasks="sinusoid", agents=3, learner={"kind": "maml", "inner_steps": 2, "fused": False} if "fused" in {o["name"] for o in symma.parts("Learner")["maml"]["options"]}
                 else {"kind": "maml", "inner_steps": 2})
    theirs, ours = symma.Fleet({"kind": "mlp", "hidden": [16]}, **given), symma.Fleet(Net, **given)
    assert ours.about["parameters"] == theirs.about["parameters"] == 16 + 16 + 16 + 1
    # The engine's layout has layer0.weight [in, out]; torch's is turned, which for one input is the same numbers.
    assert [e["name"] for e in ours.about["layout"]] == ["first.weight", "first.bias", "head.weight", "head.bias"]
    ours.theta = theirs.theta
    x = torch.randn(3, 7, 1, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(ours.predict(ours.theta, x), theirs.predict(theirs.theta, x), rtol=1e-5, atol=1e-6)
    for _ in range(3):
        ours.step(ours.sample())
        theirs.step(theirs.sample())
    assert torch.allclose(ours.theta, theirs.theta, rtol=1e-3, atol=1e-5)


def test_a_module_trains_and_its_rows_are_drawn_from_keys(tmp_path):
    run = train(tmp_path, model={"kind": Net, "hidden": 8}, task="sinusoid", rounds=30, same_start=False)
    again = train(tmp_path, "again", model={"kind": Net, "hidden": 8}, task="sinusoid", rounds=30, same_start=False)
    assert np.array_equal(run.theta, again.theta) and not np.array_equal(run.theta[0], run.theta[1])


def test_wrong_modules(wrong):
    wrong(lambda: symma.Fleet(torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.ReLU())), "Sequential", "does not end", "head")
    wrong(lambda: symma.Fleet(torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Dropout(), torch.nn.Linear(4, 1))), "Sequential", "generator", "dropout")
    wrong(lambda: symma.Fleet(torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))), "Sequential", "buffer", "statistics")


class Reshaped(Net):
    """Ends in what its last layer says, in another form."""

    def forward(self, x):
        return super().forward(x.flatten(1)).unflatten(1, (1, -1)).squeeze(1)


def test_a_module_ends_in_its_head(wrong):
    """One with a tanh after it was taken, and a learner that has the head by a formula learned another model than it was judged by."""
    for end in (torch.nn.Tanh(), torch.nn.ReLU(), torch.nn.Sigmoid(), torch.nn.Softplus(), torch.nn.LayerNorm(1, elementwise_affine=False)):
        wrong(lambda: symma.Fleet(torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1), end)), "Sequential", "puts out is changed", "head")

    class Around(Net):
        def forward(self, x):
            return x + super().forward(x)

    wrong(lambda: symma.Fleet(Around), "Around", "puts out is changed", "head")
    fleet = symma.Fleet(Reshaped, agents=2)
    fleet.step(fleet.sample())
    fleet = symma.Fleet(Net(1, 1).double(), agents=2)
    fleet.step(fleet.sample())


# ---- learners, aggregators, compressors


class Sgd(symma.Learner):
    """A step down the query loss, and plain gradient steps to adapt."""

    def __init__(self, lr=0.05):
        self.lr = lr

    def step(self, state, tasks, key):
        n, b = state.theta.shape[0], len(tasks)
        rows = state.theta.repeat_interleave(b // n, 0).requires_grad_()
        loss = tasks.loss(rows, "query", key)
        grad, = torch.autograd.grad(loss.sum(), rows)
        state.theta = state.theta - self.lr * grad.view(n, b // n, -1).mean(1)
        return {"loss": loss.detach().view(n, -1).mean(1)}

    def adapt(self, state, tasks, steps, key):
        rows = state.theta.repeat_interleave(len(tasks) // state.theta.shape[0], 0)
        out, done = [], 0
        for want in steps:
            while done < want:
                leaf = rows.detach().requires_grad_()
                grad, = torch.autograd.grad(tasks.loss(leaf, "support", key).sum(), leaf)
                rows, done = rows.detach() - self.lr * grad, done + 1
            out.append(rows.detach())
        return out


def test_a_learner_trains_with_the_engines_tasks_and_exchange(tmp_path):
    symma.register("sgd_py", Sgd, replace=True)
    run = train(tmp_path, learner={"kind": "sgd_py", "lr": 0.02}, task="sinusoid", exchange="ring", rounds=100)
    assert run.summary["exchange"]["bits"] > 0 and np.isfinite(run.theta).all()
    # What it adapts to is what the engine's own gradient steps come to.
    theirs = symma.Fleet({"hidden": [16]}, {"kind": "scratch", "inner_lr": 0.02, "inner_optimizer": "sgd"}, "sinusoid", agents=2)
    ours = symma.Fleet({"hidden": [16]}, {"kind": "sgd_py", "lr": 0.02}, "sinusoid", agents=2)
    ours.theta = theirs.theta
    for a, b in zip(ours.adapt(ours.sample("test"), [0, 1, 5]), theirs.adapt(theirs.sample("test"), [0, 1, 5])):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)
    # One step by hand, from the same rows and tasks.
    fleet = symma.Fleet({"hidden": [8]}, {"kind": "sgd_py", "lr": 0.02}, "sinusoid", agents=2)
    batch, before = fleet.sample(), fleet.theta
    rows = before.repeat_interleave(4, 0).requires_grad_()
    grad, = torch.autograd.grad(batch.tasks.loss(rows, "query").sum(), rows)
    fleet.step(batch)
    assert torch.allclose(fleet.theta, before - 0.02 * grad.view(2, 4, -1).mean(1), atol=1e-7)


def test_wrong_learners(wrong):
    class NoLoss(Sgd):
        def step(self, state, tasks, key):
            return {}

    class Short(Sgd):
        def step(self, state, tasks, key):
            return {"loss": np.zeros(1)}

    for learner, what in ((NoLoss(), 'no "loss"'), (Short(), "shape [1]")):
        fleet = symma.Fleet({"hidden": [4]}, learner, "sinusoid", agents=2)
        wrong(fleet.round, ".step", what)


class Trimmed(symma.Aggregator):
    """Each coordinate's mean without its largest and smallest."""

    def combine(self, rows, bad, centre, key):
        s = rows.sort(0).values
        return s[bad:len(s) - bad].mean(0)


def test_an_aggregator_is_the_engines_of_the_same_rule():
    settings = dict(tasks="sinusoid", agents=5, exchange="full")
    ours = symma.Fleet({"hidden": [8]}, "maml", aggregator={"kind": Trimmed, "bad": 1}, **settings)
    theirs = symma.Fleet({"hidden": [8]}, "maml", aggregator={"kind": "trimmed_mean", "bad": 1}, **settings)
    for _ in range(5):
        ours.round(), theirs.round()
    assert torch.allclose(ours.theta, theirs.theta, rtol=1e-4, atol=1e-6)


def test_wrong_aggregators(wrong):
    for told, what in ((None, "is None"), (np.zeros(3), "shape [3]"), (np.nan, "nan")):
        class Wrong(symma.Aggregator):
            def combine(self, rows, bad, centre, key):
                return told

        fleet = symma.Fleet({"hidden": [4]}, "maml", "sinusoid", agents=3, exchange="full", aggregator=Wrong())
        wrong(fleet.round, "Wrong.combine", what)


class Halves(symma.Compressor):
    """Numbers of two bytes."""

    def encode(self, row, key):
        return row.numpy().astype(np.float16).tobytes()

    def decode(self, message, size):
        return None if len(message) != 2 * size else np.frombuffer(message, np.float16).astype(np.float64)

    def contraction(self, size):
        return 0.99


def test_a_compressor_counts_its_bytes():
    plain, halves = (symma.Fleet({"hidden": [8]}, "maml", "sinusoid", exchange="ring", agents=4, **more) for more in ({}, {"compression": Halves()}))
    for _ in range(6):
        plain.round(), halves.round()
    assert halves.bits < plain.bits and np.isfinite(halves.theta.numpy()).all()


@pytest.mark.parametrize("exchange", ["ring", "star"])
def test_wrong_compressors(exchange, wrong):
    for told, what in ((lambda row: row[:-1], "shape [12]"), (lambda row: np.append(row, 0), "shape [14]"), (lambda row: row[None], "shape [1, 13]"), (lambda row: None, "returned None")):
        class Wrong(Halves):
            def decode(self, message, size):
                return told(super().decode(message, size))

        fleet = symma.Fleet({"hidden": [4]}, "maml", "sinusoid", agents=3, exchange=exchange, compression=Wrong())
        wrong(lambda: [fleet.round() for _ in range(2)], "[compression] kind", what, "mend its decode")


# ---- worlds


class Meeting(pettingzoo.ParallelEnv):
    """Two walkers on a line earn where they meet."""

    metadata = {"name": "meeting"}

    def __init__(self, length=5, speed=1.0, slow=0.0):
        self.possible_agents, self.length, self.speed, self.slow = ["left", "right"], length, speed, slow
        self._obs = gymnasium.spaces.Box(-10, 10, (2,), np.float32)
        self._act = gymnasium.spaces.Discrete(3)

    def observation_space(self, agent):
        return self._obs

    def action_space(self, agent):
        return self._act

    def _seen(self):
        return {"left": np.array(self.at, np.float32), "right": np.array(self.at[::-1], np.float32)}

    def reset(self, seed=None, options=None):
        self.rng = np.random.default_rng(seed)
        self.agents, self.t = list(self.possible_agents), 0
        self.at = [-self.rng.uniform(1, self.length), self.rng.uniform(1, self.length)]
        return self._seen(), {a: {} for a in self.agents}

    def step(self, actions):
        if self.slow:
            time.sleep(self.slow)
        self.t += 1
        for i, a in enumerate(self.possible_agents):
            self.at[i] = float(np.clip(self.at[i] + self.speed * (actions[a] - 1), -10, 10))
        met = abs(self.at[0] - self.at[1]) < 1
        reward = {a: 1.0 if met else -0.05 for a in self.agents}
        there, self.agents = self.agents, [] if met else self.agents
        return self._seen(), reward, {a: met for a in there}, {a: False for a in there}, {a: {} for a in there}


def register_meeting(**more):
    symma.register("meeting", Meeting, kind="Env", replace=True, limit=12, task_parameters={"speed": (0.5, 1.5)}, **more)


def test_a_pettingzoo_environment_is_a_world(wrong):
    register_meeting()
    env = symma.make_vec("meeting", 3, length=4)
    obs, _ = env.reset(seed=1)
    assert obs.shape == (3, 2, 2) and np.array_equal(obs[:, 0], obs[:, 1, ::-1])
    for _ in range(12):
        obs, reward, terminated, truncated, info = env.step(np.tile([2, 0], (3, 1)))
        if terminated.any():
            assert reward[terminated].tolist() == [2.0] * int(terminated.sum()) and (np.abs(np.diff(info["final_obs"][terminated, 0])) < 1).all()
            break
    else:
        raise AssertionError("nobody met")
    wrong(symma_strict, "meeting, copy 0, left", "7", "mask")
    direct = Meeting(length=4)
    seed = symma.Key(1).split("copy", 0).split("episode", 0).seed % 2**31
    assert np.array_equal(direct.reset(seed=seed)[0]["left"], symma.make_vec("meeting", 3, length=4).reset(seed=1)[0][0, 0])


def symma_strict():
    env = symma.make_vec("meeting", 1, illegal="error")
    env.reset(seed=0)
    env.step(np.full((1, 2), 7))


def test_it_trains_with_tasks_reproducibly_from_threads(tmp_path):
    register_meeting()
    before, rows = symma.threads(), []
    try:
        for threads in (1, 2):
            symma.set_threads(threads)
            run = train(tmp_path, f"m{threads}", task={"kind": "control", "world": {"kind": "meeting", "length": 4}, "vary": ["speed"], "copies": 4},
                        learner={"kind": "maml", "inner_lr": 0.1}, rounds=4, tasks=3, eval={"tasks": 4, "steps": [0, 1]})
            rows.append(run.theta)
    finally:
        symma.set_threads(before)
    assert np.array_equal(*rows) and run.summary["eval"]["metric"] == "return"


def test_our_ippo_learns_in_it(tmp_path):
    register_meeting()
    run = symma.train(
        {"name": "ippo", "agents": 1, "rounds": 80, "tasks": 1, "model": {"hidden": [16]}, "learner": {"kind": "ippo", "lr": 3e-3},
         "task": {"kind": "control", "world": {"kind": "meeting", "length": 4}, "copies": 16}, "eval": {"tasks": 20, "steps": [0]}},
        out=tmp_path / "ippo", progress=False)
    got = run.metrics["train/return"]
    assert got.iloc[-5:].mean() > got.iloc[:5].mean() + 0.5


def test_a_gymnasium_environment_is_a_world_of_one(tmp_path):
    symma.register("pole", lambda: gymnasium.make("CartPole-v1"), kind="Env", replace=True, limit=50)
    env = symma.make_vec("pole", 2)
    obs, _ = env.reset(seed=0)
    assert obs.shape == (2, 1, 4)
    obs, reward, *_ = env.step(np.ones((2, 1), np.int64))
    assert reward.tolist() == [1.0, 1.0]
    symma.register("pendulum", lambda: gymnasium.make("Pendulum-v1"), kind="Env", replace=True, limit=20)
    swing = symma.make_vec("pendulum", 2)
    swing.reset(seed=0)
    assert swing.single_action_space.high.tolist() == [[2.0]]
    for _ in range(20):
        out = swing.step(np.full((2, 1, 1), 0.5, np.float32))
    assert out[3].all()


def test_wrong_worlds(wrong):
    wrong(lambda: symma.register("foraging", Meeting, kind="Env"), 'register("foraging")', "already", "another name")
    wrong(lambda: symma.register("x", 3), 'register("x")', "no part")
    wrong(lambda: symma.register("x", Meeting, kind="Topology"), 'register("x")', "Topology")
    wrong(lambda: symma.register("x", Meeting, kind="Env", limitt=3), 'register("x")', "limitt")
    symma.register("nothing", lambda: object(), kind="Env", replace=True)
    wrong(lambda: symma.make_vec("nothing"), "nothing", "made a object", "PettingZoo")


class Line(gymnasium.Env):
    """Says on which step it is; `ill` happens on the third, or as an episode begins."""

    observation_space, action_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,)), gymnasium.spaces.Discrete(2)

    def __init__(self, ill="", width=1.0):
        self.ill = ill

    def reset(self, seed=None, options=None):
        self.t = 0
        return np.full(2, np.nan if self.ill == "first" else 0.0), {}

    def step(self, action):
        self.t += 1
        ill = self.ill if self.t == 3 else ""
        obs = {"nan": np.full(2, np.nan), "inf": np.array([0, np.inf]), "large": np.array([1e300, 0]), "short": np.zeros(1), "long": np.zeros(3)}.get(ill, np.full(2, float(self.t)))
        return obs, {"reward": np.nan, "no reward": None, "infinite": -np.inf, "words": "x"}.get(ill, 1.0), self.t == 5, False, {}


class Pair(pettingzoo.ParallelEnv):
    """Two of them, of whom the second is ill."""

    def __init__(self, ill=""):
        self.possible_agents, self.of = ["well", "poor"], {"well": Line(), "poor": Line(ill)}

    def observation_space(self, agent):
        return self.of[agent].observation_space

    def action_space(self, agent):
        return self.of[agent].action_space

    def reset(self, seed=None, options=None):
        self.agents = list(self.possible_agents)
        return tuple(dict(zip(self.agents, told)) for told in zip(*(self.of[a].reset() for a in self.agents)))

    def step(self, actions):
        told = [self.of[a].step(actions[a]) for a in self.agents]
        there, self.agents = self.agents, [] if told[0][2] else self.agents
        return tuple(dict(zip(there, each)) for each in zip(*told))


ILL = {"nan": "observes nan", "first": "observes nan", "inf": "observes inf", "large": "observes inf", "short": "observes 1 numbers", "long": "observes 3 numbers",
       "reward": "earns nan", "no reward": "earns None", "infinite": "earns -inf", "words": "earns 'x'"}


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("ill", ILL)
@pytest.mark.parametrize("factory, agent", [(Line, "agent_0"), (Pair, "poor")])
def test_a_world_that_is_ill_once_an_episode_is_refused(ill, factory, agent, wrong):
    """It made every parameter nan, and the run ended with a score."""
    symma.register("line", factory, kind="Env", replace=True)

    def play(**options):
        env = symma.make_vec("line", 2, **options)
        env.reset(seed=1)
        for _ in range(12):
            env.step(np.zeros((2, env.players), np.int64))

    wrong(lambda: play(ill=ill), f"line, copy 0, {agent}", ILL[ill])
    task = {"kind": "control", "world": {"kind": "line", "ill": ill}, "copies": 2}
    fleet = symma.Fleet({"hidden": [4]}, "ippo", task, agents=1, tasks_per_round=1)
    wrong(fleet.round, "line, copy ", ILL[ill])
    play()


def test_wrong_task_parameters_are_told_when_they_are_registered(wrong):
    nan = float("nan")
    for given, place, what in (({"width": (nan, 1)}, "width", "nan"), ({"width": (2.0, 1.0)}, "width", "(2.0, 1.0)"), ({"width": (0.5,)}, "width", "(0.5,)"),
                               ({"width": 0.5}, "width", "0.5"), ({"width": ("a", "b")}, "width", "'a'"), ({"width": (0, float("inf"))}, "width", "inf"),
                               ({"widht": (0.5, 1)}, "widht", "no argument"), ([("width", 1)], "", "task_parameters are"),
                               ({"width": {"train": (0, 1), "tset": (0, 1)}}, "width", "tset"), ({"width": {"test": (0, 1)}}, "width", "no train"),
                               ({"width": {"train": (0, 1), "ood": (2, 1)}}, "width, ood", "(2, 1)")):
        wrong(lambda: symma.register("line_t", Line, kind="Env", task_parameters=given), f'register("line_t"){place and ", task_parameters, "}{place}', what)
    assert "line_t" not in symma.parts("Env")
    symma.register("line_t", Line, kind="Env", task_parameters={"width": {"train": np.array([0, 1]), "ood": (2, 2)}})
    width, = symma.make_vec("line_t", 2).world.parameters
    assert (width["train"], width["test"], width["ood"]) == ([0, 1], [0, 1], [2, 2])


def test_a_shared_library_of_parts_even_one_that_hides_its_symbols(tmp_path, program):
    """The library is tests/python/parts.cc, which was built with hidden visibility."""
    library = pathlib.Path(program).parent / "tests" / "libparts.so"
    listed = subprocess.run([program, "--load", library, "list", "Topology"], capture_output=True, text=True)
    assert listed.returncode == 0 and "line_of_mine" in listed.stdout
    without = subprocess.run([program, "list", "Topology"], capture_output=True, text=True)
    assert "line_of_mine" not in without.stdout
    missing = subprocess.run([program, "list", "--load", tmp_path / "no.so"], capture_output=True, text=True)
    assert missing.returncode == 2 and missing.stderr.count("\n") == 1 and "--load" in missing.stderr
    symma.load(str(library))
    assert "line_of_mine" in symma.parts("Topology")
    fleet = symma.Fleet({"hidden": [4]}, "maml", "sinusoid", exchange="line_of_mine", agents=3)
    fleet.round()
    assert fleet.bits > 0
