#!/usr/bin/env python3
"""Second-order MAML on the sinusoid set-up (MLP 1-40-40-1 relu, 10 shots, 25 tasks) in JAX: jit, vmap over tasks, one
meta-gradient for each call. With --model conv on 28 x 28 images (four strided blocks of 64, a mean over places, 5-way 1-shot with
as many queries). Prints one JSON line. The data are on the device before the clock starts.

  pip install "jax[cpu]";  taskset -c 0 python3 bench/peers/jax_maml.py --inner-steps 1
"""
import json

import jax
import jax.numpy as jnp
import numpy as np

from maml import rates, words


def loss(params, x, y):
    for w, b in params[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = params[-1]
    return jnp.mean((x @ w + b - y) ** 2)


def conv_loss(params, x, y):
    for w in params[:4]:
        x = jax.lax.conv_general_dilated(x, w, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu((x - x.mean((0, 1, 2))) * jax.lax.rsqrt(x.var((0, 1, 2)) + 1e-5))
    w, b = params[4]
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x.mean((1, 2)) @ w + b), y[:, None], 1))


def images(tasks, rng):
    params = [rng.normal(size=(3, 3, i, 64)) * (2 / (9 * i)) ** 0.5 for i in (1, 64, 64, 64)]
    y = np.tile(np.arange(5), (tasks, 1))
    data = [t for _ in range(2) for t in (rng.uniform(size=(tasks, 5, 28, 28, 1)).astype(np.float32), y)]
    return params + [(rng.normal(size=(64, 5)) / 8, np.zeros(5))], data


def main():
    p = words(__doc__)
    p.add_argument("--meta", choices=["mean", "per-row"], default="mean",
                   help="one start for all tasks (its mean gradient), or a start and a gradient for each task")
    a = p.parse_args()

    of, lr = (conv_loss, 0.4) if a.model == "conv" else (loss, 0.01)

    def after(params, sx, sy, qx, qy):
        for _ in range(a.inner_steps):
            g = jax.grad(of)(params, sx, sy)
            params = jax.tree_util.tree_map(lambda t, d: t - lr * d, params, g)
        return of(params, qx, qy)

    if a.meta == "mean":
        step = jax.jit(jax.grad(lambda params, *d: jnp.mean(jax.vmap(after, (None, 0, 0, 0, 0))(params, *d))))
    else:
        step = jax.jit(jax.vmap(jax.grad(after)))

    rng = np.random.default_rng(0)
    if a.model == "conv":
        params, data = images(a.tasks, rng)
    else:
        widths = [1, a.hidden, a.hidden, 1]
        params = [(rng.normal(size=(i, o)) * (2 / i) ** 0.5, np.zeros(o)) for i, o in zip(widths, widths[1:])]
        amplitude, phase = rng.uniform(0.1, 5, (a.tasks, 1, 1)), rng.uniform(0, np.pi, (a.tasks, 1, 1))
        x = [rng.uniform(-5, 5, (a.tasks, a.shots, 1)) for _ in range(2)]
        data = [t for v in x for t in (v, amplitude * np.sin(v - phase))]
    if a.meta == "per-row":
        params = jax.tree_util.tree_map(lambda t: np.repeat(t[None], a.tasks, 0), params)
    params, data = jax.device_put(jax.tree_util.tree_map(lambda t: jnp.asarray(t, jnp.float32 if t.dtype.kind == "f" else jnp.int32), (params, data)))
    rate = rates(lambda: jax.block_until_ready(step(params, *data)), a.tasks, a.seconds)
    print(json.dumps({"tool": f"jax {jax.__version__}", "meta": a.meta, "inner_steps": a.inner_steps, **rate}))


if __name__ == "__main__":
    main()
