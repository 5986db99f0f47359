"""Arrays in and out: numpy, torch and pandas, and lists of numbers; each caller gets back what was passed."""
from __future__ import annotations

from typing import Any, Callable

import numpy as np
import torch

from .errors import UserError


def to_numpy(t: torch.Tensor) -> np.ndarray:
    """A tensor's numbers, on the CPU, without its history. Works where torch was built for another numpy."""
    t = t.detach().cpu()
    try:
        return t.numpy()
    except RuntimeError:  # "Numpy is not available"
        return np.from_dlpack(t.to(torch.uint8)).astype(bool) if t.dtype == torch.bool else np.from_dlpack(t)


def numbers(x: Any, place: str) -> np.ndarray:
    """x as a new float64 array. Throws UserError for what is not finite numbers."""
    if isinstance(x, torch.Tensor):
        try:
            x = to_numpy(x.to_dense() if x.layout != torch.strided else x)
        except (NotImplementedError, TypeError):  # on the device "meta", or of a type that numpy does not know
            raise UserError(place, f"is a tensor of {str(x.dtype).replace('torch.', '')} on {x.device}", "give numbers that lie on the processor") from None
    elif hasattr(x, "to_numpy"):
        x = x.to_numpy()
    try:
        a = np.asarray(x)
        if a.dtype == object:
            a = a.astype(np.float64)
    except (TypeError, ValueError):
        raise UserError(place, "is no array of numbers", "give numbers, all rows as long as each other") from None
    if a.dtype.kind not in "fiub":
        raise UserError(place, f"holds {a.dtype}", "give real numbers")
    a = np.array(a, dtype=np.float64)
    if a.size == 0:
        raise UserError(place, "is empty", "give one row or more")
    if not np.isfinite(a).all():
        bad = a[~np.isfinite(a)][0]
        raise UserError(place, f"holds {bad}", "give finite numbers: drop or fill in what is missing")
    return a


def tensor(a: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A new tensor of an array, whatever numpy torch was built for."""
    kind = {torch.float32: np.float32, torch.float64: np.float64, torch.int64: np.int64, torch.bool: np.bool_}[dtype]
    a = np.array(a, dtype=kind, order="C")
    try:
        return torch.from_numpy(a)
    except RuntimeError:
        return torch.from_dlpack(a.view(np.uint8)).to(torch.bool) if dtype == torch.bool else torch.from_dlpack(a)


def returns_like(x: Any) -> Callable[[np.ndarray], Any]:
    """What turns an array of one row for each row of x into what x is."""
    if isinstance(x, torch.Tensor):
        return lambda a: torch.tensor(a.tolist(), device=x.device) if a.dtype.kind in "OU" else tensor(a, torch.int64 if a.dtype.kind in "iu" else torch.float32).to(x.device)
    if hasattr(x, "index") and hasattr(x, "to_numpy"):
        import pandas

        return lambda a: pandas.Series(a, index=x.index) if a.ndim == 1 else pandas.DataFrame(a, index=x.index)
    return lambda a: a
