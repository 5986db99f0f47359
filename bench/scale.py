#!/usr/bin/env python3
"""How a fleet's time, memory and letters grow with its agents: trains fleets of up to a million, and writes results/scale.json and the tables of docs/scale.md.

    bench/scale.py             all, some minutes
    bench/scale.py --weak      the tables of several processes alone
    bench/scale.py --page      the page from results/scale.json alone

Agents are those of examples/points/ten_thousand.toml with networks of 97 parameters: a task, a step of MAML and an exchange in each round. Times are of
the processor, all processes together: those of a run of many rounds less those of a run of few, so that starting and judging fall out. Memory is that of
all processes at their peak, libraries and all.

Several processes stand for as many machines: all are pinned to one core and take turns, and their processor time is divided by their number. What a
network would add is modelled: an exchange takes one way of a letter, and the bytes that a machine sends at the wire's rate.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE / "scripts"))
from pages import placed  # noqa: E402
from provenance import commit, processor  # noqa: E402

RESULTS, PAGE = HERE / "results/scale.json", HERE / "docs/scale.md"
FILE = HERE / "examples/points/ten_thousand.toml"
SMALL, LARGE = 97, 1761  # parameters of an MLP 1-8-8-1, and of 1-40-40-1
SIZES = [(1_000, 1), (10_000, 1), (100_000, 1), (100_000, 4), (1_000_000, 1)]  # agents, processes
GRAPHS = ["none", "ring", "torus", "star"]
PAPER = 1_000_000
PROCESSES, EACH, TURNS = [1, 2, 4, 8], 5_000, 3  # machines that share a ring, and agents of each
FEW = [1, 2, 3, 6]  # processes of six agents
WAY, RATE = 1e-4, 1e9  # a machine room: seconds one way, bits a second


def memory_of(pid):
    """Bytes at the peak of a process and those that it started."""
    total, waiting = 0, [pid]
    while waiting:
        p = waiting.pop()
        try:
            status = pathlib.Path(f"/proc/{p}/status").read_text()
            waiting += [int(c) for t in os.listdir(f"/proc/{p}/task") for c in pathlib.Path(f"/proc/{p}/task/{t}/children").read_text().split()]
        except OSError:
            continue
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        total += 1024 * int(found[1]) if found else 0
    return total


def theta_of(checkpoint):
    """What the rows are, as a digest."""
    with open(checkpoint, "rb") as f:
        head = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        name = next(n for n in head if n.endswith("theta"))
        begin, end = head[name]["data_offsets"]
        f.seek(begin, os.SEEK_CUR)
        return hashlib.sha256(f.read(end - begin)).hexdigest()


def apart(program, fleets, agents, rounds, core):
    """Seconds of the processor of so many fleets that never meet, at the same time on one core."""
    with concurrent.futures.ThreadPoolExecutor(fleets) as pool:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        list(pool.map(lambda _: train(program, agents, 1, rounds, core=core), range(fleets)))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def train(program, agents, processes, rounds, graph="ring", hidden="[8,8]", core=None):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "run"
        settings = [f"agents={agents}", f"rounds={rounds}", f"model.hidden={hidden}", f"exchange.topology={graph}", f"log_every={rounds}", "checkpoint_every=0",
                    "eval.every=0", "eval.tasks=10", "eval.validation_tasks=1", "eval.agents=5"]
        words = [str(program), "--threads", "1", "train", str(FILE), "--out", str(out), *(w for s in settings for w in ("--set", s))]
        words += ["--processes", str(processes)] if processes > 1 else []
        before, begun, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), 0
        with open(pathlib.Path(folder) / "log", "w+") as log:
            run = subprocess.Popen(words, stdout=log, stderr=log, preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}))
            while run.poll() is None:
                peak = max(peak, memory_of(run.pid))
                time.sleep(0.05)
            if run.returncode != 0:
                log.seek(0)
                sys.exit(f"bench/scale.py: {' '.join(words)}\n{log.read()[-2000:]}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        exchange = json.loads((out / "summary.json").read_text())["exchange"]
        return {"cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, "wall": time.monotonic() - begun, "memory": peak,
                "edges": exchange["directed_edges"], "bits": exchange["bits"], "exchanges": exchange["rounds"], "theta": theta_of(out / "checkpoint.safetensors")}


def measured(program):
    sizes, graphs = [], []
    for agents, processes in SIZES:
        few, many = 2, max(4, min(202, 2_000_000 // agents))
        a, b = train(program, agents, processes, few), train(program, agents, processes, many)
        same = None
        if processes > 1:
            alone = next(s for s in sizes if s["agents"] == agents and s["processes"] == 1)
            same = alone["theta"] == b["theta"]
        sizes.append({"agents": agents, "processes": processes, "rounds": many, "cpu_round": (b["cpu"] - a["cpu"]) / (many - few),
                      "wall_round": (b["wall"] - a["wall"]) / (many - few), "memory": b["memory"], "edges": b["edges"],
                      "bits_round": b["bits"] / b["exchanges"], "theta": b["theta"], "same": same})
        print(f"  {agents} agents, {processes} processes: {1e6 * sizes[-1]['cpu_round'] / agents:.2f} us an agent and round, {b['memory'] / 1e6:.0f} MB", flush=True)
    for graph in GRAPHS:
        a, b = train(program, 10_000, 1, 2, graph), train(program, 10_000, 1, 102, graph)
        graphs.append({"graph": graph, "cpu_round": (b["cpu"] - a["cpu"]) / 100, "edges": b["edges"], "bits_round": b["bits"] / max(1, b["exchanges"])})
        print(f"  {graph}: {graphs[-1]['bits_round'] / 8e6:.1f} MB a round", flush=True)
    return {"sizes": sizes, "graphs": graphs, "processor": processor(), "commit": commit()}


def weakly(program):
    """The same work for each of more and more processes, and six agents in several; in turn."""
    core = max(os.sched_getaffinity(0))
    rounds, weak, alone, few = (2, 302), {p: [] for p in PROCESSES}, {p: [] for p in PROCESSES}, {p: [] for p in FEW}
    for turn in range(TURNS):
        for p in PROCESSES:
            a, b = (train(program, EACH * p, p, n, core=core) for n in rounds)
            weak[p].append((b["cpu"] - a["cpu"]) / (rounds[1] - rounds[0]))
            a, b = (apart(program, p, EACH, n, core) for n in rounds)
            alone[p].append((b - a) / (rounds[1] - rounds[0]))
            print(f"  {p} processes of {EACH:,} agents, turn {turn + 1}: {1e3 * weak[p][-1] / p:.2f} ms of the processor a round and process, {1e3 * alone[p][-1] / p:.2f} apart", flush=True)
        for p in FEW:
            a, b = (train(program, 6, p, n, hidden="[40,40]") for n in (2, 4002))
            few[p].append({"wall": (b["wall"] - a["wall"]) / 4000, "cpu": (b["cpu"] - a["cpu"]) / 4000})
            print(f"  six agents in {p} processes, turn {turn + 1}: {1e3 * few[p][-1]['wall']:.3f} ms a round", flush=True)
    return {"weak": [{"processes": p, "all": t, "apart_all": alone[p]} for p, t in weak.items()],
            "few": [{"processes": p, "all": ts} for p, ts in few.items()],
            "weak_processor": processor(), "weak_commit": commit()}


def big(x):
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if x >= 0.9995 * size:
            return f"{x / size:.3g} {unit}"
    return f"{x:.3g} "


def sizes_table(r):
    base = next(s for s in r["sizes"] if s["agents"] == 1_000)["memory"]
    text = ["| agents | processes | a round, s of the processor | microseconds an agent | memory | bytes an agent | sent a round |", "|---|---|---|---|---|---|---|"]
    for s in r["sizes"]:
        # What a thousand agents need is the libraries.
        each = f"{(s['memory'] - base) / (s['agents'] - 1000):,.0f}" if s["agents"] >= 100_000 and s["processes"] == 1 else ""
        text.append(f"| {s['agents']:,} | {s['processes']} | {s['cpu_round']:.3g} | {1e6 * s['cpu_round'] / s['agents']:.2f} | {big(s['memory'])}B | {each} | {big(s['bits_round'] / 8)}B |")
    same = [s for s in r["sizes"] if s["same"] is not None]
    text += ["", f"(`bench/scale.py`, one thread a process, {r['processor']}, at {r['commit']}. A row and its two moments are {12 * SMALL:,} bytes."
             + "".join(f" In {s['processes']} processes the {s['agents']:,} agents end with {'the same bits' if s['same'] else 'OTHER BITS'}." for s in same) + ")"]
    return text


def paper_table(r):
    """For a million agents: letters by the graph's degree, bytes by what a letter of ten thousand agents was charged, memory by the slope of the measured sizes."""
    alone = {s["agents"]: s for s in r["sizes"] if s["processes"] == 1}
    slope = (alone[1_000_000]["memory"] - alone[100_000]["memory"]) / 900_000
    text = ["| graph | letters a round | sent, 97 parameters | sent, 1,761 parameters | memory, 1,761 parameters | to and from one of 100 machines, 1,761 parameters |", "|---|---|---|---|---|---|"]
    machines, per = 100, PAPER // 100
    for g in [*r["graphs"], {"graph": "full", "edges": 10_000 * 9_999}]:
        name = g["graph"]
        degree = {"full": PAPER - 1}.get(name, g["edges"] / 10_000)
        letters = PAPER * degree
        letter = 32 * LARGE / 8
        sent_small = letters * 32 * SMALL / 8
        # Letters that leave a machine, where each has a stretch of agents: of a torus of 1,000 rows, ten rows.
        cross = {"none": 0, "ring": 2, "torus": 2 * 1000, "star": per, "full": PAPER}[name]
        memory = PAPER * 12 * LARGE * slope / (12 * SMALL)
        text.append(f"| {name} | {big(letters)} | {big(sent_small)}B | {big(letters * letter)}B | {big(memory)}B | {big(2 * cross * letter)}B |")
    return text


def weak_table(r):
    text = ["| processes | agents | processor, ms a round and process | with the wire | as many fleets that never meet | of their speed | of one process's speed |", "|---|---|---|---|---|---|---|"]
    median = statistics.median
    alone = median(next(w for w in r["weak"] if w["processes"] == 1)["all"])
    for w in r["weak"]:
        p = w["processes"]
        # A stretch of the ring has two neighbours elsewhere, and sends each its row.
        wire = 0 if p == 1 else WAY + 2 * 32 * SMALL / RATE
        one, never = median(w["all"]) / p, median(w["apart_all"]) / p
        text.append(f"| {p} | {EACH * p:,} | {1e3 * one:.2f} | {1e3 * (one + wire):.2f} | {1e3 * never:.2f} | {100 * never / (one + wire):.0f} % | {100 * alone / (one + wire):.0f} % |")
    return text + ["", f"({EACH:,} agents a process, 97 parameters, ring; wire: {1e3 * WAY:g} ms one way, {RATE / 1e9:g} Gbit/s. `bench/scale.py --weak`, medians of {TURNS} turns, {r['weak_processor']}, at {r['weak_commit']}.)"]


def few_table(r):
    text = ["| processes | ms a round | more than in one | processor, ms, of all |", "|---|---|---|---|"]
    rounds = {f["processes"]: [statistics.median(t[what] for t in f["all"]) for what in ("wall", "cpu")] for f in r["few"]}
    for p, (wall, cpu) in rounds.items():
        more = "" if p == 1 else f"{1e3 * (wall - rounds[1][0]):.3f} ms"
        text.append(f"| {p} | {1e3 * wall:.3f} | {more} | {1e3 * cpu:.3f} |")
    return text + ["", f"(Six agents of 1,761 parameters around a ring, {os.cpu_count()} cores. `bench/scale.py --weak`, medians of {TURNS} turns, {r['weak_processor']}, at {r['weak_commit']}.)"]


def write_page(r):
    text = PAGE.read_text()
    for name, lines in (("sizes", sizes_table(r)), ("paper", paper_table(r)), ("weak", weak_table(r)), ("few", few_table(r))):
        text = placed(text, PAGE, f"scale: {name}", "/scale", "\n" + "\n".join(lines) + "\n\n")
    PAGE.write_text(text)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--page", action="store_true")
    p.add_argument("--weak", action="store_true")
    p.add_argument("--symma", default=HERE / "build/release/symma", help="the program")
    args = p.parse_args()
    if not args.page:
        known = json.loads(RESULTS.read_text()) if args.weak else measured(args.symma)
        RESULTS.write_text(json.dumps({**known, **weakly(args.symma)}, indent=1) + "\n")
    write_page(json.loads(RESULTS.read_text()))


if __name__ == "__main__":
    main()
