"""Independent PPO in plain torch, in any of the engine's worlds whose agents choose: one network for each agent, all copies at once.

    PYTHONPATH=build/release/python build/venv/bin/python examples/ippo.py simple_spread 300

Schulman et al. 2017, arXiv:1707.06347; de Witt et al. 2020, arXiv:2011.09533.
"""
import sys

import numpy as np
import torch

import symma


class Actors(torch.nn.Module):
    """A policy and a critic for each of A agents: weights [A, in, out], so one product serves all."""

    def __init__(self, agents, seen, actions, hidden=64):
        super().__init__()
        sizes = [(seen, hidden), (hidden, hidden), (hidden, actions + 1)]
        gains = [2**0.5, 2**0.5, 0.1]
        self.w = torch.nn.ParameterList([torch.nn.Parameter(torch.stack([torch.nn.init.orthogonal_(torch.empty(i, o), g) for _ in range(agents)])) for (i, o), g in zip(sizes, gains)])
        self.b = torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(agents, 1, o)) for _, o in sizes])

    def forward(self, obs, mask):  # obs [N, A, D], mask [N, A, n] -> log p [N, A, n], value [N, A]
        x = obs.transpose(0, 1)
        for i, (w, b) in enumerate(zip(self.w, self.b)):
            x = torch.baddbmm(b, x, w)
            if i < 2:
                x = torch.tanh(x)
        x = x.transpose(0, 1)
        return torch.log_softmax(x[..., :-1].masked_fill(~mask, -1e9), -1), x[..., -1]


def train(world, updates, copies=64, steps=50, seed=0, lr=1e-3, gamma=0.99, lam=0.95, clip=0.2, entropy=0.01, epochs=5, log=print, **settings):
    """Trains, and returns what a team earned in an episode, update by update."""
    torch.manual_seed(seed)
    env = symma.make_vec(world, copies, **settings)
    obs, info = env.reset(seed=seed)
    net = Actors(env.players, obs.shape[-1], info["action_mask"].shape[-1])
    adam = torch.optim.Adam(net.parameters(), lr)
    earned, done_returns, curve = np.zeros(copies), [], []
    tensor = torch.from_numpy
    for update in range(updates):
        seen = {k: [] for k in ("obs", "mask", "action", "logp", "value", "reward", "ended", "next")}
        for _ in range(steps):
            o, m = tensor(obs), tensor(info["action_mask"])
            with torch.no_grad():
                logp, value = net(o, m)
            a = torch.distributions.Categorical(logits=logp).sample()
            obs, team, terminated, truncated, info = env.step(a.numpy())
            over = terminated | truncated
            earned += team
            done_returns += earned[over].tolist()
            earned[over] = 0
            after = np.where(over[:, None, None], info["final_obs"], obs) if over.any() else obs
            with torch.no_grad():  # what comes after a step that was only cut off still counts
                ahead = net(tensor(after.astype(np.float32)), torch.ones_like(m))[1] * tensor(~terminated)[:, None]
            for k, v in zip(seen, (o, m, a, logp.gather(-1, a[..., None])[..., 0], value, tensor(info["reward"]), tensor(over), ahead)):
                seen[k].append(v)
        s = {k: torch.stack(v) for k, v in seen.items()}
        gain, gains = torch.zeros_like(s["value"][0]), []
        for t in reversed(range(steps)):
            delta = s["reward"][t] + gamma * s["next"][t] - s["value"][t]
            gain = delta + gamma * lam * gain * (~s["ended"][t])[:, None]
            gains.append(gain)
        advantage = torch.stack(gains[::-1])
        flat = {k: v.flatten(0, 1) for k, v in s.items()}
        goal, advantage = (advantage + s["value"]).flatten(0, 1), advantage.flatten(0, 1)
        advantage = (advantage - advantage.mean(0)) / (advantage.std(0) + 1e-8)
        for _ in range(epochs):
            for part in torch.randperm(len(goal)).chunk(4):
                logp, value = net(flat["obs"][part], flat["mask"][part])
                ratio = (logp.gather(-1, flat["action"][part][..., None])[..., 0] - flat["logp"][part]).exp()
                gain = torch.minimum(ratio * advantage[part], ratio.clamp(1 - clip, 1 + clip) * advantage[part])
                spread = -(logp.exp() * logp).sum(-1)
                loss = (-gain - entropy * spread + 0.5 * (value - goal[part]) ** 2).sum(-1).mean()
                adam.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 0.5 * env.players)
                adam.step()
        curve.append(float(np.mean(done_returns)) if done_returns else float("nan"))
        done_returns = []
        if log and (update + 1) % 20 == 0:
            log(f"update {update + 1}: {copies * steps * (update + 1):,} steps of a copy, a team earned {np.nanmean(curve[-20:]):.2f} an episode")
    return curve


if __name__ == "__main__":
    train(sys.argv[1] if len(sys.argv) > 1 else "simple_spread", int(sys.argv[2]) if len(sys.argv) > 2 else 200)
