#!/usr/bin/env python3
"""Second-order MAML in learn2learn, as its own examples write it: a loop over tasks, clone, adapt, backward. On the
sinusoid set-up (MLP 1-40-40-1 relu, 10 shots, 25 tasks), or with --model conv on 28 x 28 images (four strided blocks of 64, a
mean over places, 5-way 1-shot with as many queries). Prints one JSON line.

  python3 bench/peers/learn2learn_maml.py --inner-steps 1 --threads 1

With Python 3.10 or older `pip install learn2learn` is enough. For Debian 12's 3.11 its C files have to be made anew: `scripts/bench` does
that, by the steps of bench/lines.toml (env.learn2learn).
"""
import importlib.abc
import importlib.machinery
import importlib.util
import json
import math
import sys


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """learn2learn imports torchvision for its data sets, which nothing here uses: where it is absent, something that
    can be imported and named stands in."""

    def find_spec(self, name, path, target=None):
        if name.split(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        class Anything:
            pass

        module.__getattr__ = lambda name: Anything if not name.startswith("__") else (_ for _ in ()).throw(AttributeError(name))


if importlib.util.find_spec("torchvision") is None:
    sys.meta_path.append(Absent())

import learn2learn as l2l
import torch
from torch import nn

from maml import rates, words


def sine(a):
    h = a.hidden
    model = nn.Sequential(nn.Linear(1, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, 1))
    amplitude = torch.rand(a.tasks, 1, 1) * 4.9 + 0.1
    phase = torch.rand(a.tasks, 1, 1) * math.pi
    x = [torch.rand(a.tasks, a.shots, 1) * 10 - 5 for _ in range(2)]
    return model, nn.MSELoss(), 0.01, x, [amplitude * torch.sin(each - phase) for each in x]


def conv(a):
    blocks = [nn.Sequential(nn.Conv2d(i, 64, 3, stride=2, padding=1), nn.BatchNorm2d(64, track_running_stats=False),
                            nn.ReLU()) for i in (1, 64, 64, 64)]
    x = [torch.rand(a.tasks, 5, 1, 28, 28) for _ in range(2)]
    return (nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 5)), nn.CrossEntropyLoss(), 0.4, x,
            [torch.arange(5).expand(a.tasks, 5)] * 2)


def main():
    p = words(__doc__)
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    model, loss, lr, (sx, qx), (sy, qy) = (conv if a.model == "conv" else sine)(a)
    maml = l2l.algorithms.MAML(model, lr=lr)

    def iteration():
        maml.zero_grad()
        for t in range(a.tasks):
            learner = maml.clone()
            for _ in range(a.inner_steps):
                learner.adapt(loss(learner(sx[t]), sy[t]))
            loss(learner(qx[t]), qy[t]).backward()

    rate = rates(iteration, a.tasks, a.seconds)
    print(json.dumps({"tool": f"learn2learn {l2l.__version__}, torch {torch.__version__}", "threads": a.threads,
                      "model": a.model, "inner_steps": a.inner_steps, **rate, "ms_per_task": 1000 / rate["tasks_per_s"]}))


if __name__ == "__main__":
    main()
