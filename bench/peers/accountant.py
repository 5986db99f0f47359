#!/usr/bin/env python3
"""Google's dp_accounting on what bench/exchange_bench.cc asks of ours: epsilon at delta 1e-5 of ten thousand rounds of the Gaussian
mechanism, sigma 1, in each of which one in a hundred takes part.

    VENV/bin/pip install dp-accounting==0.6.0
    VENV/bin/python bench/peers/accountant.py renyi|composed [--repeats 3]

Prints how often a second of processor time, as a line of JSON, and the epsilon that came out. `renyi` at the orders of ours.
"""
import argparse
import json
import time

from dp_accounting import dp_event
from dp_accounting.pld import pld_privacy_accountant
from dp_accounting.rdp import rdp_privacy_accountant


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["renyi", "composed"])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    orders = [1 + k / 10 for k in range(1, 100)] + list(range(12, 64))
    step = dp_event.PoissonSampledDpEvent(0.01, dp_event.GaussianDpEvent(1.0))

    def epsilon():
        if args.kind == "renyi":
            accountant = rdp_privacy_accountant.RdpAccountant(orders)
        else:
            accountant = pld_privacy_accountant.PLDAccountant()
        return accountant.compose(step, 10_000).get_epsilon(1e-5)

    found, start = epsilon(), time.process_time()
    for _ in range(args.repeats):
        epsilon()
    print(json.dumps({"per_cpu_s": args.repeats / (time.process_time() - start), "epsilon": found}))


if __name__ == "__main__":
    main()
