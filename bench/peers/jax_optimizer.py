#!/usr/bin/env python3
"""Learning an LSTM optimiser in JAX: truncations of 20 steps of 128 quadratics in ten dimensions, forward, backward and a step of Adam, as
`symma bench optimizer`. Two layers of 20 cells, the same for every coordinate (Andrychowicz et al. 2016, arXiv:1606.04474). One JSON line.

    pip install "jax[cpu]";  taskset -c 0 python bench/peers/jax_optimizer.py
"""
import argparse
import json
import os

from clock import calls_per_cpu_s

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

tree = jax.tree_util.tree_map
HIDDEN, P, SCALE = 20, 10.0, 0.1


def enter(g):
    big = jnp.abs(g) >= jnp.exp(-P)
    size = jnp.where(big, jnp.log(jnp.where(big, jnp.abs(g), 1)) / P, -1)
    return jnp.stack([size, jnp.where(big, jnp.sign(g), jnp.exp(P) * g)])


def cell(layer, x, h, c):
    w, b = layer
    i, f, o, g = jnp.split(w @ jnp.concatenate([x, h]) + b[:, None], 4)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tasks", type=int, default=128)
    p.add_argument("--dims", type=int, default=10)
    p.add_argument("--unroll", type=int, default=20)
    p.add_argument("--seconds", type=float, default=2)
    a = p.parse_args()
    key = iter(jax.random.split(jax.random.key(0), 16))
    coordinates = a.tasks * a.dims

    def layer(n):
        return jax.random.uniform(next(key), (4 * HIDDEN, n + HIDDEN), minval=-0.2, maxval=0.2), jnp.zeros(4 * HIDDEN)

    phi = (layer(2), layer(HIDDEN), jax.random.uniform(next(key), (1, HIDDEN), minval=-0.2, maxval=0.2), jnp.zeros(1))
    w = jax.random.normal(next(key), (a.tasks, a.dims, a.dims))
    y = jax.random.normal(next(key), (a.tasks, a.dims))

    def value(theta):
        return jnp.sum((jnp.einsum("tij,tj->ti", w, theta) - y) ** 2, 1)

    def truncation(phi, start):
        def step(state, _):
            theta, memory = state
            x = enter(jax.lax.stop_gradient(jax.grad(lambda t: value(t).sum())(theta)).reshape(-1))
            kept = []
            for layer, (h, c) in zip(phi[:2], memory):
                x, c = cell(layer, x, h, c)
                kept.append((x, c))
            theta = theta + SCALE * (phi[2] @ x + phi[3][:, None]).reshape(theta.shape)
            return (theta, kept), value(theta).mean()

        end, losses = jax.lax.scan(step, start, None, a.unroll)
        return losses.mean(), end

    @jax.jit
    def learn(phi, moments, k, start):
        (_, end), g = jax.value_and_grad(truncation, has_aux=True)(phi, start)
        first = tree(lambda m, d: 0.9 * m + 0.1 * d, moments[0], g)
        second = tree(lambda m, d: 0.999 * m + 0.001 * d * d, moments[1], g)
        rate = 1e-3 * jnp.sqrt(1 - 0.999**k) / (1 - 0.9**k)
        return tree(lambda t, m, s: t - rate * m / (jnp.sqrt(s) + 1e-8), phi, first, second), (first, second), end

    zero = jnp.zeros((HIDDEN, coordinates))
    begin = jax.random.normal(next(key), (a.tasks, a.dims)), [(zero, zero), (zero, zero)]
    moments = tree(jnp.zeros_like, phi), tree(jnp.zeros_like, phi)
    end, calls = begin, 0

    def truncated():
        # Five truncations, then new quadratics' start; each goes on from where the last left off.
        nonlocal phi, moments, end, calls
        calls += 1
        phi, moments, end = jax.block_until_ready(learn(phi, moments, float(calls), begin if calls % 5 == 0 else end))

    print(json.dumps({"tool": f"JAX {jax.__version__}", "steps_per_cpu_s": calls_per_cpu_s(truncated, a.seconds) * a.unroll}))


if __name__ == "__main__":
    main()
