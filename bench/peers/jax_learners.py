#!/usr/bin/env python3
"""Meta-learners on the sinusoid set-up (MLP 1-40-40-1, 10 shots, 25 tasks) in JAX: `jit`, `vmap` over tasks, one meta-gradient or, for
Reptile, the mean of where training ends, for each call. Prints one JSON line.

    pip install "jax[cpu]";  taskset -c 0 python bench/peers/jax_learners.py maml|first_order|anil|meta_sgd|reptile|imaml|alpaca|protonet|fedavg

alpaca is a Bayesian last layer, in single precision (Harrison et al. 2018, arXiv:1807.08912). protonet is on blobs: 3 ways in two dimensions, 5
shots, 10 queries, embedded in three (Snell et al. 2017, arXiv:1703.05175). fedavg: 5 agents, a step of SGD on the points of 4 tasks in each of
5 rounds, then their mean.

The data are on the device before the clock starts, and neither drawing tasks nor the outer optimiser is in it: symma's rounds have both. The
start is shared by all tasks and the gradient is of their mean, the faster way of bench/peers/jax_maml.py.
"""
import argparse
import json
import os

from clock import calls_per_cpu_s

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

tree = jax.tree_util.tree_map
LAMBDA, CG_STEPS = 2.0, 5  # of imaml, symma's defaults


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("learner", choices=["maml", "first_order", "anil", "meta_sgd", "reptile", "imaml", "alpaca", "protonet", "fedavg"])
    p.add_argument("--inner-steps", type=int, default=1)
    p.add_argument("--activation", choices=["relu", "tanh", "gelu"], default="relu")
    p.add_argument("--tasks", type=int, default=25)
    p.add_argument("--shots", type=int, default=10)
    p.add_argument("--hidden", type=int, default=40)
    p.add_argument("--seconds", type=float, default=1)
    a = p.parse_args()
    act = {"relu": jax.nn.relu, "tanh": jnp.tanh, "gelu": lambda x: jax.nn.gelu(x, approximate=False)}[a.activation]

    def loss(params, x, y):
        for w, b in params[:-1]:
            x = act(x @ w + b)
        w, b = params[-1]
        return jnp.mean((x @ w + b - y) ** 2)

    def minus(params, rate, g):
        return tree(lambda t, d: t - rate * d, params, g)

    cut = jax.lax.stop_gradient if a.learner == "first_order" else lambda g: g

    def adapted(params, x, y):
        for _ in range(a.inner_steps):
            params = minus(params, 0.01, cut(jax.grad(loss)(params, x, y)))
        return params

    def after(params, sx, sy, qx, qy):
        if a.learner == "anil":
            body, head = params[:-1], params[-1:]
            for _ in range(a.inner_steps):
                head = minus(head, 0.01, jax.grad(lambda h: loss(body + h, sx, sy))(head))
            return loss(body + head, qx, qy)
        if a.learner == "meta_sgd":
            params, rates = params
            for _ in range(a.inner_steps):
                params = tree(lambda t, r, d: t - r * d, params, rates, jax.grad(loss)(params, sx, sy))
            return loss(params, qx, qy)
        return loss(adapted(params, sx, sy), qx, qy)

    def implicit(params, sx, sy, qx, qy):
        phi = params
        for _ in range(a.inner_steps):
            g = jax.grad(loss)(phi, sx, sy)
            phi = tree(lambda t, d, s: t - 0.01 * (d + LAMBDA * (t - s)), phi, g, params)
        outer = jax.grad(loss)(phi, qx, qy)

        def product(v):
            h = jax.jvp(lambda t: jax.grad(loss)(t, sx, sy), (phi,), (v,))[1]
            return tree(lambda v, h: v + h / LAMBDA, v, h)

        return jax.scipy.sparse.linalg.cg(product, outer, maxiter=CG_STEPS, tol=0.0)[0]

    def features(body, x):
        for w, b in body:
            x = act(x @ w + b)
        return jnp.concatenate([x, jnp.ones_like(x[:, :1])], 1)

    def bayesian(params, sx, sy, qx, qy):
        body, prior, factor, noise = params
        a = jnp.tril(factor)
        zs, zq = features(body, sx), features(body, qx)
        s, q = zs @ a, zq @ a
        # By the support's few points rather than by features: the smaller system, and XLA solves many small ones slowly.
        solved = jnp.linalg.solve(s @ s.T + jnp.eye(len(s)), jnp.concatenate([sy - zs @ prior, s @ q.T], 1))
        mean = zq @ prior + q @ (s.T @ solved[:, :1])
        spread = (1 + jnp.sum(q * q, 1) - jnp.sum((s @ q.T) * solved[:, 1:], 0))[:, None] * jnp.exp(2 * noise)
        return jnp.mean((qy - mean) ** 2 / spread + jnp.log(spread)) / 2

    def prototypes(params, sx, sy, qx, qy):
        def embed(x):
            for w, b in params[:-1]:
                x = act(x @ w + b)
            return x @ params[-1][0] + params[-1][1]

        means = embed(sx).reshape(3, a.shots, -1).mean(1)
        logits = -jnp.sum((embed(qx)[:, None] - means) ** 2, 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), qy, 1))

    def mean_over_tasks(f):
        return lambda params, *d: tree(lambda t: t.mean(0), jax.vmap(f, (None, 0, 0, 0, 0))(params, *d))

    if a.learner == "reptile":
        step = mean_over_tasks(lambda params, sx, sy, qx, qy: minus(params, 1.0, adapted(params, sx, sy)))
    elif a.learner == "imaml":
        step = mean_over_tasks(implicit)
    elif a.learner == "fedavg":

        def federated(params, *d):
            x, y = jnp.concatenate([d[0], d[2]], 1), jnp.concatenate([d[1], d[3]], 1)
            x, y = x.reshape(5, -1, 1), y.reshape(5, -1, 1)  # the points of an agent's tasks
            rows = tree(lambda t: jnp.broadcast_to(t, (5, *t.shape)), params)
            rows = jax.lax.fori_loop(0, 5, lambda _, r: minus(r, 0.02, jax.vmap(jax.grad(loss))(r, x, y)), rows)
            return tree(lambda t: t.mean(0), rows)

        step = federated
    else:
        after = {"alpaca": bayesian, "protonet": prototypes}.get(a.learner, after)
        step = jax.grad(lambda params, *d: jnp.mean(jax.vmap(after, (None, 0, 0, 0, 0))(params, *d)))
    step = jax.jit(step)

    rng = np.random.default_rng(0)
    widths = [1, a.hidden, a.hidden, 1]
    params = [(rng.normal(size=(i, o)) * (2 / i) ** 0.5, np.zeros(o)) for i, o in zip(widths, widths[1:])]
    if a.learner == "meta_sgd":
        params = (params, tree(lambda t: np.full_like(t, 0.01), params))
    amplitude, phase = rng.uniform(0.1, 5, (a.tasks, 1, 1)), rng.uniform(0, np.pi, (a.tasks, 1, 1))
    x = [rng.uniform(-5, 5, (a.tasks, a.shots, 1)) for _ in range(2)]
    data = [t for v in x for t in (v, amplitude * np.sin(v - phase))]
    if a.learner == "alpaca":
        params = (params[:-1], np.zeros((a.hidden + 1, 1)), np.eye(a.hidden + 1), np.log(0.3))
    if a.learner == "protonet":
        widths = [2, a.hidden, a.hidden, 3]
        params = [(rng.normal(size=(i, o)) * (2 / i) ** 0.5, np.zeros(o)) for i, o in zip(widths, widths[1:])]
        centres = rng.normal(size=(a.tasks, 3, 1, 2)) * 2
        points = [(centres + rng.normal(size=(a.tasks, 3, n, 2)) / 2).reshape(a.tasks, -1, 2) for n in (a.shots, 10)]
        labels = [np.tile(np.repeat(np.arange(3), n)[:, None], (a.tasks, 1, 1)) for n in (a.shots, 10)]
        data = [points[0], labels[0], points[1], labels[1]]
    params, data = jax.device_put(tree(lambda t: jnp.asarray(t, None if np.asarray(t).dtype.kind == "i" else jnp.float32), (params, data)))
    tasks = a.tasks * (5 if a.learner == "fedavg" else 1)  # each is learned from in five rounds
    rate = calls_per_cpu_s(lambda: jax.block_until_ready(step(params, *data)), a.seconds)
    print(json.dumps({"tool": f"JAX {jax.__version__}", "tasks_per_cpu_s": rate * tasks}))


if __name__ == "__main__":
    main()
