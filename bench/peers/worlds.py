#!/usr/bin/env python3
"""Steps a second of the original worlds with random actions, one thread, processor time.

    VENV/bin/python bench/peers/worlds.py homes|intersection|diabetes|search_rescue|assembly|kitchen|foraging|spread|envpool [--seconds 10] [--json]

Peers of scripts/bench, each package in an environment of its own (bench/lines.toml). EnvPool has none of these worlds: its
lightest, CartPole-v1, 256 copies at a time, says what a pool of copies in C++ costs through Python. A step is one of a copy, all its
agents at once.
"""
import argparse
import json
import os
import warnings
from itertools import cycle

from clock import calls_per_cpu_s

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402


def measured(step, seconds, each=1):
    return calls_per_cpu_s(step, seconds) * each


def homes(seconds):
    from citylearn.citylearn import CityLearnEnv

    env = CityLearnEnv("citylearn_challenge_2022_phase_1")
    env.reset()
    rng = np.random.default_rng(1)

    def step():
        if env.step(rng.uniform(-1, 1, (len(env.buildings), 1)).tolist())[2]:
            env.reset()

    return {"one": measured(step, seconds)}


def intersection(seconds):
    import gymnasium
    import highway_env  # noqa: F401

    env = gymnasium.make("intersection-multi-agent-v0")
    env.reset(seed=1)
    rng = np.random.default_rng(1)

    def step():
        _, _, done, cut, _ = env.step(tuple(int(a) for a in rng.integers(0, 3, 2)))
        if done or cut:
            env.reset()

    return {"one": measured(step, seconds)}


def diabetes(seconds):
    import logging
    from datetime import datetime

    logging.disable(logging.CRITICAL)
    from simglucose.actuator.pump import InsulinPump
    from simglucose.controller.base import Action
    from simglucose.patient.t1dpatient import T1DPatient
    from simglucose.sensor.cgm import CGMSensor
    from simglucose.simulation.env import T1DSimEnv
    from simglucose.simulation.scenario import CustomScenario

    meals = [(7, 45), (12, 70), (16, 15), (18, 80), (23, 10)]
    env = T1DSimEnv(
        T1DPatient.withName("adult#001"),
        CGMSensor.withName("Dexcom", seed=1),
        InsulinPump.withName("Insulet"),
        CustomScenario(start_time=datetime(2020, 1, 1), scenario=meals),
    )
    env.reset()
    rng, count = np.random.default_rng(1), 0

    def step():
        nonlocal count
        count += 1
        basal, bolus = rng.uniform(0, 0.02, 2)
        if env.step(Action(basal=basal, bolus=bolus)).done or count % 480 == 0:
            env.reset()

    return {"one": measured(step, seconds)}


def search_rescue(seconds):
    import jax
    import jumanji

    env = jumanji.make("SearchAndRescue-v0")
    out = {}
    for copies in (1, 64):
        reset, move = jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step))
        state, _ = reset(jax.random.split(jax.random.PRNGKey(1), copies))
        rng = np.random.default_rng(1)

        def step():
            nonlocal state
            state, shown = move(state, rng.uniform(-1, 1, (copies, 2, 2)).astype(np.float32))
            shown.reward.block_until_ready()

        out[f"{copies} together"] = measured(step, seconds, copies)
    return out


def assembly(seconds):
    import jax
    import jumanji
    from jumanji.wrappers import AutoResetWrapper

    env = AutoResetWrapper(jumanji.make("JobShop-v0"))  # 20 jobs, 10 machines; drawn actions are part of what is compiled

    def legal(carry):
        state, shown, key = carry
        key, now = jax.random.split(key)
        action = jax.random.categorical(now, jax.numpy.where(shown.observation.action_mask, 0.0, -jax.numpy.inf))
        state, shown = env.step(state, action)
        return state, shown, key

    out = {}
    for copies in (1, 64):
        keys = jax.random.split(jax.random.PRNGKey(1), copies)
        carry = (*jax.jit(jax.vmap(env.reset))(keys), keys)
        move = jax.jit(jax.vmap(legal))

        def step():
            nonlocal carry
            carry = jax.block_until_ready(move(carry))

        out[f"{copies} together"] = measured(step, seconds, copies)
    return out


def kitchen(seconds):
    from overcooked_ai_py.mdp.actions import Action
    from overcooked_ai_py.mdp.overcooked_mdp import OvercookedGridworld

    world, rng = OvercookedGridworld.from_layout_name("cramped_room"), np.random.default_rng(1)
    state, count = world.get_standard_start_state(), 0

    def step():
        nonlocal state, count
        count += 1
        chosen = [Action.ALL_ACTIONS[a] for a in rng.integers(0, 6, 2)]
        state, _ = world.get_state_transition(state, chosen)
        world.lossless_state_encoding(state)
        if count % 400 == 0:
            state = world.get_standard_start_state()

    return {"one": measured(step, seconds)}


def foraging(seconds):
    from lbforaging.foraging.environment import ForagingEnv

    # The defaults of ours: 8 x 8, two agents, three foods.
    env = ForagingEnv(players=2, min_player_level=1, max_player_level=2, field_size=(8, 8), min_food_level=1, max_food_level=None,
                      max_num_food=3, sight=8, max_episode_steps=50, force_coop=False)
    env.reset(seed=1)
    actions = cycle(np.random.default_rng(1).integers(0, 6, (4096, 2)))

    def step():
        _, _, done, cut, _ = env.step(next(actions))
        if done or cut:
            env.reset()

    return {"one": measured(step, seconds)}


def spread(seconds):
    from mpe2 import simple_spread_v3

    env = simple_spread_v3.parallel_env()
    env.reset(seed=1)
    names = list(env.possible_agents)
    actions = cycle([dict(zip(names, (int(x) for x in a))) for a in np.random.default_rng(1).integers(0, 5, (4096, len(names)))])

    def step():
        env.step(next(actions))
        if not env.agents:
            env.reset()

    return {"one": measured(step, seconds)}


def envpool(seconds, copies=256):
    import envpool as pool

    env = pool.make("CartPole-v1", env_type="gymnasium", num_envs=copies, num_threads=1, seed=1)
    env.reset()
    actions = cycle(np.random.default_rng(1).integers(0, 2, (64, copies)).astype(np.int32))
    return {f"{copies} together": measured(lambda: env.step(next(actions)), seconds, copies)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=["homes", "intersection", "diabetes", "search_rescue", "assembly", "kitchen", "foraging", "spread", "envpool"])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", action="store_true", help="the last figure as JSON")
    args = parser.parse_args()
    if args.json:
        print(json.dumps({"steps_per_cpu_s": list(globals()[args.world](args.seconds).values())[-1]}))
        return
    for how, speed in globals()[args.world](args.seconds).items():
        print(f"{args.world}, {how}: {speed:.1f} steps/s")


if __name__ == "__main__":
    main()
