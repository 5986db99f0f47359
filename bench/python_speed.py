"""What Python costs: training, worlds and tasks through the package beside the bare engine, in one run.

    scripts/python && scripts/build
    PYTHONPATH=build/release/python build/venv/bin/python bench/python_speed.py
    PYTHONPATH=build/release/python build/venv/bin/python bench/python_speed.py --line maml|foraging|simple_spread

Each pair is measured in turn, three times, and the best of each counts: other work on the machine only takes away.
--line: one thing alone, by processor time, as JSON; scripts/bench has peers beside it.
"""
import argparse
import json
import subprocess
import tempfile
import time

import numpy as np

import symma


def best(measure, times=3):
    return max(measure() for _ in range(times))


def training(program):
    """Rounds a second: the program, and symma.train with progress and a listener."""
    settings = ["rounds=4000", "eval.tasks=1", "eval.every=100000"]
    file = "examples/points/sinusoid.toml"

    def rate(folder):
        run = symma.open(folder)
        return run.state.round / run.state.seconds

    def bare():
        with tempfile.TemporaryDirectory() as t:
            subprocess.run([program, "--threads", "1", "train", file, *[x for s in settings for x in ("--set", s)], "--out", t + "/r"], check=True, capture_output=True)
            return rate(t + "/r")

    def ours():
        with tempfile.TemporaryDirectory() as t:
            symma.train(file, rounds=4000, eval={"tasks": 1, "every": 100000}, out=t + "/r", progress=lambda p: None, loggers=[lambda row: None])
            return rate(t + "/r")

    pairs = [(bare(), ours()) for _ in range(3)]
    a, b = (max(p[i] for p in pairs) for i in (0, 1))
    print(f"training: {a:.0f} rounds/s by the program, {b:.0f} through Python: {100 * b / a:.1f} %")


def world(kind, copies=256, steps=400):
    """Steps of a copy a second: the engine's loop over given actions, and env.step over the same."""
    env = symma.make_vec(kind, copies)
    rng = np.random.default_rng(0)
    _, info = env.reset(seed=0)
    actions = []
    for _ in range(steps):
        a = (rng.random(info["action_mask"].shape) * info["action_mask"]).argmax(-1)
        actions.append(a)
        info = env.step(a)[-1]
    actions = np.stack(actions)

    def bare():
        env.reset(seed=0)
        start = time.perf_counter()
        env.world.play(actions)
        return copies * steps / (time.perf_counter() - start)

    def through(env):
        env.reset(seed=0)
        start = time.perf_counter()
        for a in actions:
            env.step(a)
        return copies * steps / (time.perf_counter() - start)

    quick = symma.make_vec(kind, copies, copy=False)
    a, b, c = best(bare), best(lambda: through(env)), best(lambda: through(quick))
    print(f"{kind}, {copies} copies: {a:,.0f} steps/s in the engine's loop; env.step {b:,.0f} ({100 * b / a:.0f} %), without copies {c:,.0f} ({100 * c / a:.0f} %)")


def tasks(n=20000):
    """Microseconds a task that the engine adds to a family that hands out arrays it has."""
    x, y = np.zeros((10, 1), np.float32), np.zeros((10, 1), np.float32)

    class Ready(symma.TaskFamily):
        inputs = outputs = 1

        def sample(self, agent, key, split):
            return x, y, x, y

    mine = Ready()
    fleet = symma.Fleet({"hidden": [8]}, "maml", mine)
    who, key = [0] * n, symma.Key(0)

    def own():
        start = time.perf_counter()
        for _ in range(n):
            mine.sample(0, key, "train")
        return -(time.perf_counter() - start)

    def whole():
        start = time.perf_counter()
        fleet.sample("train", agents=who, key=key)
        return -(time.perf_counter() - start)

    a, b = -best(own), -best(whole)
    print(f"tasks: {1e6 * a / n:.2f} us a call of the family itself, {1e6 * b / n:.2f} through the engine: {1e6 * (b - a) / n:.2f} us over it")


def line(name, seconds=2, copies=256):
    """Work a second of processor time: tasks of second-order MAML on sine waves, from drawing them to the outer step; or steps of a copy."""
    if name == "maml":
        experiment = {"agents": 1, "tasks": 25, "task": {"kind": "sinusoid", "shots": 10, "queries": 10}, "model": {"hidden": [40, 40]},
                      "learner": {"kind": "maml", "inner_steps": 1}, "eval": {"tasks": 1, "every": 1000000}}

        def cost(rounds):
            with tempfile.TemporaryDirectory() as t:
                start = time.process_time()
                symma.train(experiment | {"rounds": rounds}, out=t + "/r", progress=False)
                return time.process_time() - start

        # Files are opened and closed once, whatever a run's length.
        cost(100), (few := cost(1000))
        rounds = 1000 + int(seconds / few * 1000)
        return {"tasks_per_cpu_s": 25 * (rounds - 1000) / (cost(rounds) - few)}
    env, rng = symma.make_vec(name, copies), np.random.default_rng(1)
    actions = rng.integers(0, env.single_action_space[0].n, (64, *env.reset(seed=1)[1]["action_mask"].shape[:2]))
    for a in actions:
        env.step(a)
    start, steps = time.process_time(), 0
    while time.process_time() - start < seconds:
        for a in actions:
            env.step(a)
        steps += copies * len(actions)
    return {"steps_per_cpu_s": steps / (time.process_time() - start)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default="build/release/symma")
    parser.add_argument("--line", choices=["maml", "foraging", "simple_spread"])
    args = parser.parse_args()
    symma.set_threads(1)
    if args.line:
        print(json.dumps(line(args.line)))
    else:
        training(args.program)
        for kind in ("foraging", "simple_spread"):
            world(kind)
        tasks()
