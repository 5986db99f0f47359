#!/usr/bin/env python3
"""Times ByzFL's aggregation rules on the input of bench/exchange_bench.cc: 100 rows of a million floats, 10 bad.

    python3 -m venv --system-site-packages VENV && VENV/bin/pip install --no-deps byzfl scipy==1.10.1
    VENV/bin/python bench/peers/byzfl_rules.py [--threads 2] [--repeats 2] [--only median]

Prints milliseconds of wall and of processor time, the least of the repeats. Only the aggregators are imported: the
package as a whole needs torchvision.
"""
import argparse
import importlib.util
import json
import os
import sys
import time
import types

import torch

package = types.ModuleType("byzfl")
package.__path__ = [os.path.dirname(importlib.util.find_spec("byzfl").origin)]
sys.modules["byzfl"] = package
from byzfl.aggregators import aggregators, preaggregators  # noqa: E402


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--repeats", type=int, default=2)
    a.add_argument("--rows", type=int, default=100)
    a.add_argument("--columns", type=int, default=1_000_000)
    a.add_argument("--only", help="this rule alone, and a line of JSON: how often a second of processor time")
    args = a.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    x = torch.randn(args.rows, args.columns)
    f = args.rows // 10
    rules = {
        "median": aggregators.Median(),
        "trimmed_mean": aggregators.TrMean(f=f),
        "meamed": aggregators.Meamed(f=f),
        "geometric_median": aggregators.GeometricMedian(nu=0.1, T=3),
        "krum": aggregators.Krum(f=f),
        "multi_krum": aggregators.MultiKrum(f=f),
        "centred_clipping": aggregators.CenteredClipping(L=3, tau=100.0),
        "nnm": preaggregators.NNM(f=f),
    }
    for name, rule in rules.items():
        if args.only not in (None, name):
            continue
        best = None
        for _ in range(args.repeats):
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                rule(x)
            except RuntimeError as error:  # nnm gathers n (n - f) rows: 36 GB for this input
                print(f"{name:18} {str(error).split(chr(10))[0][:120]}", flush=True)
                break
            took = (time.perf_counter() - wall, time.process_time() - cpu)
            best = took if best is None else min(best, took)
        if best is None:
            continue
        if args.only:
            print(json.dumps({"per_cpu_s": 1 / best[1]}))
            continue
        print(f"{name:18} wall {1e3 * best[0]:9.1f} ms   processor {1e3 * best[1]:9.1f} ms", flush=True)


if __name__ == "__main__":
    main()
