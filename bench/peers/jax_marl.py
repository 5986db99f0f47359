#!/usr/bin/env python3
"""IPPO and MAPPO in JAX: worlds, returns, all epochs and Adam in one `jit`ted function, as PureJaxRL and JaxMARL have it. Prints one JSON line.

    pip install "jax[cpu]";  taskset -c 0 python bench/peers/jax_marl.py mappo|mappo_gru|ippo [--seconds 3] [--check ROUNDS]

The settings are those of examples/teams/spread_mappo.toml and foraging_ippo.toml: two seeds, for each 10 episodes together, four epochs of the whole
batch. Rules and learner follow symma/envs and symma/learners/teams; the random numbers are others. What differs in the work:

- worlds are in float32, symma's in float64;
- arrays have fixed sizes, so who has gathered all food stands by until step 50, with a weight of zero; symma plays and learns no such steps.

A call is ten rounds, one seed after the other: `vmap` over seeds and a call for each round were slower, as was unrolling.

--check trains for so many rounds and prints the mean episode return of the first and the last tenth.
"""
import argparse
import json
import os
import time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

tree = jax.tree_util.tree_map
SEEDS, COPIES, AGENTS = 2, 10, 3
EPOCHS, CLIP, CLIP_NORM, GAMMA, N_STEP, TARGET = 4, 0.2, 10, 0.99, 5, 0.01
WIDTH, CALL = 64, 10  # of every layer; rounds of a call
OTHERS = np.array([[j for j in range(AGENTS) if j != i] for i in range(AGENTS)])
APART = ~np.eye(AGENTS, dtype=bool)


class Spread:
    """Simple spread by OpenAI's rules: one copy. The team's reward is the sum over agents."""

    limit, actions, seen = 25, 5, 18
    ways = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)

    def begin(self, key):
        at = jax.random.uniform(key, (2 * AGENTS, 2), minval=-1, maxval=1)
        return at[:AGENTS], jnp.zeros((AGENTS, 2)), at[AGENTS:]

    def observe(self, state):
        at, speed, marks = state
        to_marks = (marks - at[:, None]).reshape(AGENTS, -1)
        to_others = (at[OTHERS] - at[:, None]).reshape(AGENTS, -1)
        return jnp.concatenate([speed, at, to_marks, to_others, jnp.zeros((AGENTS, 2 * (AGENTS - 1)))], 1)

    def step(self, state, action):
        at, speed, marks = state
        far = at[:, None] - at
        # Of an agent to itself: anything but 0, by which no number can be divided.
        dist = jnp.sqrt(jnp.where(APART, (far**2).sum(2), 1))
        push = 1e2 * 1e-3 * jax.nn.softplus((0.3 - dist) / 1e-3) / dist
        force = 5 * jnp.asarray(self.ways)[action] + (jnp.where(APART, push, 0)[:, :, None] * far).sum(1)
        speed = 0.75 * speed + 0.1 * force
        at = at + 0.1 * speed
        nearest = jnp.sqrt(((at[:, None] - marks) ** 2).sum(2).min(0)).sum()
        hits = (APART & (((at[:, None] - at) ** 2).sum(2) < 0.3**2)).sum()
        return (at, speed, marks), -AGENTS * nearest - hits - AGENTS, False


class Foraging:
    """Level-based foraging, version 3, 10x10-3p-3f: one copy. Foods stand in reading order, those that are gone last, as (-1, -1, 0)."""

    limit, actions, seen = 50, 6, 18
    side, foods, top = 10, 3, 2
    ways = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1], [0, 0]])

    def begin(self, key):
        keys = jax.random.split(key, AGENTS + self.foods + 2)
        cells = np.stack(np.meshgrid(np.arange(self.side), np.arange(self.side), indexing="ij"), 2).reshape(-1, 2)
        free, at = jnp.ones(len(cells), bool), []
        inside = ((cells > 0) & (cells < self.side - 1)).all(1)
        for i in range(AGENTS + self.foods):
            # Drawn evenly from what is free: what symma reaches by drawing again.
            odds = (free & inside if i >= AGENTS else free).cumsum()
            cell = (odds <= jax.random.uniform(keys[i]) * odds[-1]).sum()
            at.append(jnp.asarray(cells)[cell])
            off = jnp.abs(cells - at[-1])
            close = (off.max(1) <= 1) | (off.sum(1) == 2) & (off.min(1) == 0) if i >= AGENTS else off.sum(1) == 0
            free &= ~close
        level = jax.random.randint(keys[-2], (AGENTS,), 1, self.top + 1)
        at, food = jnp.stack(at[:AGENTS]), jnp.stack(at[AGENTS:])
        food = food[jnp.argsort(food[:, 0] * self.side + food[:, 1])]
        worth = jax.random.randint(keys[-1], (self.foods,), 1, level.sum() + 1)
        return at, level, jnp.concatenate([food, worth[:, None]], 1), worth.sum()

    def observe(self, state):
        at, level, food, _ = state
        own = jnp.concatenate([at, level[:, None]], 1)
        order = np.concatenate([np.arange(AGENTS)[:, None], OTHERS], 1)
        foods = jnp.broadcast_to(food.reshape(-1), (AGENTS, 3 * self.foods))
        return jnp.concatenate([foods, own[order].reshape(AGENTS, -1)], 1).astype(jnp.float32)

    def step(self, state, action):
        at, level, food, total = state
        there = food[:, 2] > 0
        aim = at + jnp.asarray(self.ways)[action]
        onto_food = ((aim[:, None] == food[:, :2]).all(2) & there).any(1)
        aim = jnp.where((((aim < 0) | (aim >= self.side)).any(1) | onto_food)[:, None], at, aim)
        alone = ~((aim[:, None] == aim).all(2) & APART).any(1)
        at = jnp.where(alone[:, None], aim, at)
        # Who loads did not move, and no food is beside another, so each has one food at most.
        beside = (jnp.abs(at[:, None] - food[:, :2]).sum(2) == 1) & there & (action == 5)[:, None]
        strength = (beside * level[:, None]).sum(0)
        taken = there & (strength >= food[:, 2])
        reward = jnp.where(taken, food[:, 2], 0).sum() / total  # shares of a food add up to it
        stays = there & ~taken
        slot = stays.cumsum() - 1
        moves = stays & (slot == np.arange(self.foods)[:, None])
        kept = (moves[:, :, None] * food).sum(1)
        food = jnp.where(moves.any(1)[:, None], kept, np.array([-1, -1, 0]))
        return (at, level, food, total), reward, ~stays.any()


def layer(key, fan_in, out):
    w, b = jax.random.split(key)
    bound = fan_in**-0.5
    return jax.random.uniform(w, (fan_in, out), minval=-bound, maxval=bound), jax.random.uniform(b, (out,), minval=-bound, maxval=bound)


def apply(x, wb):
    return x @ wb[0] + wb[1]


def flat(x):
    """Points in one axis: XLA multiplies these faster than steps, episodes and players apart."""
    return x.reshape(-1, x.shape[-1])


class Mlp:
    def __init__(self, *widths):
        self.widths = widths

    def init(self, key):
        return [layer(k, i, o) for k, i, o in zip(jax.random.split(key, len(self.widths) - 1), self.widths, self.widths[1:])]

    def __call__(self, params, given):
        x = flat(given)
        for wb in params[:-1]:
            x = jax.nn.relu(apply(x, wb))
        return apply(x, params[-1]).reshape(*given.shape[:-1], -1)

    def first(self, points):
        return jnp.zeros(())

    def act(self, params, x, h):
        return self(params, x), h


class Gru:
    """A layer, a gated unit, a layer; `__call__` reads a sequence from its start."""

    def __init__(self, seen, out):
        self.sizes = [(seen, WIDTH), (WIDTH, 3 * WIDTH), (WIDTH, 3 * WIDTH), (WIDTH, out)]

    def init(self, key):
        return [layer(k, *s) for k, s in zip(jax.random.split(key, 4), self.sizes)]

    def first(self, points):
        return jnp.zeros((points, WIDTH))

    def gates(self, params, x):
        return apply(jax.nn.relu(apply(flat(x), params[0])), params[1])

    def next(self, params, g, h):
        m = apply(h, params[2])
        r, z = jnp.split(jax.nn.sigmoid(g[:, : 2 * WIDTH] + m[:, : 2 * WIDTH]), 2, 1)
        n = jnp.tanh(g[:, 2 * WIDTH :] + r * m[:, 2 * WIDTH :])
        return (1 - z) * n + z * h

    def __call__(self, params, x):
        def one(h, g):
            h = self.next(params, g, h)
            return h, h

        gates = self.gates(params, x).reshape(len(x), -1, 3 * WIDTH)
        h = jax.lax.scan(one, self.first(gates.shape[1]), gates)[1]
        return apply(flat(h), params[3]).reshape(*x.shape[:-1], -1)

    def act(self, params, x, h):
        h = self.next(params, self.gates(params, x), h)
        return apply(h, params[3]).reshape(*x.shape[:-1], -1), h


class Learner:
    def __init__(self, world, recurrent, central, lr, entropy, standardise):
        self.world, self.central, self.standardise = world, central, standardise
        self.lr, self.entropy = lr, entropy
        seen = world.seen + AGENTS
        self.actor = Gru(seen, world.actions) if recurrent else Mlp(seen, WIDTH, WIDTH, world.actions)
        self.critic = Mlp(AGENTS * world.seen + AGENTS if central else seen, WIDTH, WIDTH, 1)

    def init(self, key):
        key, a, c = jax.random.split(key, 3)
        nets = {"actor": self.actor.init(a), "critic": self.critic.init(c)}
        # The target's memory is its own: a round gives back the memory that it was handed.
        return {"key": key, "nets": nets, "target": tree(jnp.copy, nets["critic"]), "m": tree(jnp.zeros_like, nets), "v": tree(jnp.zeros_like, nets),
                "t": jnp.zeros(()), "rewards": jnp.zeros(3)}

    def seen(self, world):
        x = jax.vmap(self.world.observe)(world)
        return jnp.concatenate([x, jnp.broadcast_to(jnp.eye(AGENTS), (COPIES, AGENTS, AGENTS))], 2)

    def judged(self, x):
        """What the critic reads of what players see [T, E, A, I]."""
        if not self.central:
            return x
        state = x[..., : self.world.seen].reshape(*x.shape[:2], 1, -1)
        state = jnp.broadcast_to(state, (*x.shape[:3], state.shape[-1]))
        return jnp.concatenate([state, x[..., self.world.seen :]], 3)

    def play(self, actor, key):
        start, act = jax.random.split(key)
        world = jax.vmap(self.world.begin)(jax.random.split(start, COPIES))
        chance = jax.random.uniform(act, (self.world.limit, COPIES, AGENTS, 1))

        def step(carry, chance):
            world, x, h, alive = carry
            logits, h = self.actor.act(actor, x, h)
            p = jnp.exp(logits - logits.max(2, keepdims=True)).cumsum(2)
            action = (p[..., :-1] <= chance * p[..., -1:]).sum(2)
            world, reward, over = jax.vmap(self.world.step)(world, action)
            after = self.seen(world)
            return (world, after, h, alive & ~over), (x, logits, action, reward * alive, alive, over)

        carry = world, self.seen(world), self.actor.first(COPIES * AGENTS), jnp.ones(COPIES, bool)
        (_, last, *_), (x, *out) = jax.lax.scan(step, carry, chance)
        return jnp.concatenate([x, last[None]]), *out

    def returns(self, reward, value, alive, over):
        """Of n steps [T, E, A]: backwards from the value of where they led, which is 0 where the world ended."""
        led = jnp.where(over[..., None], 0, value[1:])
        goes_on = jnp.concatenate([alive[1:], jnp.zeros((1, COPIES), bool)])[..., None]
        out = reward[..., None] + GAMMA * led
        for _ in range(N_STEP - 1):
            after = jnp.concatenate([out[1:], led[-1:]])
            out = reward[..., None] + GAMMA * jnp.where(goes_on, after, led)
        return out

    def scaled(self, kept, reward, alive):
        """Rewards less their mean and over their deviation, both of all that were seen so far."""
        n = alive.sum() * AGENTS
        mean = reward.sum() * AGENTS / n
        squares = (jnp.where(alive, reward - mean, 0) ** 2).sum() * AGENTS
        every, apart = kept[0] + n, mean - kept[1]
        kept = jnp.stack([every, kept[1] + apart * n / every, kept[2] + squares + apart**2 * kept[0] * n / every])
        return kept, (reward - kept[1]) / (jnp.sqrt(kept[2] / every) + 1e-5) * alive

    def loss(self, nets, x, judged, action, old, target, share):
        log_p = jax.nn.log_softmax(self.actor(nets["actor"], x))
        v = self.critic(nets["critic"], judged)[..., 0]
        advantage = jax.lax.stop_gradient(target - v)
        chosen = jnp.take_along_axis(log_p, action[..., None], 3)[..., 0]
        ratio = jnp.exp(chosen - old)
        gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage)
        entropy = -(jnp.exp(log_p) * log_p).sum(3)
        return (share * ((v - target) ** 2 - gain - self.entropy * entropy)).sum()

    def round(self, s):
        key, now = jax.random.split(s["key"])
        x, logits, action, reward, alive, over = self.play(s["nets"]["actor"], now)
        earned, rewards = reward.sum(0).mean(), s["rewards"]
        if self.standardise:
            rewards, reward = self.scaled(rewards, reward, alive)
        judged = self.judged(x)
        target = self.returns(reward, self.critic(s["target"], judged)[..., 0], alive, over)
        old = jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], 3)[..., 0]
        share = (alive / (alive.sum() * AGENTS))[..., None]
        x, judged = x[:-1], judged[:-1]

        def epoch(carry, _):
            nets, m, v, t = carry
            grads = jax.grad(self.loss)(nets, x, judged, action, old, target, share)
            for name, g in grads.items():
                norm = jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree_util.tree_leaves(g)))
                grads[name] = tree(lambda leaf: leaf * (CLIP_NORM / jnp.maximum(norm, CLIP_NORM)), g)
            t = t + 1
            m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
            v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
            step, unbias = self.lr / (1 - 0.9**t), 1 / (1 - 0.999**t)
            nets = tree(lambda p, m, v: p - step * m / (jnp.sqrt(v * unbias) + 1e-8), nets, m, v)
            return (nets, m, v, t), None

        (nets, m, v, t), _ = jax.lax.scan(epoch, (s["nets"], s["m"], s["v"], s["t"]), None, EPOCHS)
        kept = tree(lambda a, b: a + TARGET * (b - a), s["target"], nets["critic"])
        return {"key": key, "nets": nets, "target": kept, "m": m, "v": v, "t": t, "rewards": rewards}, (earned, alive.sum())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("learner", choices=["mappo", "mappo_gru", "ippo"])
    p.add_argument("--seconds", type=float, default=3)
    p.add_argument("--check", type=int, metavar="ROUNDS")
    a = p.parse_args()
    spread = {"central": True, "lr": 5e-4, "entropy": 0.01, "standardise": True}
    foraging = {"central": False, "lr": 3e-4, "entropy": 1e-3, "standardise": False}
    learner = Learner(Foraging(), False, **foraging) if a.learner == "ippo" else Learner(Spread(), a.learner == "mappo_gru", **spread)
    state = jax.vmap(learner.init)(jax.random.split(jax.random.key(0), SEEDS))

    def rounds(seed):
        return jax.lax.scan(lambda s, _: learner.round(s), seed, None, CALL)

    call = jax.jit(lambda state: jax.lax.map(rounds, state), donate_argnums=0)
    if a.check:
        earned = []
        while len(earned) < a.check:
            state, (returns, _) = call(state)
            earned += returns.mean(0).tolist()
        tenth = max(1, len(earned) // 10)
        print(json.dumps({"rounds": len(earned), "first_tenth": np.mean(earned[:tenth]), "last_tenth": np.mean(earned[-tenth:])}))
        return
    state, _ = jax.block_until_ready(call(state))
    played, steps, cpu = 0, 0, time.process_time()
    while time.process_time() - cpu < a.seconds:
        state, (_, alive) = jax.block_until_ready(call(state))
        played, steps = played + CALL, steps + int(alive.sum())
    print(json.dumps({"tool": f"JAX {jax.__version__}", "rounds_per_cpu_s": played / (time.process_time() - cpu), "steps_a_round": steps / played}))


if __name__ == "__main__":
    main()
