#!/usr/bin/env python3
"""What rules made by hand earn where RL^2 learns one: Bernoulli bandits with U[0, 1] arms, and small decision
processes of 10 states and 5 actions, ten episodes of ten steps (Duan et al. 2016, arXiv:1611.02779). No packages.

    python3 bench/peers/rl2_rivals.py                                  # five arms, ten pulls; the processes
    python3 bench/peers/rl2_rivals.py --arms 10 --pulls 100            # another bandit alone

Prints means over drawn tasks with 95% intervals. Thompson sampling and posterior sampling (PSRL: Osband et al. 2013,
arXiv:1306.0940) have the true prior, as in the paper.
"""
import argparse
import functools
import math
import random


def summary(name, returns):
    n = len(returns)
    mean = sum(returns) / n
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / (n - 1))
    print(f"{name:34s} {mean:8.3f} ± {1.96 * deviation / math.sqrt(n):.3f}", flush=True)


def largest(values):
    most = max(values)
    return random.choice([i for i, v in enumerate(values) if v == most])


def bandit(rule, arms=5, pulls=10):
    p = [random.random() for _ in range(arms)]
    won, lost, total = [0] * arms, [0] * arms, 0
    for t in range(pulls):
        a = rule(won, lost, t)
        x = random.random() < p[a]
        won[a] += x
        lost[a] += not x
        total += x
    return total


@functools.lru_cache(None)
def most(state, left):
    """What the best play can expect of `left` more pulls, from counts of wins and losses."""
    if left == 0:
        return 0.0
    best = 0.0
    for i in {c: i for i, c in enumerate(state)}.values():
        w, l = state[i]
        p = (w + 1) / (w + l + 2)
        up, down = list(state), list(state)
        up[i], down[i] = (w + 1, l), (w, l + 1)
        best = max(best, p * (1 + most(tuple(sorted(up)), left - 1)) + (1 - p) * most(tuple(sorted(down)), left - 1))
    return best


def shy(won, lost, t):
    return largest([w / (w + l) + 0.2 * math.sqrt(2 * math.log(t) / (w + l)) if w + l else math.inf
                    for w, l in zip(won, lost)])


def bandits(arms=5, pulls=10, games=20000, more={}):
    rules = {
        "at random": lambda w, l, t: random.randrange(len(w)),
        "Thompson sampling": lambda w, l, t: largest([random.betavariate(a + 1, b + 1) for a, b in zip(w, l)]),
        "UCB1": lambda w, l, t: largest([a / (a + b) + math.sqrt(2 * math.log(t) / (a + b)) if a + b else math.inf
                                         for a, b in zip(w, l)]),
        "greatest posterior mean": lambda w, l, t: largest([(a + 1) / (a + b + 2) for a, b in zip(w, l)]),
    }
    for name, rule in (rules | more).items():
        summary("bandit, " + name, [bandit(rule, arms, pulls) for _ in range(games)])
    if arms <= 5 and pulls <= 10:  # every state of counts is looked at
        print(f"{'bandit, the most to be expected':34s} {most(((0, 0),) * arms, pulls):8.3f}")


S, A, H, EPISODES = 10, 5, 10, 10


def dirichlet(alpha):
    g = [random.gammavariate(a, 1) for a in alpha]
    total = sum(g)
    return [x / total for x in g]


def plan(mean, move):
    """The best action at each step and state, by dynamic programming from the end."""
    value, actions = [0.0] * S, []
    for _ in range(H):
        q = [[mean[s][a] + sum(p * v for p, v in zip(move[s][a], value)) for a in range(A)] for s in range(S)]
        actions.append([row.index(max(row)) for row in q])
        value = [max(row) for row in q]
    return actions[::-1]


def process(make):
    mean = [[random.gauss(1, 1) for _ in range(A)] for _ in range(S)]
    move = [[dirichlet([1] * S) for _ in range(A)] for _ in range(S)]
    count = [[[0] * S for _ in range(A)] for _ in range(S)]
    paid = [[0.0] * A for _ in range(S)]
    total = 0.0
    for _ in range(EPISODES):
        actions, s = make(mean, move, count, paid), 0
        for t in range(H):
            a = actions[t][s]
            r = random.gauss(mean[s][a], 1)
            to = random.choices(range(S), move[s][a])[0]
            count[s][a][to] += 1
            paid[s][a] += r
            total += r
            s = to
    return total


def posterior_sample(mean, move, count, paid):
    # A mean from N(1, 1) seen n times with noise of deviation 1 is N((1 + sum) / (n + 1), 1 / (n + 1)).
    n = [[sum(count[s][a]) for a in range(A)] for s in range(S)]
    guess = [[random.gauss((1 + paid[s][a]) / (n[s][a] + 1), 1 / math.sqrt(n[s][a] + 1)) for a in range(A)]
             for s in range(S)]
    return plan(guess, [[dirichlet([1 + c for c in count[s][a]]) for a in range(A)] for s in range(S)])


def posterior_mean(mean, move, count, paid):
    n = [[sum(count[s][a]) for a in range(A)] for s in range(S)]
    guess = [[(1 + paid[s][a]) / (n[s][a] + 1) for a in range(A)] for s in range(S)]
    return plan(guess, [[[(1 + c) / (n[s][a] + S) for c in count[s][a]] for a in range(A)] for s in range(S)])


def actions_alone(games):
    """States ignored: actions are a bandit's arms. A pay lies N(0, 1.9) about its action's mean, which is N(1, 0.1)."""
    out = []
    for _ in range(games):
        mean = [[random.gauss(1, 1) for _ in range(A)] for _ in range(S)]
        move = [[dirichlet([1] * S) for _ in range(A)] for _ in range(S)]
        seen, paid, total = [0] * A, [0.0] * A, 0.0
        for _ in range(EPISODES):
            s = 0
            for _ in range(H):
                sure = [10 + n / 1.9 for n in seen]
                a = largest([(10 + p / 1.9) / c + 0.3 / math.sqrt(c) for p, c in zip(paid, sure)])
                r = random.gauss(mean[s][a], 1)
                seen[a] += 1
                paid[a] += r
                total += r
                s = random.choices(range(S), move[s][a])[0]
        out.append(total)
    return out


def processes():
    rules = {
        "at random": lambda *_: [[random.randrange(A) for _ in range(S)] for _ in range(H)],
        "PSRL": posterior_sample,
        "best by the posterior mean": posterior_mean,
        "best, knowing the process": lambda mean, move, *_: plan(mean, move),
    }
    for name, rule in rules.items():
        summary("process, " + name, [process(rule) for _ in range(400)])
    summary("process, states ignored", actions_alone(1500))


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--arms", type=int)
    p.add_argument("--pulls", type=int, default=10)
    p.add_argument("--games", type=int, default=20000)
    a = p.parse_args()
    random.seed(1)
    if a.arms:
        bandits(a.arms, a.pulls, a.games, {"UCB1, a fifth of its bonus": shy})
    else:
        bandits()
        processes()
