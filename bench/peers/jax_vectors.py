#!/usr/bin/env python3
"""What agents do to what they send, in JAX, compiled by `jit`, in float32. Prints one JSON line: how often a second of processor time.

    pip install "jax[cpu]";  taskset -c 0 python bench/peers/jax_vectors.py mean|top_k|qsgd|gossip

mean: of 100 rows of a million numbers. top_k: a million numbers, the 10,000 largest kept, there and back. qsgd: a million numbers to sixteen levels of
their norm, rounded at random, there and back (Alistarh et al. 2017, arXiv:1610.02132); levels are not packed into bits. gossip: 10,000 rows of 1,761
numbers, each with its two neighbours on a ring; beside a copy of the same memory, whose share is printed.
"""
import argparse
import json
import os
from itertools import cycle

from clock import calls_per_cpu_s

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

SIZE, ROWS, KEPT, LEVELS = 1_000_000, 100, 10_000, 16


def top_k(x, key):
    _, places = jax.lax.top_k(jnp.abs(x), KEPT)
    return jnp.zeros_like(x).at[places].set(x[places])


def qsgd(x, key):
    norm = jnp.linalg.norm(x)
    place = jnp.abs(x) / norm * LEVELS
    level = jnp.floor(place + jax.random.uniform(key, x.shape)).astype(jnp.int8)
    return norm * jnp.sign(x) * level / LEVELS


def gossip(x, key):
    return (x + jnp.roll(x, 1, 0) + jnp.roll(x, -1, 0)) / 3


def rate(f, x, seconds):
    """Calls a second of processor time. What comes out goes in again where it may, so that nothing is waited for but the work."""
    again = f(x, jax.random.key(0)).shape == x.shape
    step = jax.jit(f, donate_argnums=0) if again else jax.jit(f)
    x, keys = jnp.array(x), cycle(list(jax.random.split(jax.random.key(1), 64)))

    def once():
        nonlocal x
        y = jax.block_until_ready(step(x, next(keys)))
        x = y if again else x

    return calls_per_cpu_s(once, seconds)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["mean", "top_k", "qsgd", "gossip"])
    p.add_argument("--seconds", type=float, default=1)
    a = p.parse_args()
    key = jax.random.key(7)
    if a.what == "gossip":
        x = jax.random.normal(key, (10_000, 1761))
        mixing = rate(gossip, x, a.seconds)
        copying = rate(lambda x, key: x + 1, x, a.seconds)  # each number read once and written once
        print(json.dumps({"tool": f"JAX {jax.__version__}", "per_cpu_s": mixing, "of_copy": mixing / copying}))
        return
    x = jax.random.normal(key, (ROWS, SIZE) if a.what == "mean" else (SIZE,))
    work = {"mean": lambda x, key: x.mean(0), "top_k": top_k, "qsgd": qsgd}[a.what]
    print(json.dumps({"tool": f"JAX {jax.__version__}", "per_cpu_s": rate(work, x, a.seconds)}))


if __name__ == "__main__":
    main()
