#!/usr/bin/env python3
"""Times symma, JAX and learn2learn on the same work in the same run, in turn, each pinned to one core, and prints their
median tasks per second of processor time as a Markdown table. Processor time, since machines are shared.

  bench/peers/compare.py --bench build/release/bench/mlp_bench --jax VENV/bin/python --learn2learn VENV/bin/python
"""
import argparse
import json
import pathlib
import statistics
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


def symma(bench, core, steps):
    names = f"sgemm|maml/(fused|autograd|composite)/steps:{steps}/threads:1/"
    out = subprocess.run(["taskset", "-c", core, bench, f"--benchmark_filter={names}", "--benchmark_min_time=0.4",
                          "--benchmark_format=json"], capture_output=True, text=True, check=True).stdout
    rows = {}
    for b in json.loads(out)["benchmarks"]:
        slow = b["real_time"] / b["cpu_time"]
        rows[b["name"].split("/")[1] if b["name"].startswith("maml") else "sgemm"] = (
            b.get("tasks/s", 0) * slow, b["GFLOP/s"] * slow)
    return rows


def peer(python, core, script, *flags):
    out = subprocess.run(["taskset", "-c", core, python, str(HERE / script), "--seconds", "2", *flags],
                         capture_output=True, text=True, check=True).stdout
    return json.loads(out.strip().splitlines()[-1])["tasks_per_cpu_s"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bench", required=True)
    p.add_argument("--jax", help="a Python that has JAX")
    p.add_argument("--learn2learn", help="a Python that has learn2learn")
    p.add_argument("--core", default="0")
    p.add_argument("--repeats", type=int, default=3)
    a = p.parse_args()
    print("| inner steps | tool | tasks / s | GFLOP/s | of sgemm |\n|---|---|---|---|---|")
    for steps in (1, 5):
        seen = {}
        for _ in range(a.repeats):
            for name, value in symma(a.bench, a.core, steps).items():
                seen.setdefault(name, []).append(value)
            if a.jax:
                best = max(peer(a.jax, a.core, "jax_maml.py", "--inner-steps", str(steps), "--meta", m)
                           for m in ("mean", "per-row"))
                seen.setdefault("JAX", []).append((best, 0))
            if a.learn2learn:
                flags = ("--inner-steps", str(steps))
                seen.setdefault("learn2learn", []).append((peer(a.learn2learn, a.core, "learn2learn_maml.py", *flags), 0))
        middle = {n: tuple(statistics.median(c) for c in zip(*v)) for n, v in seen.items()}
        for name, (tasks, gflops) in middle.items():
            share = f"{gflops / middle['sgemm'][1]:.0%}" if gflops else ""
            print(f"| {steps} | {name} | {tasks:,.0f} | {gflops:.1f} | {share} |" if gflops else
                  f"| {steps} | {name} | {tasks:,.0f} | | |")
        for name in ("JAX", "learn2learn"):
            if name in middle:
                print(f"| {steps} | fused over {name} | {middle['fused'][0] / middle[name][0]:.1f}x | | |", flush=True)


if __name__ == "__main__":
    main()
