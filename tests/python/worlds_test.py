"""Every world as Gymnasium and PettingZoo have it: their own suites, and what goes past them."""
import copy
import pickle
import threading
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test

import symma

WORLDS = sorted(symma.parts("Env"))


@pytest.fixture(params=WORLDS)
def kind(request):
    return request.param


def quiet(call, *allowed: str):
    """Runs a suite; what it only warns of is an error but for these words."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for words in allowed:
            warnings.filterwarnings("ignore", message=f".*{words}")
        call()


def test_pettingzoos_parallel_suite(kind):
    quiet(lambda: parallel_api_test(symma.parallel_env(kind), num_cycles=300), "Agent was given .* but was dead last turn", "Live agent was not given")


def test_pettingzoos_seed_suite(kind):
    quiet(lambda: parallel_seed_test(lambda: symma.parallel_env(kind), num_cycles=60))


def test_agents_in_turn(kind):
    quiet(lambda: api_test(symma.aec_env(kind), num_cycles=60), "Observation space for each agent probably should be", "Action space for each agent probably should be",
          "We recommend agents to be named", "The base environment", "Observation is not NumPy", "The observation space", "Observation")
    quiet(lambda: seed_test(lambda: symma.aec_env(kind), num_cycles=30))


def test_gymnasiums_check_env(kind):
    quiet(lambda: check_env(symma.make(kind, render_mode="rgb_array"), skip_render_check=True), "A Box (observation|action) space (minimum|maximum)", "For Box action spaces", "The environment .* is different", "skip", "The obs")


def test_a_picture_is_an_array(kind):
    env = symma.parallel_env(kind, render_mode="rgb_array")
    env.reset(seed=0)
    image = env.render()
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and max(image.shape) == 256
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 1
    words = symma.parallel_env(kind, render_mode="ansi")
    words.reset(seed=0)
    assert isinstance(words.render(), str)


def acting(env, rng):
    """Allowed actions of every agent in every copy."""
    if isinstance(env.single_action_space, gymnasium.spaces.Box):
        low, high = env.single_action_space.low, env.single_action_space.high
        return rng.uniform(np.maximum(low, -1), np.minimum(high, 1), (env.num_envs, *low.shape)).astype(np.float32)
    return lambda mask: (rng.random(mask.shape) * mask).argmax(-1)


def play(env, steps, seed=0, reset=None):
    rng = np.random.default_rng(seed)
    obs, info = reset if reset is not None else env.reset(seed=seed)
    seen = [obs]
    for _ in range(steps):
        a = acting(env, rng)
        obs, reward, terminated, truncated, info = env.step(a(info["action_mask"]) if callable(a) else a)
        seen += [obs, reward, terminated, truncated, info["reward"]]
    return seen


def equal(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b))


def test_copies_do_not_depend_on_how_many_there_are_or_on_threads(kind):
    few, many = symma.make_vec(kind, 2), symma.make_vec(kind, 5)
    for env in (few, many):
        assert env.observation_space.contains(env.reset(seed=3)[0])
    assert np.array_equal(few.reset(seed=3)[0], many.reset(seed=3)[0][:2])
    before = symma.threads()
    try:
        symma.set_threads(1)
        one = play(symma.make_vec(kind, 130), 12)
        symma.set_threads(2)
        assert equal(one, play(symma.make_vec(kind, 130), 12))
    finally:
        symma.set_threads(before)


def test_next_episodes_come_without_a_seed_and_copies_can_be_reset_alone(kind):
    """A copy's n-th episode is the same however it was begun: by a reset of all, of it alone, or at an episode's end."""
    a, b = symma.make_vec(kind, 3), symma.make_vec(kind, 3)
    a.reset(seed=5)
    first_b = b.reset(seed=5)[0]
    second = a.reset()[0]
    obs, _ = b.reset(options={"reset_mask": np.array([False, True, False])})
    assert np.array_equal(obs[1], second[1]) and np.array_equal(obs[[0, 2]], first_b[[0, 2]])
    third = a.reset()[0]
    assert np.array_equal(b.reset()[0][1], third[1])
    env = symma.parallel_env(kind)
    env.reset(seed=9)
    with_seed = symma.parallel_env(kind)
    with_seed.reset(seed=9)
    one, two = env.reset()[0], with_seed.reset()[0]
    assert all(np.array_equal(one[k], two[k]) for k in one)


def test_an_episode_ends_and_the_next_begins_within_the_step(kind):
    limit = 11 if kind == "bargaining" else 5  # whose talks have ten turns
    env = symma.make_vec(kind, 4, limit=limit)
    rng = np.random.default_rng(0)
    obs, info = env.reset(seed=1)
    for _ in range(limit):
        a = acting(env, rng)
        obs, _, terminated, truncated, info = env.step(a(info["action_mask"]) if callable(a) else a)
        if (terminated | truncated).any():
            assert np.array_equal(info["_final_obs"], terminated | truncated) and info["final_obs"].shape == obs.shape
            return
    raise AssertionError("no copy ended within the limit")


def test_one_copy_of_many_is_the_parallel_environment(kind):
    """The same streams and the same actions: what agents see and earn is the same in both."""
    vec, env = symma.make_vec(kind, 1, illegal="error"), symma.parallel_env(kind, illegal="error")
    obs, info = vec.reset(seed=4)
    seen, _ = env.reset(seed=4)
    rng = np.random.default_rng(4)
    spec = env.world.spec
    for _ in range(20):
        for i, a in enumerate(env.agents):
            at = env.possible_agents.index(a)
            assert np.array_equal(seen[a].reshape(-1), obs[0, at, :spec["agent_obs"][at]])
        f = acting(vec, rng)
        actions = f(info["action_mask"]) if callable(f) else f
        given = {a: actions[0, i, :spec["agent_actions"][i]] if spec["continuous"] else actions[0, i] for i, a in enumerate(env.possible_agents) if a in env.agents}
        obs, team, terminated, truncated, info = vec.step(actions)
        seen, rewards, ended, cut, _ = env.step(given)
        assert [rewards[a] for a in rewards] == [float(info["reward"][0, env.possible_agents.index(a)]) for a in rewards]
        if terminated[0] or truncated[0]:
            assert not env.agents and all(ended[a] == terminated[0] and cut[a] == truncated[0] for a in ended)
            break


def test_observations_are_copies_unless_asked_otherwise():
    env = symma.make_vec("foraging", 3)
    obs, info = env.reset(seed=0)
    kept = obs.copy()
    env.step(np.zeros((3, env.players), np.int64))
    assert np.array_equal(obs, kept)
    quick = symma.make_vec("foraging", 3, copy=False)
    first = quick.reset(seed=0)[0]
    assert quick.step(np.zeros((3, quick.players), np.int64))[0] is first


def test_tasks_of_a_world(wrong):
    env = symma.make_vec("navigation", 3)
    env.reset(seed=0, options={"tasks": "test"})
    names = [p["name"] for p in env.world.parameters]
    env.reset(seed=0, options={"task": {names[0]: 0.25}})
    assert env.world.save(0).shape == env.world.save(1).shape
    wrong(lambda: env.reset(options={"task": {"nope": 1}}), "nope", "not known", names[0])
    wrong(lambda: env.reset(options={"tasks": "tset"}), "split", "tset", "test")
    wrong(lambda: env.reset(options={"tasks": np.zeros((2, 1))}), "navigation", "tasks are", "float64 would be right")


def test_saving_and_restoring():
    env = symma.make_vec("foraging", 2)
    env.reset(seed=0)
    saved = env.world.save(0)
    ahead = env.step(np.ones((2, env.players), np.int64))[0][0]
    env.world.restore(0, saved)
    assert np.array_equal(env.step(np.ones((2, env.players), np.int64))[0][0], ahead)


def test_wrong_calls(wrong):
    wrong(lambda: symma.make_vec("forraging"), "world", "forraging", "foraging")
    wrong(lambda: symma.make_vec("foraging", 0), "foraging", "0 copies", "1 or more")
    wrong(lambda: symma.make_vec("foraging", 2.5), "num_envs", "2.5")
    wrong(lambda: symma.make_vec("foraging", rows=-3), "foraging: rows", "out of range")
    wrong(lambda: symma.make_vec("foraging", sight="far"), "foraging: sight", "string")
    wrong(lambda: symma.make_vec("foraging", sihgt=2), "sihgt", "unknown key", "sight")
    wrong(lambda: symma.make_vec("foraging", illegal="maybe"), "illegal", "maybe")
    env = symma.make_vec("foraging", 2, illegal="error")
    a = np.zeros((2, env.players), np.int64)
    wrong(lambda: env.step(a), "foraging", "before its first episode", "reset")
    env.reset(seed=0)
    wrong(lambda: env.step(a.astype(np.float32)), "actions", "float32", "int64")
    wrong(lambda: env.step(a[:1]), "foraging", "sizes", "would be right")
    wrong(lambda: env.step(a + 99), "foraging, copy 0", "outside", "allowed now")
    wrong(lambda: env.reset(seed=-1), "seed", "-1")
    wrong(lambda: env.reset(seed="x"), "seed", "x")
    wrong(lambda: env.reset(options={"reset_mask": np.zeros(3, bool)}), "foraging", "copies to reset", "[2] bool")
    wrong(lambda: env.world.save(2), "foraging", "no copy 2", "0 to 1")
    wrong(lambda: env.world.restore(0, np.zeros(3)), "foraging", "")
    locked = a.astype(np.int32)
    locked.flags.writeable = False
    env.step(locked)                                  # read-only, narrower, strided: all say what they mean
    env.step(np.asfortranarray(a))
    env.step(np.zeros((2, 2 * env.players), np.int64)[:, ::2])
    moving = symma.make_vec("navigation", 2)
    moving.reset(seed=0)
    bad = np.full((2, *moving.single_action_space.shape), np.nan, np.float32)
    wrong(lambda: moving.step(bad), "navigation, copy 0", "nan", "finite")
    one = symma.parallel_env("foraging")
    wrong(lambda: one.step({}), "foraging", "before its first episode")
    one.reset(seed=0)
    wrong(lambda: one.step({}), "actions", "none for", "env.agents")
    wrong(lambda: one.step({"nobody": 1}), "actions", "nobody", "agents are")
    wrong(lambda: one.step({a: [1, 2] for a in one.agents}), "actions", "shape", "one number")


MAKERS = [symma.make, symma.make_vec, symma.parallel_env]


@pytest.mark.parametrize("make", MAKERS)
def test_options_that_reset_does_not_know_are_refused(make, wrong):
    """They were passed over, or ended in a ValueError, an AttributeError or a TypeError."""
    env = make("navigation")
    first, *_ = [p["name"] for p in env.world.parameters]
    for options, place, what, remedy in (({"tsk": {first: 1}}, "options, tsk", "not known", "one of task, tasks"), ([1], "options", "[1]", "a dict of task, tasks"),
                                         ("task", "options", "'task'", "a dict"), ({"task": {first: "x"}}, f"options, task, {first}", "'x'", "a number"),
                                         ({"task": {first: [1, 2]}}, f"options, task, {first}", "[1, 2]", "a number"),
                                         ({"task": [1]}, "options, task", "[1]", first), ({"task": {first: np.nan}}, "options, task", "nan", "finite"),
                                         ({"task": {"nope": 1}}, "options, task, nope", "not known", first), ({"tasks": [["a"]]}, "options, tasks", "<U1", "numbers"),
                                         ({"tasks": 3 + 1j}, "options, tasks", "complex", "numbers"), ({"tasks": "train", "task": {first: 1}}, "options", "a task and tasks", "one of them")):
        wrong(lambda: env.reset(seed=1, options=options), place, what, remedy)
    for options in (None, {}, {"task": {}}, {"task": {first: np.float32(1)}}, {"tasks": "test"}):
        env.reset(seed=1, options=options)
    many = symma.make_vec("navigation", 2)
    many.reset(seed=1, options={"reset_mask": [True, True]})
    wrong(lambda: many.reset(options={"mask": [True, False]}), "options, mask", "not known", "reset_mask")


@pytest.mark.parametrize("make", MAKERS)
def test_modes_of_drawing_that_it_has_not_are_refused(make, wrong):
    for mode in ("human", "rgb", "", 3):
        wrong(lambda: make("foraging", render_mode=mode), "render_mode", repr(mode), "rgb_array")
    for mode in [None, *make("foraging").metadata["render_modes"]]:
        env = make("foraging", render_mode=mode)
        env.reset(seed=1)
        assert (env.render() is None) == (mode is None)
    if make is symma.make_vec:
        wrong(lambda: make("foraging", render_mode="ansi"), "render_mode", "'ansi'", "rgb_array")


@pytest.mark.parametrize("make", MAKERS)
def test_a_closed_world_is_closed(make, wrong):
    env = make("foraging", render_mode="rgb_array")
    env.reset(seed=1)
    action = {a: 0 for a in env.agents} if make is symma.parallel_env else env.action_space.sample() * 0
    env.step(action)
    env.close(), env.close()
    for call in (lambda: env.step(action), env.reset, lambda: env.reset(seed=1), env.render):
        wrong(call, "foraging", "is closed", "make another")
    other = make("foraging")
    other.reset(seed=1), other.step(action)


def test_gymnasium_knows_the_engines_worlds(kind):
    own = symma.make(kind, limit=20)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)  # the checker's, of unbounded spaces and of floats: check_env has them above
        theirs, many = gymnasium.make(f"symma/{kind}-v0", limit=20), gymnasium.make_vec(f"symma/{kind}-v0", num_envs=3, limit=20)
        assert isinstance(theirs.unwrapped, symma.Env) and isinstance(many, symma.VectorEnv) and many.num_envs == 3
        assert theirs.spec.id == f"symma/{kind}-v0" and theirs.observation_space == own.observation_space
        first = own.reset(seed=3)[0]
        assert np.array_equal(theirs.reset(seed=3)[0], first) and np.array_equal(many.reset(seed=3)[0][0], first)
        action = own.action_space.sample()
        for told, want in zip(theirs.step(action)[:4], own.step(action)[:4]):
            assert np.array_equal(told, want)
        theirs.close()


@pytest.mark.parametrize("make", [symma.make, symma.make_vec, symma.parallel_env, symma.aec_env])
def test_a_world_says_that_it_cannot_be_sent(make, wrong):
    env = make("foraging")
    for sent in (pickle.dumps, copy.deepcopy):
        wrong(lambda: sent(env), "Env", "another process", "send what makes it")


def test_a_world_that_another_thread_steps_says_so():
    env = symma.make_vec("foraging", 4096)
    env.reset(seed=0)
    a, said = np.zeros((4096, env.players), np.int64), []

    def step():
        for _ in range(50):
            try:
                env.world.step(a)
            except symma.UserError as e:
                said.append(str(e))

    threads = [threading.Thread(target=step) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all("stepped by another thread" in s for s in said)
    env.step(a)


@pytest.mark.parametrize("kind", ["foraging", "simple_spread"])
def test_an_action_that_is_none_is_refused_however_lenient(kind, wrong):
    """A masked action is taken for the first that is allowed; a number that is no action is a mistake."""
    import torch

    env = symma.make_vec(kind, num_envs=3)
    env.reset(seed=1)
    a = env.action_space.sample()
    for number in (99, -1):
        wrong(lambda: env.step(a * 0 + number), "actions", str(number), "0 to")
    wrong(lambda: env.step(torch.tensor(a).to("meta")), "actions", "meta")
    locked = a.copy()
    locked.flags.writeable = False
    env.step(locked)
    one = symma.parallel_env(kind)
    one.reset(seed=1)
    wrong(lambda: one.step({agent: 99 for agent in one.agents}), "action", "99")


def test_a_factory_of_ones_own_is_a_kind_of_world():
    """It was looked for in the function `parts`, not in the module."""
    def cart(length: float = 0.5):
        import gymnasium

        env = gymnasium.make("CartPole-v1")
        env.unwrapped.length = length
        return env

    env = symma.make_vec(cart, num_envs=3, limit=20)
    obs, _ = env.reset(seed=1)
    assert obs.shape == (3, 1, 4)
    for _ in range(30):
        obs, reward, *_ = env.step(env.action_space.sample())
    assert np.isfinite(obs).all() and (reward == 1).all()


def test_masked_actions_step_as_the_first_that_is_allowed():
    """What the engine refuses is mended and stepped, and the world stood still in between."""
    one, other = (symma.make_vec("foraging", num_envs=4, mask=True) for _ in range(2))
    rng = np.random.default_rng(0)
    mask = [w.reset(seed=3)[1]["action_mask"] for w in (one, other)][0]
    masked = 0
    for _ in range(50):
        a = rng.integers(0, mask.shape[-1], mask.shape[:2])
        good = np.take_along_axis(mask, a[..., None], -1)[..., 0]
        masked += (~good).sum()
        first = one.step(a)
        second = other.step(np.where(good, a, mask.argmax(-1)))
        assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
        mask = first[4]["action_mask"]
    assert masked > 20
