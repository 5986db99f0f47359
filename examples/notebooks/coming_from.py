# %% [markdown]
# # From learn2learn, and from EPyMARL, to symma
#
# ## learn2learn
#
# ```python
# maml = l2l.algorithms.MAML(model, lr=0.01, first_order=False)        # learner={"kind": "maml", "inner_lr": 0.01, "order": 2}
# for iteration in range(rounds):                                      # rounds=
#     for task in range(meta_batch):                                   # tasks=
#         learner = maml.clone()
#         learner.adapt(loss(learner(x_support), y_support))           # "inner_steps": 1
#         error += loss(learner(x_query), y_query)
#     error.backward(); opt.step()                                     # "meta_lr": 0.001
# ```
#
# The tasks of all agents are rows of one matrix here, so the loops over tasks are one operation. A `torch.nn.Module` can stay what it is:
# %%
import torch
import symma


class Net(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(inputs, 40), torch.nn.ReLU(), torch.nn.Linear(40, 40), torch.nn.ReLU())
        self.head = torch.nn.Linear(40, outputs)

    def forward(self, x):
        return self.head(self.body(x))


fleet = symma.Fleet(Net, {"kind": "maml", "inner_lr": 0.01, "order": 2, "inner_steps": 1, "meta_lr": 0.001}, "sinusoid", tasks_per_round=25)
for iteration in range(300):
    loss = fleet.step(fleet.sample())["loss"]
[round(m, 1) for m in fleet.evaluate(tasks=50, steps=[0, 1, 5])["summary"]["mean"]]
# %% [markdown]
# The engine's own network of that shape, `{"kind": "mlp", "hidden": [40, 40]}`, does the same through one kernel and is many times faster.
# `tasks.loss(rows, "query")` can be differentiated in torch, for an algorithm of your own:
# %%
batch = fleet.sample("test", agents=[0, 0, 0])
rows = fleet.theta.expand(3, -1).clone().requires_grad_()
inner, = torch.autograd.grad(batch.tasks.loss(rows, "support").sum(), rows, create_graph=True)
outer, = torch.autograd.grad(batch.tasks.loss(rows - 0.01 * inner, "query").sum(), rows)
tuple(outer.shape)
# %% [markdown]
# ## EPyMARL
#
# ```
# python3 src/main.py --config=ippo --env-config=gymma with env_args.time_limit=50 env_args.key="lbforaging:Foraging-8x8-2p-3f-v3"
# ```
#
# | EPyMARL | symma |
# |---|---|
# | `--config=ippo` (`iql`, `vdn`, `qmix`, `coma`, `maa2c`, `mappo`) | `learner="ippo"` |
# | `env_args.key="lbforaging:Foraging-8x8-2p-3f-v3"` | `world={"kind": "foraging", "rows": 8, "columns": 8, "agents": 2, "foods": 3}` |
# | `env_args.time_limit` | `"limit"` of the world |
# | `batch_size_run` | `copies` of the task: episodes that are played together |
# | `t_max` | `rounds`, each of `copies` episodes |
# | `common_reward` | `own_reward=False` of the task |
# | seeds as runs | `agents=`: rows that never meet, in one run |
# %%
run = symma.train(name="from_epymarl", agents=2, same_start=False, tasks=1, rounds=60, learner={"kind": "ippo", "lr": 1e-3}, model={"hidden": [64, 64]},
                  task={"kind": "control", "copies": 10, "world": {"kind": "foraging", "rows": 8, "columns": 8, "agents": 2, "foods": 3, "limit": 25}},
                  eval={"steps": [0], "tasks": 20}, out="runs/from_epymarl", force=True, progress=False)
run.metrics[["round", "env_steps", "train/return"]].tail(1).round(2)
