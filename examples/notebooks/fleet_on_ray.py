# needs: ray
# %% [markdown]
# # A fleet on Ray
# One fleet in several actors of Ray, a worker that is killed while it trains, and settings that Ray Tune searches.
# `pip install 'ray[tune]'`, and `docs/ray.md` for the rest.
# %%
import os
import signal

import ray
import symma

symma.ray.start(num_cpus=3, logging_level="ERROR", log_to_driver=False)
# %% [markdown]
# Twelve agents on a ring, each with sine waves of its own, in this process first.
# %%
fleet = dict(name="ring", agents=12, rounds=3000, task="sinusoid", exchange="ring", model={"hidden": [16, 16]}, checkpoint_every=200, log_every=50,
             eval={"tasks": 20, "steps": [0, 1, 5]})
here = symma.train(fleet, out="runs/here", progress=False)
here
# %% [markdown]
# The same in three actors. They talk by the engine's own transport; the rows are the same, bit for bit.
# %%
there = symma.ray.train(fleet, num_workers=3, out="runs/there", progress=False)
bool((here.theta == there.theta).all())
# %% [markdown]
# Now one of them is killed in the middle. Ray brings it back, it takes up its agents from the last checkpoint, and what comes out is what would have come unbroken.
# %%
import subprocess

struck = []


def strike(row):
    if row["round"] >= 1000 and not struck:
        processes = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True).stdout.splitlines()
        struck.append(next(int(p.split()[0]) for p in processes if "ray::_Worker" in p))
        os.kill(struck[0], signal.SIGKILL)


killed = symma.ray.train(fleet, num_workers=3, out="runs/killed", progress=False, loggers=[strike])
len(struck), bool((here.theta == killed.theta).all())
# %% [markdown]
# Which inner rate? Ray Tune asks four, a trial an actor.
# %%
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # no tables
from ray import tune

searched = symma.ray.trainable(fleet, rounds=300, agents=2)
found = tune.Tuner(searched, param_space={"learner.inner_lr": tune.grid_search([0.0001, 0.001, 0.01, 0.1])},
                   tune_config=tune.TuneConfig(metric="score", mode=searched.mode),
                   run_config=tune.RunConfig(storage_path=os.path.abspath("tune"), verbose=0)).fit()
{r.config["learner.inner_lr"]: round(r.metrics["score"], 2) for r in found}
# %%
found.get_best_result().config
# %% [markdown]
# And every combination of some settings, over seeds: `symma sweep` for Ray.
# %%
swept = symma.ray.sweep(fleet, {"exchange.topology": ["none", "ring"], "seed": [1, 2]}, out="sweeps/ring", rounds=300, progress=False)
list(swept.runs)
# %%
ray.shutdown()
