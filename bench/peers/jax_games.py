#!/usr/bin/env python3
"""LOLA in the iterated prisoner's dilemma in JAX: `jit`, and `vmap` over matches. One gradient of one player of each match for each call.
Prints one JSON line.

    pip install "jax[cpu]";  taskset -c 0 python bench/peers/jax_games.py lola|lola_dice

lola: exact values and the first order in the rival's step (Foerster et al. 2018, arXiv:1709.04326), as examples/games/ipd_lola.toml.
lola_dice: 128 episodes of 150 rounds, two steps of the rival looked ahead, DiCE with the other episodes' mean as the baseline (Foerster et al.
2018, arXiv:1802.05098), as examples/games/ipd_lola_dice.toml. A policy is five logits: at the start, and after CC, CD, DC, DD.
"""
import argparse
import json
import os
from itertools import cycle

from clock import calls_per_cpu_s

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

GAMMA, EPISODES, ROUNDS, LOOKAHEADS, ETA = 0.96, 128, 150, 2, 0.3
PAID = jnp.array([[-1.0, -3.0, 0.0, -2.0], [-1.0, 0.0, -3.0, -2.0]])  # of each, after CC, CD, DC, DD
MIRROR = jnp.array([0, 1, 3, 2, 4])  # a state as the rival sees it: its own action first


def exact(mine, its):
    """Losses of both: minus the discounted values, times 1 - gamma."""
    p, q = jax.nn.sigmoid(mine), jax.nn.sigmoid(its)[MIRROR]
    joint = jnp.stack([p * q, p * (1 - q), (1 - p) * q, (1 - p) * (1 - q)], 1)
    visits = jnp.linalg.solve(jnp.eye(4) - GAMMA * joint[1:].T, joint[0])
    return -(1 - GAMMA) * PAID @ visits


def taylor(mine, its):
    g = jax.grad(lambda x, y: exact(x, y)[0], (0, 1))(mine, its)
    gain = jax.grad(lambda x: jnp.vdot(g[1], jax.grad(lambda y: exact(x, y)[1])(its)))(mine)
    return g[0] - gain


def episodes(mine, its, key):
    """Log probabilities and rewards of both, [2, rounds, episodes]."""

    def play(state, key):
        logits = jnp.stack([mine[state], its[MIRROR[state]]])
        defects = (jax.random.uniform(key, logits.shape) > jax.nn.sigmoid(logits)).astype(jnp.int32)
        log_p = jax.nn.log_sigmoid(jnp.where(defects == 0, logits, -logits))
        state = 1 + 2 * defects[0] + defects[1]
        return state, (log_p, PAID[:, state - 1])

    log_p, paid = jax.lax.scan(play, jnp.zeros(EPISODES, jnp.int32), jax.random.split(key, ROUNDS))[1]
    return log_p.swapaxes(0, 1), paid.swapaxes(0, 1)


def dice(mine, its, key, who):
    log_p, paid = episodes(mine, its, key)
    discount = GAMMA ** jnp.arange(ROUNDS)[:, None]
    joint = log_p.sum(0)

    def box(x):
        return jnp.exp(x - jax.lax.stop_gradient(x))

    earned = discount * paid[who]
    left = jnp.flip(jnp.cumsum(jnp.flip(earned, 0), 0), 0)
    baseline = (left.sum(1, keepdims=True) - left) / (EPISODES - 1)
    total = box(jnp.cumsum(joint, 0)) * earned + (1 - box(joint)) * jax.lax.stop_gradient(baseline)
    return -total.sum(0).mean() * (1 - GAMMA)


def ahead(mine, its, key):
    def after(x):
        y, keys = its, jax.random.split(key, LOOKAHEADS + 1)
        for k in range(LOOKAHEADS):
            y = y - ETA * jax.grad(lambda y, k=k: dice(x, y, keys[k], 1))(y)
        return dice(x, y, keys[LOOKAHEADS], 0)

    return jax.grad(after)(mine)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("learner", choices=["lola", "lola_dice"])
    p.add_argument("--tasks", type=int, default=1000, help="matches at a time")
    p.add_argument("--seconds", type=float, default=1)
    a = p.parse_args()
    if a.learner == "lola":
        step = jax.jit(lambda mine, its, keys: jax.vmap(taylor)(mine, its))
    else:
        step = jax.jit(jax.vmap(ahead))
    mine, its = jax.random.normal(jax.random.key(0), (2, a.tasks, 5))
    keys = cycle([jax.random.split(jax.random.key(k), a.tasks) for k in range(16)])
    rate = calls_per_cpu_s(lambda: jax.block_until_ready(step(mine, its, next(keys))), a.seconds)
    print(json.dumps({"tool": f"JAX {jax.__version__}", "tasks_per_cpu_s": rate * a.tasks}))


if __name__ == "__main__":
    main()
