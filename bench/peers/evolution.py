#!/usr/bin/env python3
"""Evolution strategies beside pycma and evosax, on the same function, start, sigma, population, step sizes and target.

  python3 -m venv VENV;  VENV/bin/pip install cma evosax "jax[cpu]"
  VENV/bin/python bench/peers/evolution.py counts --symma build/release/symma   # evaluations to the target, medians
  VENV/bin/python bench/peers/evolution.py speed --symma build/release/symma    # generations a second
  VENV/bin/python bench/peers/evolution.py one --strategies snes --dims 1000    # evosax's alone, as JSON

Each prints a Markdown table. A search is at the target when the function at its mean is.
"""
import argparse
import json
import os
import statistics
import subprocess
import time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

FUNCTIONS = {
    "sphere": lambda np, x: (x ** 2).sum(-1),
    "rosenbrock": lambda np, x: (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1),
    "rastrigin": lambda np, x: (x ** 2 - 10 * np.cos(2 * np.pi * x) + 10).sum(-1),
}

# What each strategy is asked to do, for D dimensions, and the evaluations after which it has failed. Rosenbrock starts at
# 0, the others at 3. A separable search does not follow Rosenbrock's bent valley: SNES is asked to reach it, at D - 2.
CASES = {
    ("cma_es", "sphere"): lambda d: dict(sigma=1, target=1e-8, most=20000),
    ("cma_es", "rosenbrock"): lambda d: dict(sigma=0.5, target=1e-8, most=4000 * d),
    ("cma_es", "rastrigin"): lambda d: dict(sigma=3, population=40 * d, target=1e-8, most=20000 * d),
    ("snes", "sphere"): lambda d: dict(sigma=1, target=1e-8, most=50000),
    ("snes", "rosenbrock"): lambda d: dict(sigma=0.5, population=4 * d, target=d - 2, most=200000),
    ("snes", "rastrigin"): lambda d: dict(sigma=3, population=40 * d, target=1e-8, most=20000 * d),
    ("pgpe", "sphere"): lambda d: dict(sigma=1, population=64, meta_lr=0.2, halve_every=100, target=1e-4, most=100000),
    ("pgpe", "rosenbrock"): lambda d: dict(sigma=0.02, population=64, meta_lr=0.05, halve_every=1000, target=1,
                                           most=300000),
    ("pgpe", "rastrigin"): lambda d: dict(sigma=1, population=20 * d, meta_lr=0.2, halve_every=100, target=1e-4,
                                          most=30000 * d),
    ("openai_es", "sphere"): lambda d: dict(sigma=0.1, population=64, meta_lr=0.2, halve_every=100, target=1e-4,
                                            most=100000),
    ("openai_es", "rosenbrock"): lambda d: dict(sigma=0.02, population=64, meta_lr=0.05, halve_every=1000, target=1,
                                                most=300000),
    ("openai_es", "rastrigin"): lambda d: dict(sigma=0.5, population=40 * d, meta_lr=0.2, halve_every=100,
                                               target=1e-4, most=20000 * d),
}


def case(strategy, function, dims):
    c = dict(population=0, meta_lr=0, halve_every=0) | CASES[strategy, function](dims)
    return c | dict(strategy=strategy, function=function, dims=dims, start=0 if function == "rosenbrock" else 3)


def outcome(whens, most, reached):
    """As `symma bench evolution` has it."""
    return dict(evaluations=min(most, statistics.median_low(whens)), solved=sum(w < float("inf") for w in whens),
                reached=statistics.median_low(reached))


def symma(program, c, seeds, *more):
    flags = [x for k, v in c.items() for x in ("--" + k.replace("_", "-"), str(v))]
    out = subprocess.run([program, "bench", "evolution", "--json", "--threads", "1", "--searches", str(seeds), *flags,
                          *more], capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def pycma(c, seeds):
    import cma
    import numpy as np
    f = FUNCTIONS[c["function"]]
    whens, reached = [], []
    for seed in range(1, seeds + 1):
        options = dict(seed=seed, verbose=-9, tolfun=0, tolfunhist=0, tolx=0, tolstagnation=0, tolflatfitness=1 << 30)
        if c["population"]:
            options["popsize"] = c["population"]
        es = cma.CMAEvolutionStrategy([c["start"]] * c["dims"], c["sigma"], options)
        when, spent = float("inf"), 0
        while spent < c["most"]:
            x = es.ask()
            es.tell(x, list(f(np, np.array(x))))
            spent += len(x)
            if f(np, es.mean) <= c["target"]:
                when = spent
                break
        whens.append(when)
        reached.append(float(f(np, es.mean)))
    return outcome(whens, c["most"], reached)


def evosax_strategy(c):
    import jax.numpy as jnp
    import optax
    from evosax.algorithms import CMA_ES, PGPE, SNES, Open_ES
    d = c["dims"]
    population = c["population"] or 4 + int(3 * jnp.log(d))
    rate = c["meta_lr"] or 0.01
    if c["halve_every"]:
        rate = optax.exponential_decay(rate, c["halve_every"], 0.5)
    zero = jnp.zeros(d)
    if c["strategy"] == "openai_es":
        es = Open_ES(population, zero, optimizer=optax.adam(rate), std_schedule=optax.constant_schedule(c["sigma"]))
        return es, es.default_params, population
    if c["strategy"] == "pgpe":
        es = PGPE(population, zero, optimizer=optax.adam(rate))
    else:
        es = {"snes": SNES, "cma_es": CMA_ES}[c["strategy"]](population, zero)
    return es, es.default_params.replace(std_init=c["sigma"]), population


def evosax(c, seeds):
    import jax
    import jax.numpy as jnp
    jax.config.update("jax_enable_x64", True)
    f = FUNCTIONS[c["function"]]
    es, params, population = evosax_strategy(c)
    start = jnp.full(c["dims"], float(c["start"]))
    states = jax.vmap(lambda k: es.init(k, start, params))(jax.random.split(jax.random.key(1), seeds))

    def generation(carry):
        states, key, when, i = carry
        key, sub = jax.random.split(key)

        def one(k, state):
            x, state = es.ask(k, state, params)
            state, _ = es.tell(k, x, f(jnp, x), state, params)
            return state

        states = jax.vmap(one)(jax.random.split(sub, seeds), states)
        done = (f(jnp, states.mean) <= c["target"]) & jnp.isinf(when)
        return states, key, jnp.where(done, (i + 1.0) * population, when), i + 1

    def unfinished(carry):
        return jnp.isinf(carry[2]).any() & (carry[3] * population < c["most"])

    end = jax.jit(lambda s: jax.lax.while_loop(unfinished, generation,
                                               (s, jax.random.key(2), jnp.full(seeds, jnp.inf), 0)))(states)
    return outcome([float(w) for w in end[2]], c["most"], [float(v) for v in f(jnp, end[0].mean)])


def counts(a):
    print("| strategy | function | D | population | sigma | step size, halved every | target | symma | peer | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for strategy, function in CASES:
        if strategy not in a.strategies or function not in a.functions:
            continue
        for d in a.dims:
            c = case(strategy, function, d)
            ours = symma(a.symma, c, a.seeds)
            theirs = pycma(c, a.seeds) if strategy == "cma_es" else evosax(c, a.seeds)

            def show(x):
                if 2 * x["solved"] <= a.seeds:
                    return f"{x['solved']} of {a.seeds}; at {x['reached']:.3g}"
                return f"{x['evaluations']:,.0f}" + ("" if x["solved"] == a.seeds else f" ({x['solved']} of {a.seeds})")

            both = min(ours["solved"], theirs["solved"]) * 2 > a.seeds
            ratio = f"{ours['evaluations'] / theirs['evaluations']:.2f}" if both else ""
            rate = f"{c['meta_lr']}, {c['halve_every']}" if c["meta_lr"] else ""
            print(f"| {strategy} | {function} | {d} | {c['population'] or '4 + 3 ln D'} | {c['sigma']} | {rate} "
                  f"| {c['target']:g} | {show(ours)} | {show(theirs)} | {ratio} |", flush=True)


def evosax_speed(c, seconds):
    """Generations a second, all of them in one compiled loop: ask, the sphere, tell; float32, JAX's default."""
    import jax
    import jax.numpy as jnp
    f = FUNCTIONS[c["function"]]
    es, params, _ = evosax_strategy(c)
    state = es.init(jax.random.key(0), jnp.full(c["dims"], float(c["start"])), params)

    @jax.jit
    def run(state, key, n):
        def generation(_, carry):
            state, key = carry
            key, ask, tell = jax.random.split(key, 3)
            x, state = es.ask(ask, state, params)
            state, _ = es.tell(tell, x, f(jnp, x), state, params)
            return state, key
        return jax.lax.fori_loop(0, n, generation, (state, key))

    n, took = 1, 0.0
    run(state, jax.random.key(1), n)[0].mean.block_until_ready()
    while True:
        start, cpu = time.perf_counter(), time.process_time()
        run(state, jax.random.key(1), n)[0].mean.block_until_ready()
        took, cpu = time.perf_counter() - start, time.process_time() - cpu
        if took >= seconds:
            return n / took, n / cpu
        n = max(2 * n, int(1.2 * n * seconds / max(took, 1e-4)))


def speed_case(strategy, dims, population):
    return dict(strategy=strategy, function="sphere", dims=dims, population=population, sigma=0.1, start=3,
                meta_lr=0.01 if strategy in ("openai_es", "pgpe") else 0, halve_every=0)


def one(a):
    rate = evosax_speed(speed_case(a.strategies[0], a.dims[0], a.populations[0]), a.seconds)[1]
    print(json.dumps({"generations_per_cpu_s": rate}))


def speed(a):
    print("Generations a second by the processor's clock, the median of "
          f"{a.repeats} repeats in turn; in brackets the least and the most.\n")
    print("| strategy | D | population | symma | evosax | ratio |\n|---|---|---|---|---|---|", flush=True)
    for strategy in a.strategies:
        for d in a.dims:
            for population in a.populations:
                if strategy == "cma_es" and d > 1000:
                    continue
                c = speed_case(strategy, d, population)
                ours, theirs = [], []
                for _ in range(a.repeats):
                    r = symma(a.symma, c, 1, "--part", "speed", "--seconds", str(a.seconds))
                    ours.append(r["generations_per_cpu_s"])
                    theirs.append(evosax_speed(c, a.seconds)[1])
                x, y = statistics.median(ours), statistics.median(theirs)
                print(f"| {strategy} | {d} | {population} | {x:,.0f} ({min(ours):,.0f} to {max(ours):,.0f}) "
                      f"| {y:,.0f} ({min(theirs):,.0f} to {max(theirs):,.0f}) | {x / y:.2f} |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["counts", "speed", "one"])
    p.add_argument("--symma", help="the program")
    p.add_argument("--strategies", nargs="+", default=["cma_es", "snes", "pgpe", "openai_es"])
    p.add_argument("--functions", nargs="+", default=list(FUNCTIONS))
    p.add_argument("--dims", nargs="+", type=int)
    p.add_argument("--seeds", type=int, default=21)
    p.add_argument("--populations", nargs="+", type=int, default=[64, 256])
    p.add_argument("--seconds", type=float, default=0.5)
    p.add_argument("--repeats", type=int, default=3)
    a = p.parse_args()
    a.dims = a.dims or ([10, 20, 40] if a.what == "counts" else [100, 1000, 10000])
    if a.what != "one" and not a.symma:
        p.error("--symma: name the program")
    {"counts": counts, "speed": speed, "one": one}[a.what](a)


if __name__ == "__main__":
    main()
