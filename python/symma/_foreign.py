"""What stands between the engine and parts that are written in Python. Each function makes what makes the part's raw object,
whose methods the engine calls from its threads (python/src/parts.cc)."""
from __future__ import annotations

import copy
import inspect
import math
import threading
from typing import Any

import numpy as np
import torch

from . import _engine
from .errors import UserError


def _made(name: str, part: Any, options: dict, **context: Any) -> Any:
    """The part itself, or one made by its constructor with the options, and of the context what it asks for."""
    if not inspect.isclass(part):
        return part
    takes = inspect.signature(part).parameters
    given = {k: v for k, v in context.items() if k in takes}
    missing = [p.name for p in takes.values() if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name not in given]
    if missing:
        raise UserError(name, f"its constructor asks for {', '.join(missing)}", "give what is an option a default")
    return part(**given, **options)


def plain(name: str, part: Any):
    return lambda options: _made(name, part, options)


class _Family:
    def __init__(self, name: str, part: Any, agents: int):
        given = part.sample if hasattr(part, "sample") else part
        count = len([p for p in inspect.signature(given).parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)])
        if count >= 3:
            self.sample = given
        elif count == 2:
            self.sample = lambda agent, key, split: given(agent, key)
        else:
            self.sample = lambda agent, key, split: given(key)
        inputs, outputs = getattr(part, "inputs", None), getattr(part, "outputs", None)
        classes = int(getattr(part, "classes", 0) or 0)
        if inputs is None or (outputs is None and not classes):
            task = self.sample(0, _engine.Key(0).split("first look"), "train")
            if not isinstance(task, tuple) or len(task) != 4:
                raise UserError(name, "returned no tuple of four arrays", "return support_x, support_y, query_x, query_y")
            x, y = (np.asarray(t.detach().cpu() if isinstance(t, torch.Tensor) else t) for t in task[:2])
            if inputs is None:
                inputs = x.shape[1:] or (1,)
            if outputs is None and not classes:
                outputs = y.shape[1] if y.ndim > 1 else 1
        inputs = [int(inputs)] if np.isscalar(inputs) else [int(n) for n in inputs]
        if min(inputs, default=0) < 1:
            raise UserError(name, f"inputs are {inputs}", "give the sizes of one input, such as 1 or (28, 28, 1)")
        self.spec = {"in": inputs, "out": classes or int(outputs), "classes": classes}


def family(name: str, part: Any):
    return lambda options, agents: _Family(name, _made(name, part, options, agents=agents), agents)


# ---- models: torch.nn.Module, as a function of rows

try:
    from torch.func import functional_call as _functional_call, vmap as _vmap
except ImportError:
    from torch.nn.utils.stateless import functional_call as _functional_call

    try:
        from functorch import vmap as _vmap
    except ImportError:
        _vmap = None


# torch keeps what its nested transforms know in one table for all threads.
_one_at_a_time = threading.Lock()


class _Module:
    """A module's parameters as a row. The last linear layer is the head: it stands last, "head.weight" [F, out] (torch has it
    turned) and "head.bias"."""

    def __init__(self, name: str, module: torch.nn.Module, sizes: list, out: int):
        self.name = name
        self.module = copy.deepcopy(module)
        linear = [(n, m) for n, m in self.module.named_modules() if isinstance(m, torch.nn.Linear)]
        if not linear or linear[-1][1].out_features != out or linear[-1][1].bias is None:
            raise UserError(name, f"does not end in a torch.nn.Linear of {out} outputs with a bias", "its last linear layer is the head")
        self.head = linear[-1][0]
        for n, m in self.module.named_modules():
            if isinstance(m, torch.nn.modules.dropout._DropoutNd) and m.p > 0:
                raise UserError(f"{name}, {n}", "draws from torch's own generator", "leave out dropout: every draw of a fleet comes from a key")
        buffers = [n for n, _ in self.module.named_buffers()]
        if buffers:
            raise UserError(f"{name}, {buffers[0]}", "is a buffer, which a row does not hold", "use norms without running statistics")
        prefix = self.head + "." if self.head else ""
        self.names = [n for n, _ in self.module.named_parameters() if not n.startswith(prefix + "weight") and not n.startswith(prefix + "bias")] if prefix else []
        self.names += [prefix + "weight", prefix + "bias"]
        shapes = dict(self.module.named_parameters())
        self.shapes = [tuple(shapes[n].shape) for n in self.names]
        self.sizes = [shapes[n].numel() for n in self.names]
        self.layout = [(n, list(s)) for n, s in zip(self.names[:-2], self.shapes[:-2])]
        out_, f = self.shapes[-2]
        self.layout += [("head.weight", [f, out_]), ("head.bias", [out_])]
        self._check_end(sizes)
        self._own = threading.local()  # a module's parameters are swapped while it is called, so each thread has its own

    def _check_end(self, sizes: list) -> None:
        """Raises UserError unless what comes out is what the head put out: a learner that has the head by a formula would learn another model."""
        put_out: list = []

        def mark(head, x, y):
            put_out.append(torch.linspace(-3, 3, y.numel()).reshape(y.shape))
            return put_out[-1]

        x = torch.linspace(0.1, 1, 4 * math.prod(sizes)).reshape(4, *sizes)
        hook = dict(self.module.named_modules())[self.head].register_forward_hook(mark)
        try:
            with torch.no_grad():
                y = _functional_call(self.module, {n: v.detach().float() for n, v in self.module.named_parameters()}, (x,))
        finally:
            hook.remove()
        if put_out and not (y.numel() == put_out[-1].numel() and torch.equal(y.reshape(-1), put_out[-1].reshape(-1))):
            raise UserError(self.name, "does not end in a torch.nn.Linear: what its last one puts out is changed", "its last linear layer is the head; leave what comes after it out")

    def init(self, keys):
        rows, seen = [], {}
        for key in keys:
            if key.seed not in seen:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(key.seed % 2**63)
                    m = copy.deepcopy(self.module)
                    for part in m.modules():
                        if hasattr(part, "reset_parameters"):
                            part.reset_parameters()
                p = {n: v.detach().float() for n, v in m.named_parameters()}
                parts = [p[n] for n in self.names]
                parts[-2] = parts[-2].t()
                seen[key.seed] = torch.cat([v.reshape(-1) for v in parts])
            rows.append(seen[key.seed])
        return torch.stack(rows)

    def _here(self):
        if not hasattr(self._own, "module"):
            self._own.module = copy.deepcopy(self.module)
            self._own.inputs = []
            dict(self._own.module.named_modules())[self.head].register_forward_pre_hook(lambda m, x: self._own.inputs.append(x[0]))
        return self._own

    def _one(self, row, x, features: bool):
        here = self._here()
        p, at = {}, 0
        for n, shape, size in zip(self.names, self.shapes, self.sizes):
            v = row[at:at + size]
            p[n] = v.reshape(shape[1], shape[0]).t() if n == self.names[-2] else v.reshape(shape)
            at += size
        del here.inputs[:]
        y = _functional_call(here.module, p, (x,))
        seen = here.inputs.pop() if here.inputs else None
        if not features:
            return y
        if seen is None:
            raise UserError(self.name, "did not call its last linear layer", "its last linear layer is the head")
        return seen

    def _rows(self, theta, x, train: bool, features: bool):
        self._here().module.train(train)
        if _vmap is None or theta.shape[0] == 1:
            return torch.stack([self._one(theta[b], x[b], features) for b in range(theta.shape[0])])
        with _one_at_a_time:
            return _vmap(lambda row, points: self._one(row, points, features))(theta, x)

    def forward(self, theta, x, train):
        return self._rows(theta, x, train, False)

    def features(self, theta, x, train):
        return self._rows(theta, x, train, True)


def model(name: str, part: Any):
    def make(options: dict, sizes: list, out: int):
        module = part
        if inspect.isclass(part):
            inputs = sizes[0] if len(sizes) == 1 else tuple(sizes)
            module = _made(name, part, options, inputs=inputs, outputs=out)
        return _Module(name, module, sizes, out)

    return make


def learner(name: str, part: Any):
    def make(options: dict, model: Any, spec: dict):
        made = _made(name, part, options)
        if not inspect.isclass(part):
            made = copy.copy(part)
        made.model, made.spec = model, spec
        return made

    return make


def world(name: str, part: Any, task_parameters: Any):
    from . import _foreign_worlds

    return lambda options, copies: _foreign_worlds.Copies(name, part, task_parameters, options, copies)
