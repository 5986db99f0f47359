"""Parts of one's own: task families, worlds, models, learners, aggregators and compressors.

A part that is registered stands beside the engine's: `symma.parts()` lists it, and experiment files and settings know it by
its name. What its constructor takes with a default are its options, read and checked as those of any part.
"""
from __future__ import annotations

import inspect
from typing import Any, Callable, Iterable, Optional, Sequence

import numpy as np
import torch

from . import _engine
from .errors import UserError

Key = _engine.Key

_names: dict[tuple[str, str], Any] = {}  # (kind, name) -> what was registered under it
_words: dict[tuple[str, str], tuple] = {}  # (kind, name) -> summary, source, task_parameters, defaults


class TaskFamily:
    """A distribution over tasks: a function from a key to arrays.

    Set `inputs` (the sizes of one input: 1, or (28, 28, 1)) and `outputs`, or `classes` where targets are labels; write `sample`.
    What is not set is seen from a first task.
    """

    inputs: Any = None
    outputs: Optional[int] = None
    classes: int = 0

    def sample(self, agent: int, key: Key) -> tuple:
        """One task of agent number `agent` (-1: of everyone), drawn from `key` alone.

        Returns support_x [Ks, in...], support_y [Ks, out] or labels [Ks], query_x [Kq, in...], query_y. With a third
        argument `split` it is told which of "train", "validation", "test" and "ood" the task is of; the key differs by split
        anyway.
        """
        raise NotImplementedError("write sample(self, agent, key)")


class Learner:
    """How rows learn, in torch. Agents are rows of a matrix: state.theta [N, P].

    `self.model` is the engine's model (forward, features, init), `self.spec` says what tasks look like.
    """

    model: _engine.Model
    spec: dict

    def init(self, keys: Sequence[Key]) -> Any:
        """The first rows [N, P], row i from keys[i] alone; with a dict of what agents keep, [N, ...] each, as a second."""
        return self.model.init([key.split("model") for key in keys])

    def step(self, state: _engine.State, tasks: _engine.Tasks, key: Key) -> dict:
        """One update of every agent: writes state.theta anew, and returns what to log, [N] each, "loss" among it."""
        raise NotImplementedError("write step(self, state, tasks, key)")

    def adapt(self, state: _engine.State, tasks: _engine.Tasks, steps: Sequence[int], key: Key) -> list:
        """Rows after each of `steps` (ascending) steps of adaptation, [B, P] each, without history."""
        raise NotImplementedError("write adapt(self, state, tasks, steps, key)")


class Aggregator:
    """Many rows into one, of which some may be bad."""

    robust, translation, scale, permutation, needs_rows = True, True, True, True, True

    def most_bad(self, n: int) -> int:
        """How many bad rows among n the rule can bear."""
        return (n - 1) // 2

    def combine(self, rows: torch.Tensor, bad: int, centre: Optional[torch.Tensor], key: Key) -> torch.Tensor:
        """rows [n, P] to one row [P]; `centre` [P] is a row to start from, or None."""
        raise NotImplementedError("write combine(self, rows, bad, centre, key)")

    @property
    def laws(self) -> dict:
        return {n: bool(getattr(self, n)) for n in ("robust", "translation", "scale", "permutation", "needs_rows")}


class Compressor:
    """A row into bytes, and back."""

    unbiased = False

    def encode(self, row: torch.Tensor, key: Key) -> bytes:
        """row [P] float64 to what the wire carries."""
        raise NotImplementedError("write encode(self, row, key)")

    def decode(self, message: bytes, size: int) -> Any:
        """The row [size] of a message; None where it is none of this compressor's."""
        raise NotImplementedError("write decode(self, message, size)")

    def contraction(self, size: int) -> float:
        """The largest delta with E|x - C(x)|^2 <= (1 - delta) |x|^2; 0 where none is promised."""
        return 0.0


def parts(kind: Optional[str] = None) -> dict:
    """Every part with its summary, source and options: {kind: {name: ...}}, or those of one kind."""
    all_of_them = _engine.catalog()
    if kind is None:
        return all_of_them
    if kind not in all_of_them:
        raise UserError("parts", f'"{kind}" is no kind of part', "one of " + ", ".join(sorted(all_of_them)))
    return all_of_them[kind]


def load(library: str) -> None:
    """Loads a shared library whose parts register themselves, as `symma --load` does."""
    import os

    path = os.fspath(library)
    _engine.load(os.path.abspath(path) if os.path.exists(path) else path)


def register(name: str, part: Any = None, *, kind: Optional[str] = None, summary: str = "", source: str = "", replace: bool = False,
             task_parameters: Optional[dict] = None, **defaults: Any) -> Any:
    """Puts a part beside the engine's, under a name. Also a decorator: `@symma.register("lines")`.

    part: a subclass of TaskFamily, Learner, Aggregator or Compressor, a subclass of torch.nn.Module, or a function that
    makes a world (say `kind="Env"`): a PettingZoo parallel environment or a Gymnasium one, an object a copy. Its
    constructor's arguments that have a default are its options.
    task_parameters: of a world: which of the factory's arguments make a task, {name: (low, high)} or
    {name: {"train": (low, high), "test": ..., "ood": ...}}
    defaults: of a world's options: leaving=True, limit=25, common_reward=True
    """
    if part is None:
        return lambda given: register(name, given, kind=kind, summary=summary, source=source, replace=replace, task_parameters=task_parameters, **defaults)
    kind = kind or _kind_of_class(part)
    if kind is None:
        raise UserError(f'register("{name}")', f"{part!r} is no part", 'derive it from TaskFamily, Learner, Aggregator, Compressor or torch.nn.Module, or say kind="Env"')
    if kind != "Env" and (defaults or task_parameters):
        raise UserError(f'register("{name}")', f"{(list(defaults) + ['task_parameters'])[0]} is an option of worlds", "leave it out")
    _put(kind, name, part, summary, source, replace, task_parameters, defaults)
    return part


def _put(kind: str, name: str, part: Any, summary: str, source: str, replace: bool,
         task_parameters: Optional[dict] = None, defaults: Optional[dict] = None) -> None:
    there = _engine.catalog().get(kind, {})
    if name in there and ((kind, name) not in _names or not (replace or _same(_names[kind, name], part))):
        raise UserError(f'register("{name}")', f'there is a {kind} "{name}" already', "choose another name" + (", or say replace=True" if (kind, name) in _names else ""))
    from . import _foreign

    adapt = {"TaskFamily": _foreign.family, "Env": _foreign.world, "Model": _foreign.model, "Learner": _foreign.learner,
             "Aggregator": _foreign.plain, "Compressor": _foreign.plain}
    if kind not in adapt:
        raise UserError(f'register("{name}")', f'kind "{kind}" is not one that Python can add to', "one of " + ", ".join(adapt))
    options = _options(part) if inspect.isclass(part) or kind == "Env" else []
    make = adapt[kind]
    if kind == "Env":
        from ._foreign_worlds import OPTIONS, ranges_of

        ranges_of(task_parameters, part, f'register("{name}")')

        known = [o[0] for o in OPTIONS]
        for d in defaults or {}:
            if d not in known:
                raise UserError(f'register("{name}")', f'"{d}" is not known', "one of " + ", ".join(known))
        options = [o for o in options if o[0] not in known] + [(o, (defaults or {}).get(o, v), doc) for o, v, doc in OPTIONS]
        make = lambda n, p: _foreign.world(n, p, task_parameters)
    doc = summary or (inspect.getdoc(part) or "").split("\n")[0] or name
    _engine.register_part(kind, name, doc, source or f"Python: {getattr(part, '__module__', '')}", options, make(name, part))
    _names[kind, name] = part
    _words[kind, name] = (summary, source, task_parameters, defaults)


def registered() -> list[tuple]:
    """All parts that Python has registered, for another process to `take_up`."""
    return [(kind, name, part, *_words[kind, name]) for (kind, name), part in _names.items()]


def take_up(others: Iterable[tuple]) -> None:
    for kind, name, part, summary, source, task_parameters, defaults in others:
        _put(kind, name, part, summary, source, True, task_parameters, defaults)


def _same(a: Any, b: Any) -> bool:
    """Whether one part is another's later self: a class that a notebook's cell defined again."""
    def who(x: Any) -> tuple:
        return getattr(x, "__module__", None) or type(x).__module__, getattr(x, "__qualname__", None) or type(x).__qualname__

    return a is b or who(a) == who(b)


def _options(part: Any) -> list[tuple]:
    out = []
    for p in inspect.signature(part).parameters.values():
        if p.default is p.empty or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) or p.default is None:
            continue
        if isinstance(p.default, (bool, int, float, str, list, tuple)):
            out.append((p.name, list(p.default) if isinstance(p.default, tuple) else p.default, f"as {getattr(part, '__name__', 'it')} takes it"))
    return out


def _kind_of_class(part: Any) -> Optional[str]:
    for base, kind in ((TaskFamily, "TaskFamily"), (Learner, "Learner"), (Aggregator, "Aggregator"), (Compressor, "Compressor"), (torch.nn.Module, "Model")):
        if isinstance(part, base) or (inspect.isclass(part) and issubclass(part, base)):
            return kind
    return None


def kind_of(kind: str, part: Any) -> str:
    """The name that a part of one's own goes by in settings; registers it where it has none."""
    for (k, name), there in list(_names.items()):
        if k == kind and there is part:
            return name
    found = _kind_of_class(part)
    if found is None and kind in ("TaskFamily", "Env") and callable(part):
        found = kind
    if found != kind:
        raise UserError(kind, f"{part!r} is no {kind}", "give a name, a dict of settings, or a part of that kind")
    name = getattr(part, "__name__", None) or type(part).__name__
    name = "".join(c if c.isalnum() else "_" for c in name).strip("_") or "part"
    base, n = name, 1
    catalog = _engine.catalog().get(kind, {})
    # Another of the same class takes its place: experiments that were built keep the one they have.
    while name in catalog and ((kind, name) not in _names or not _same(_names[kind, name], part)):
        n += 1
        name = f"{base}_{n}"
    _put(kind, name, part, "", "", True)
    return name
