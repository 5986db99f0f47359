# %% [markdown]
# # Sine waves in five minutes
#
# Six agents learn to learn: each meets sine waves of its own range of amplitudes, and talks to its neighbours on a ring. Afterwards any
# of them takes a new wave from ten points. Finn et al. 2017 have the task, arXiv:1703.03400.
# %%
import numpy as np
import symma

run = symma.train(
    {"name": "sine_waves", "agents": 6, "rounds": 4000, "task": "sinusoid", "model": {"kind": "mlp", "hidden": [40, 40]},
     "learner": {"kind": "maml", "inner_lr": 0.01, "inner_steps": 1}, "exchange": "ring", "eval": {"tasks": 100}},
    out="runs/sine_waves", force=True, progress=False)
run
# %% [markdown]
# Mean squared error on waves that no agent has met, after 0, 1, 5 and 10 gradient steps:
# %%
run.scores.groupby("steps")["mse"].agg(["mean", "median"]).round(2)
# %% [markdown]
# A new wave, ten points of it, and what the network says where it saw none:
# %%
x = np.linspace(-5, 5, 10)
y = 3 * np.sin(x - 1)
adapted = run.adapt(x, y, steps=10)
x2 = np.array([-4.5, 0.3, 2.2])
np.stack([3 * np.sin(x2 - 1), adapted.predict(x2)]).round(1)   # the truth above, the prediction below
# %% [markdown]
# The same fleet with the loop in your own hands. Did talking bring the agents together?
# %%
fleet = symma.Fleet({"hidden": [40, 40]}, "maml", "sinusoid", exchange="ring", agents=6, same_start=False)
before = fleet.disagreement
for _ in range(50):
    fleet.step(fleet.sample())
    fleet.exchange()
f"{fleet.disagreement / before:.1e} of what it was"
