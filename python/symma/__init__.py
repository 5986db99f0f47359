"""symma: fleets of agents that learn how to learn, and share what they have learned.

    run = symma.train("examples/points/sinusoid.toml", rounds=2000)
    run.scores; run.report
    run.adapt(x, y, steps=10).predict(x2)

    env = symma.make_vec("foraging", num_envs=256)
    fleet = symma.Fleet("mlp", "maml", "sinusoid", exchange="ring", agents=4)

docs/python.md has the rest.
"""
from __future__ import annotations

from typing import Any

from . import _torch

_torch.check()  # before any library is loaded
del _torch

import torch as _torch_itself  # noqa: E402,F401  its library first, and then ours on top of it

from . import _engine  # noqa: E402
from .errors import UserError  # noqa: E402

_engine.set_user_error(UserError)

from . import _checks  # noqa: E402

_checks.install()
del _checks

from . import loggers  # noqa: E402
from .fleet import Fleet  # noqa: E402
from .parts import Aggregator, Compressor, Key, Learner, TaskFamily, load, parts, register  # noqa: E402
from .run import Adapted, Report, Run, open_run, train  # noqa: E402
from .sweeps import Sweep, sweep  # noqa: E402

open = open_run
__version__ = _engine.version
threads, set_threads = _engine.threads, _engine.set_threads

_WORLDS = ("make", "make_vec", "parallel_env", "aec_env", "VectorEnv", "ParallelEnv", "Env")

__all__ = ["Adapted", "Aggregator", "Compressor", "Fleet", "Key", "Learner", "Report", "Run", "Sweep", "TaskFamily", "UserError", "load", "loggers",
           "open", "parts", "register", "set_threads", "sweep", "threads", "train", *_WORLDS]


try:
    import gymnasium as _gymnasium
except ImportError:
    pass
else:
    for _world in parts("Env"):
        _gymnasium.register(f"symma/{_world}-v0", entry_point="symma:Env", vector_entry_point="symma:VectorEnv", kwargs={"kind": _world})
    del _gymnasium, _world


def __getattr__(name: str) -> Any:
    # Worlds ask for gymnasium and pettingzoo, which the rest can do without.
    if name in _WORLDS:
        try:
            from . import worlds
        except ImportError as e:
            raise ImportError(f"symma.{name} needs {e.name}: pip install 'gymnasium>=1.1' 'pettingzoo>=1.25'") from None
        return getattr(worlds, name)
    if name in ("ray", "flower"):  # symma.ray and symma.flower, where those whom they serve are installed
        import importlib

        return importlib.import_module("." + name, __name__)
    raise AttributeError(f"module 'symma' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_WORLDS))
