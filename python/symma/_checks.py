"""What is passed, checked before it reaches the engine: whatever is wrong with it is a UserError that names the argument."""
from __future__ import annotations

import functools
from typing import Any, Iterable, Optional

import numpy as np
import torch

from . import _engine
from ._arrays import numbers, tensor
from .errors import UserError


def whole(x: Any, place: str, least: int = 0) -> int:
    """x as a whole number of `least` or more."""
    if isinstance(x, (bool, np.bool_)) or not isinstance(x, (int, np.integer)) or x < least:
        raise UserError(place, f"is {x!r}", f"give a whole number of {least} or more")
    return int(x)


def wholes(x: Any, place: str, least: int = 0) -> list[int]:
    """x, a number or some, as a list of whole numbers."""
    if isinstance(x, (int, np.integer)):
        return [whole(x, place, least)]
    if isinstance(x, (str, bytes)) or not isinstance(x, Iterable):
        raise UserError(place, f"is {x!r}", "give whole numbers, such as [0, 1, 5]")
    return [whole(k.item() if hasattr(k, "item") else k, place, least) for k in x]


def dense(t: torch.Tensor, place: str) -> torch.Tensor:
    """t, if it is one whose numbers the engine can read: on the processor, in one piece, not sparse."""
    if t.device.type != "cpu":
        raise UserError(place, f"lies on {t.device}", "pass it with .cpu()" if t.device.type != "meta" else "give a tensor that holds numbers")
    if t.layout != torch.strided:
        raise UserError(place, "is sparse", "pass it with .to_dense()")
    return t


def rows(x: Any, place: str, count: Optional[int] = None, like: Optional[torch.dtype] = None) -> torch.Tensor:
    """x as a matrix of floating-point rows [B, P]; a tensor stays what it is, with its history."""
    if not isinstance(x, torch.Tensor):
        x = tensor(numbers(x, place), like or torch.float32)
    dense(x, place)
    if not x.dtype.is_floating_point:
        raise UserError(place, f"holds {str(x.dtype).replace('torch.', '')}", "give float32 or float64")
    if x.dim() != 2:
        raise UserError(place, f"has shape {list(x.shape)}", "give rows [B, P]")
    if count is not None and x.shape[0] != count:
        raise UserError(place, f"are {x.shape[0]}", f"give {count}: one for each task")
    return x


def points(x: Any, place: str, count: int, sizes: list[int]) -> torch.Tensor:
    """x as points [count, K, sizes...] float32."""
    a = numbers(x, place)
    if a.ndim != 2 + len(sizes) or list(a.shape[2:]) != list(sizes) or a.shape[0] != count:
        raise UserError(place, f"has shape {list(a.shape)}", f"[{count}, K, {', '.join(map(str, sizes))}] would be right")
    return tensor(a)


def key(k: Any, place: str) -> Any:
    if not isinstance(k, _engine.Key):
        raise UserError(place, f"is no key but {type(k).__name__}", "give a symma.Key")
    return k


def batch(b: Any, place: str) -> Any:
    if not isinstance(b, _engine.Batch):
        raise UserError(place, f"is no batch but {type(b).__name__}", "take one that the fleet's sample gave")
    return b


def _named(owner: Any, name: str, place: str) -> None:
    """Arguments that the engine's function `owner.name` does not take become a UserError."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def call(*given: Any, **named: Any) -> Any:
        try:
            return original(*given, **named)
        except TypeError as e:
            if "incompatible function arguments" not in str(e):
                raise
            takes = next((line.split("1. ", 1)[1] for line in str(e).splitlines() if "1. " in line), "").replace("symma._engine.", "")
            seen = given[1:] if isinstance(owner, type) else given
            words = ", ".join([type(g).__name__ for g in seen] + [f"{k}={type(v).__name__}" for k, v in named.items()])
            raise UserError(place, f"takes no ({words}), or not these values", takes) from None

    setattr(owner, name, call)


def _of_rows(name: str) -> None:
    original = getattr(_engine.Tasks, name)

    @functools.wraps(original)
    def call(self: Any, rows_: Any, *given: Any, **named: Any) -> Any:
        rows_ = rows(rows_, "rows", len(self))
        try:
            return original(self, rows_, *given, **named)
        except RuntimeError as e:
            if not str(e).startswith("theta is ["):
                raise
            raise UserError("rows", f"have {rows_.shape[1]} columns", "give rows of this fleet's model") from None

    setattr(_engine.Tasks, name, call)


def install() -> None:
    """Once, when the package is imported."""
    for name in ("split", "uniform", "normal", "permutation", "choose"):
        _named(_engine.Key, name, f"Key.{name}")
    _named(_engine, "set_threads", "threads")
    _named(_engine.Tasks, "loss", "loss")
    _named(_engine.Tasks, "score", "score")
    for name in ("loss", "score"):
        _of_rows(name)
