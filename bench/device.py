#!/usr/bin/env python3
"""What a GPU and many processors are worth: symma on a CUDA device, on one processor and on all, beside torch.func and JAX on the same device. Writes
results/device.json and the tables of docs/performance.md.

    bench/device.py --symma build/cuda/symma       on a machine with a GPU; some minutes
    bench/device.py --page                         the page from results/device.json alone

Rates are tasks a second of the wall's clock. Every round ends with numbers that have come back from the device. Peers have their data on the device before
the clock starts, draw no tasks and make no outer step.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE / "scripts"))
from pages import number, placed  # noqa: E402
from provenance import commit, processor  # noqa: E402

RESULTS, PAGE = HERE / "results/device.json", HERE / "docs/performance.md"
TURNS = 3
SINE = ["round", "--settings"]
LINES = [  # name, words of symma bench, words of the peers
    ("maml, 25 tasks", [*SINE, "tasks=25"], ["--tasks", "25"]),
    ("maml, 1,024 tasks", [*SINE, "tasks=1024"], ["--tasks", "1024"]),
    ("maml, 16,384 tasks", [*SINE, "tasks=16384"], ["--tasks", "16384"]),
    ("maml, 5 steps, 16,384 tasks", [*SINE, "tasks=16384 learner.inner_steps=5"], ["--tasks", "16384", "--inner-steps", "5"]),
    ("maml, 1-512-512-1, 1,024 tasks", [*SINE, "tasks=1024 model.hidden=[512,512]"], ["--tasks", "1024", "--hidden", "512"]),
    ("maml, conv4-64, 32 tasks", ["conv", "--tasks", "32"], ["--model", "conv", "--tasks", "32"]),
    ("maml, conv4-64, 5 steps, 32 tasks", ["conv", "--tasks", "32", "--inner-steps", "5"], ["--model", "conv", "--tasks", "32", "--inner-steps", "5"]),
    ("10,000 agents on a ring", ["round", "--file", "examples/points/ten_thousand.toml"], None),
    ("ippo, foraging", ["round", "--file", "examples/teams/foraging_ippo.toml"], None),
]
THREADED = ["maml, 16,384 tasks", "maml, conv4-64, 32 tasks", "10,000 agents on a ring", "ippo, foraging"]
THREADS = [1, 2, 4, 8, 16]
PLAYED = ["ippo, foraging"]  # on the processor


def told(words, env=None):
    run = subprocess.run([str(w) for w in words], capture_output=True, text=True, cwd=HERE, env={**os.environ, **(env or {})}, timeout=120)
    if run.returncode != 0:
        print(f"{' '.join(map(str, words))}\n{run.stderr[-800:]}", file=sys.stderr, flush=True)
        return None
    return json.loads(run.stdout.strip().splitlines()[-1])["tasks_per_s"]


def counts_of(cores):
    return sorted({*(n for n in THREADS if n <= cores), cores})


def measured(args):
    cores = len(os.sched_getaffinity(0))
    lines = [line for line in LINES if not args.only or any(word in line[0] for word in args.only)]
    rows = {name: {} for name, _, _ in lines}

    def add(name, where, rate):
        if rate is not None:
            rows[name].setdefault(where, []).append(rate)

    def ours(words, threads, device):
        return told([args.symma, "--threads", threads, "bench", *words, "--device", device, "--seconds", args.seconds, "--json"])

    for turn in range(args.turns):
        for name, words, peer in lines:
            if name not in PLAYED:
                add(name, "cuda", ours(words, cores, "cuda"))
            for threads in counts_of(cores) if name in THREADED else sorted({1, cores}):
                add(name, f"{threads} threads", ours(words, threads, "cpu"))
            if peer and args.peers:
                add(name, "torch.func, cuda", told([args.python, "bench/peers/torch_maml.py", "--device", "cuda", "--seconds", args.seconds, *peer]))
                add(name, "JAX, cuda", told([args.python, "bench/peers/jax_maml.py", "--seconds", args.seconds, *peer], {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}))
            print(f"turn {turn + 1}, {name}: " + ", ".join(f"{where} {rates[-1]:,.0f}" for where, rates in rows[name].items()), flush=True)
        gpu = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True).stdout.strip()
        yield {"rows": rows, "cores": cores, "gpu": gpu, "processor": processor(), "commit": args.commit or commit()}


def cell(rates):
    if len(rates) < 2:
        return "".join(map(number, rates))
    return f"{number(statistics.median(rates))} ({number(min(rates))} to {number(max(rates))})"


def device_page(r):
    cores, peers = r["cores"], ["torch.func, cuda", "JAX, cuda"]
    turns = sorted({len(rates) for row in r["rows"].values() for rates in row.values()})
    text = [f"Tasks a second by the wall's clock: {r['gpu']}, and {cores} virtual processors of an {r['processor']}; medians of {' or '.join(map(str, turns))} turns, in brackets the least and the most; commit {r['commit']}.\n",
            f"| line | on the GPU | one thread | {cores} threads | the GPU is worth | torch.func, GPU | JAX, GPU |", "|---|---|---|---|---|---|---|"]
    for name, row in r["rows"].items():
        if "cuda" not in row:
            continue
        gpu, many = statistics.median(row["cuda"]), statistics.median(row[f"{cores} threads"])
        one = statistics.median(row["1 threads"])
        text.append(f"| {name} | {cell(row['cuda'])} | {cell(row['1 threads'])} | {cell(row[f'{cores} threads'])} | {gpu / many:.2g} of {cores} threads, {gpu / one:.2g} of one | "
                    + " | ".join(cell(row.get(peer, [])) for peer in peers) + " |")
    return "\n".join(text) + "\n"


def threads_page(r):
    counts = counts_of(r["cores"])
    text = ["| line | " + " | ".join(f"{n} thread{'s' if n > 1 else ''}" for n in counts) + " |", "|---" * (len(counts) + 1) + "|"]
    for name in THREADED:
        row = r["rows"].get(name)
        if row and "1 threads" in row:
            one = statistics.median(row["1 threads"])
            text.append(f"| {name} | " + " | ".join(f"{number(statistics.median(row[f'{n} threads']))}" + (f" ({statistics.median(row[f'{n} threads']) / one:.1f}x)" if n > 1 else "") for n in counts) + " |")
    return "\n".join(text) + f"\n\n(The same runs; {r['processor']}.)\n"


def write_page(r):
    text = placed(PAGE.read_text(), PAGE, "device: bench/device.py", "/device", device_page(r))
    PAGE.write_text(placed(text, PAGE, "threads: bench/device.py", "/threads", threads_page(r)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--page", action="store_true")
    p.add_argument("--symma", default=HERE / "build/release/symma", help="a program that was built against a CUDA libtorch")
    p.add_argument("--python", default=sys.executable, help="a Python with torch and JAX, both for CUDA")
    p.add_argument("--no-peers", dest="peers", action="store_false")
    p.add_argument("--seconds", type=float, default=1)
    p.add_argument("--turns", type=int, default=TURNS)
    p.add_argument("--only", nargs="*", default=[], metavar="WORD", help="lines whose names hold one of these; nothing is written")
    p.add_argument("--commit", help="where this is no checkout")
    p.add_argument("--results", type=pathlib.Path, default=RESULTS)
    args = p.parse_args()
    if args.page:
        return write_page(json.loads(RESULTS.read_text()))
    for r in measured(args):  # after every turn: a lent machine may be taken back
        if not args.only:
            args.results.write_text(json.dumps(r, indent=1) + "\n")
    if args.only:
        print(device_page(r) + "\n" + threads_page(r))
    elif args.results == RESULTS:
        write_page(r)


if __name__ == "__main__":
    main()
