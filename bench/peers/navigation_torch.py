#!/usr/bin/env python3
"""MAML with TRPO on 2-D navigation in plain PyTorch, as learn2learn's examples/rl/maml_trpo.py writes it: a loop over tasks, episodes
from a Python world, adapt with a graph, conjugate gradients on the divergence through the adaptation, a line search that adapts
again. The set-up of examples/policies/navigation.toml. Prints one JSON line.

  python3 bench/peers/navigation_torch.py --threads 1                  # an episode at a time, as its runner plays
  python3 bench/peers/navigation_torch.py --threads 1 --together 20    # all episodes of a task in one batch, kinder to Python
"""
import argparse
import json
import math
import time

import torch
from torch.autograd import grad

GAMMA, RATE, MAX_KL, HALF_LOG = 0.99, 0.1, 0.01, 0.5 * math.log(2 * math.pi)


def policy(sizes=(2, 100, 100, 2)):
    theta = [torch.zeros(2, requires_grad=True)]  # log deviations
    for i, o in zip(sizes, sizes[1:]):
        layer = torch.nn.Linear(i, o)
        theta += [layer.weight, layer.bias]
    return theta


def means(theta, x):
    for i in range(1, len(theta), 2):
        x = torch.nn.functional.linear(x, theta[i], theta[i + 1])
        x = torch.relu(x) if i + 2 < len(theta) else x
    return x


def log_p(theta, x, action):
    z = (action - means(theta, x)) * torch.exp(-theta[0])
    return -(theta[0] + 0.5 * z * z + HALF_LOG).sum(-1)


def play(theta, goal, episodes, together, limit=100):
    """Observations, actions, rewards and what is alive, [episodes, limit, ...]."""
    parts = []
    with torch.no_grad():
        for _ in range(episodes // together):
            at, on = torch.zeros(together, 2), torch.ones(together)
            xs, acts, rewards, alive = [], [], [], []
            for _ in range(limit):
                action = means(theta, at) + torch.exp(theta[0]) * torch.randn(together, 2)
                xs.append(at), acts.append(action), alive.append(on)
                at = at + 0.1 * action.clamp(-1, 1)
                apart = at - goal
                rewards.append(-apart.norm(dim=1) * on)
                on = on * (apart.abs().amax(1) >= 0.01)
                if not on.any():
                    break
            pad = limit - len(xs)
            stack = lambda ts: torch.nn.functional.pad(torch.stack(ts, -1), (0, pad)).movedim(-1, 1)
            parts.append([stack(ts) for ts in (xs, acts, rewards, alive)])
    return [torch.cat(ts) for ts in zip(*parts)]


def advantages(x, reward, alive):
    e, t = reward.shape
    to_go, total = torch.zeros(e, t, dtype=torch.double), torch.zeros(e, dtype=torch.double)
    for s in reversed(range(t)):
        total = reward[:, s] + GAMMA * total
        to_go[:, s] = total
    time_ = (0.01 * torch.arange(t, dtype=torch.double)).expand(e, t).unsqueeze(2)
    x = x.double()
    f = torch.cat([x, x * x, time_, time_**2, time_**3, torch.ones_like(time_)], 2) * alive.unsqueeze(2)
    f = f.view(e * t, -1)
    w = torch.linalg.solve(f.T @ f + 1e-5 * torch.eye(f.shape[1], dtype=torch.double), f.T @ to_go.view(-1, 1))
    a = (to_go - (f @ w).view(e, t)).float() * alive  # lambda = 1: the return less the value
    n = alive.sum()
    a = (a - a.sum() / n) * alive
    return a / (torch.sqrt((a * a).sum() / n) + 1e-8)


def lesson(theta, goal, a):
    x, action, reward, alive = play(theta, goal, a.episodes, a.together)
    with torch.no_grad():
        old = log_p(theta, x, action)
    return x, action, alive, old, advantages(x, reward, alive), reward


def surrogate(theta, played):
    x, action, alive, old, adv, _ = played
    return -((torch.exp(log_p(theta, x, action) - old) * adv * alive).sum() / alive.sum())


def adapt(theta, played, graph):
    return [p - RATE * g for p, g in zip(theta, grad(surrogate(theta, played), theta, create_graph=graph))]


def divergence(theta, before, played):
    x, alive, (m, s) = played[0], played[2], before
    kl = (theta[0] - s + 0.5 * (torch.exp(2 * s) + (m - means(theta, x)) ** 2) * torch.exp(-2 * theta[0]) - 0.5).sum(-1)
    return (kl * alive).sum() / alive.sum()


flat = lambda ts: torch.cat([t.reshape(-1) for t in ts])


def iteration(theta, a):
    tasks = []
    for _ in range(a.tasks):
        goal = torch.rand(2) - 0.5
        support = lesson(theta, goal, a)
        phi = adapt(theta, support, False)
        query = lesson(phi, goal, a)
        with torch.no_grad():
            tasks.append((support, query, (means(phi, query[0]), phi[0].clone())))

    def judge(theta, graph):
        loss = kl = 0
        for support, query, before in tasks:
            phi = adapt(theta, support, graph)
            loss = loss + surrogate(phi, query) / a.tasks
            kl = kl + divergence(phi, before, query) / a.tasks
        return loss, kl

    old, kl = judge(theta, True)
    g = flat(grad(old, theta, retain_graph=True)).detach()
    slope = flat(grad(kl, theta, create_graph=True))
    metric = lambda v: flat(grad(slope @ v, theta, retain_graph=True)).detach() + 1e-5 * v
    x, r, d = torch.zeros_like(g), g.clone(), g.clone()
    rr = r @ r
    for _ in range(10):
        z = metric(d)
        alpha = rr / (d @ z)
        x, r = x + alpha * d, r - alpha * z
        new = r @ r
        d, rr = r + new / rr * d, new
        if rr < 1e-10:
            break
    full = x * torch.sqrt(2 * MAX_KL / (x @ (g - r)))
    old = old.item()
    del slope, kl
    for k in range(15):
        pieces, at = [], 0
        for p in theta:
            pieces.append((p.detach() - 0.8**k * full[at : at + p.numel()].view_as(p)).requires_grad_())
            at += p.numel()
        loss, kl = judge(pieces, False)
        if loss.item() < old and kl.item() <= MAX_KL:
            break
    else:
        pieces = theta
    return pieces, sum(q[5].sum(1).mean().item() for _, q, _ in tasks) / a.tasks


p = argparse.ArgumentParser()
p.add_argument("--threads", type=int, default=1)
p.add_argument("--tasks", type=int, default=20)
p.add_argument("--episodes", type=int, default=20)
p.add_argument("--together", type=int, default=1)
p.add_argument("--iterations", type=int, default=3)
a = p.parse_args()
torch.set_num_threads(a.threads)
torch.manual_seed(1)
theta, returns = policy(), []
theta, reached = iteration(theta, a)  # not counted
start, cpu = time.perf_counter(), time.process_time()
for _ in range(a.iterations):
    theta, reached = iteration(theta, a)
    returns.append(round(reached, 2))
print(json.dumps({"torch": torch.__version__, "threads": a.threads, "together": a.together, "iterations": a.iterations,
                  "iterations_per_s": a.iterations / (time.perf_counter() - start),
                  "iterations_per_cpu_s": a.iterations / (time.process_time() - cpu), "return": returns}))
