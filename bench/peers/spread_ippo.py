#!/usr/bin/env python3
"""Our IPPO in PettingZoo's simple_spread, as pip has it, and in ours of the same rules: the same learner, the same steps, the same return.

    pip install mpe2; PYTHONPATH=build/release/python python bench/peers/spread_ippo.py [--rounds 800] [--seeds 2]
"""
import argparse
import tempfile
import time

import symma


def theirs():
    from mpe2 import simple_spread_v3

    return simple_spread_v3.parallel_env(N=3, max_cycles=25)


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=800, help="of 10 episodes of 25 steps, for each seed")
    p.add_argument("--seeds", type=int, default=2)
    a = p.parse_args()
    symma.register("their_spread", theirs, kind="Env", limit=25)
    for name, world in (("ours", {"kind": "simple_spread", "variant": "mpe2"}), ("PettingZoo's", {"kind": "their_spread"})):
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory() as out:
            run = symma.train(name="spread", seeds=a.seeds, tasks=1, rounds=a.rounds, model={"hidden": [64, 64]}, exchange="none",
                              task={"kind": "control", "copies": 10, "greedy": False, "world": world}, learner={"kind": "ippo", "lr": 1e-3, "entropy": 0.01},
                              eval={"steps": [0], "tasks": 100, "validation_tasks": 20, "every": a.rounds}, out=out, force=True, progress=False, threads=1)
            told, first = run.summary["eval"], run.metrics["loss"].iloc[0]
        print(f"{name:13s} {told['metric']} {told['mean'][0]:8.2f} +- {told['ci95'][0]:.2f} after {250 * a.rounds} steps a seed, {time.perf_counter() - begun:.0f} s; seeds: "
              f"{[round(v, 1) for v in told.get('agents_mean', [])]}", flush=True)


if __name__ == "__main__":
    main()
