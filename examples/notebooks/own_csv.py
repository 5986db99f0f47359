# %% [markdown]
# # Your own CSV: a few-shot model for each patient
#
# A table with a column that names the patient. Rows of a patient are a task: a few are learned from, the others predicted. The data here are made
# up (one-compartment kinetics, each patient with an uptake and a clearance of their own), so that the notebook runs anywhere; put your file's name in place of it.
# %%
import numpy as np
import pandas as pd
import symma

rng = np.random.default_rng(0)
rows = []
for p in range(60):
    uptake, loss, size = rng.uniform(0.8, 2.5), rng.uniform(0.05, 0.15), rng.uniform(25, 40)
    for hour in np.sort(rng.uniform(0.1, 24, 24)):
        level = 320 / size * uptake / (uptake - loss) * (np.exp(-loss * hour) - np.exp(-uptake * hour))
        rows.append((f"patient {p}", hour, level + rng.normal(0, 0.2)))
table = pd.DataFrame(rows, columns=["patient", "hour", "level"])
table.to_csv("runs/levels.csv", index=False)
table.head(3).round(2)
# %%
run = symma.train(
    name="patients", task={"kind": "table", "path": "runs/levels.csv", "group": "patient", "target": "level", "shots": 5, "queries": 10},
    model={"kind": "mlp", "hidden": [32, 32]}, learner={"kind": "maml", "inner_lr": 0.05, "inner_steps": 3}, rounds=800, eval={"tasks": 12},
    out="runs/patients", force=True, progress=False)
run
# %% [markdown]
# Someone new, five blood samples. Levels are milligrams a litre in and out: the run knows how it standardised.
# %%
new = pd.DataFrame({"hour": [0.5, 1, 4, 9, 18], "level": [5.5, 8.0, 8.2, 5.2, 2.3]})
adapted = run.adapt(new[["hour"]], new["level"], steps=10)
adapted.predict(pd.DataFrame({"hour": [2.0, 6.0, 12.0, 22.0]}, index=["2 h", "6 h", "12 h", "22 h"])).round(1)
# %% [markdown]
# How far off is it for patients whom it has not met, in the network's units, with and without adapting?
# %%
run.scores.groupby("steps")["mse"].median().round(3)
