#!/usr/bin/env python3
"""Second-order MAML in PyTorch's own way for many tasks at once: torch.func, vmap over tasks, one meta-gradient for each call. On the
sinusoid set-up (MLP 1-40-40-1 relu, 10 shots), or with --model conv on 28 x 28 images (four strided blocks of 64, a mean over
places, 5-way 1-shot with as many queries). Prints one JSON line. The data are on the device before the clock starts.

  python3 bench/peers/torch_maml.py --device cuda --tasks 4096
"""
import json
import math

import torch
import torch.nn.functional as F
from torch.func import grad, vmap

from maml import rates, words


def mlp(params, x):
    for i in range(0, len(params) - 2, 2):
        x = torch.relu(x @ params[i] + params[i + 1])
    return x @ params[-2] + params[-1]


def conv(params, x):
    for w in params[:4]:
        x = F.conv2d(x, w, stride=2, padding=1)
        x = torch.relu((x - x.mean((0, 2, 3), keepdim=True)) * (x.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).rsqrt())
    return x.mean((2, 3)) @ params[4] + params[5]


def sine(a):
    widths = [1, a.hidden, a.hidden, 1]
    params = [t for i, o in zip(widths, widths[1:]) for t in (torch.randn(i, o) * (2 / i) ** 0.5, torch.zeros(o))]
    amplitude, phase = torch.rand(a.tasks, 1, 1) * 4.9 + 0.1, torch.rand(a.tasks, 1, 1) * math.pi
    x = [torch.rand(a.tasks, a.shots, 1) * 10 - 5 for _ in range(2)]
    data = [t for each in x for t in (each, amplitude * torch.sin(each - phase))]
    return params, data, mlp, F.mse_loss, 0.01


def images(a):
    params = [torch.randn(64, i, 3, 3) * (2 / (9 * i)) ** 0.5 for i in (1, 64, 64, 64)] + [torch.randn(64, 5) / 8, torch.zeros(5)]
    y = torch.arange(5).expand(a.tasks, 5).contiguous()
    data = [t for _ in range(2) for t in (torch.rand(a.tasks, 5, 1, 28, 28), y)]
    return params, data, conv, F.cross_entropy, 0.4


def main():
    p = words(__doc__)
    p.add_argument("--device", default="cpu")
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    params, data, net, loss, lr = (images if a.model == "conv" else sine)(a)
    params, data = [t.to(a.device) for t in params], [t.to(a.device) for t in data]

    def after(params, sx, sy, qx, qy):
        for _ in range(a.inner_steps):
            g = grad(lambda q: loss(net(q, sx), sy))(params)
            params = [t - lr * d for t, d in zip(params, g)]
        return loss(net(params, qx), qy)

    step = grad(lambda params: vmap(after, (None, 0, 0, 0, 0))(params, *data).mean())

    def whole():
        step(params)
        if a.device != "cpu":
            torch.cuda.synchronize()

    print(json.dumps({"tool": f"torch {torch.__version__}", "model": a.model, "inner_steps": a.inner_steps, **rates(whole, a.tasks, a.seconds)}))


if __name__ == "__main__":
    main()
