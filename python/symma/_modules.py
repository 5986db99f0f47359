"""Networks of the engine as plain torch.nn.Modules."""
from __future__ import annotations

from typing import Any

import torch

from .errors import UserError

_ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}


def to_torch(experiment: Any, row: torch.Tensor) -> torch.nn.Module:
    """A row [1, P] as a module of its own, which knows nothing of symma. Perceptrons only."""
    about = experiment.about
    settings = about["settings"]["model"]
    if about["model"] != "mlp":
        raise UserError("to_torch", f'model "{about["model"]}" has no plain module', "only mlp has; its parameters are in run.adapt(...).parameters")
    activation = settings.get("activation", "relu")
    if activation not in _ACTIVATIONS:
        raise UserError("to_torch", f'activation "{activation}" has no module here', "one of " + ", ".join(_ACTIVATIONS))
    entries = {e["name"]: e for e in about["layout"]}

    def part(name: str) -> torch.Tensor:
        e = entries[name]
        n = 1
        for s in e["shape"]:
            n *= s
        return row[0, e["offset"]:e["offset"] + n].detach().reshape(e["shape"]).clone()

    layers: list[torch.nn.Module] = [] if len(about["in"]) == 1 else [torch.nn.Flatten(1)]
    stems = [n[:-len(".weight")] for n in entries if n.endswith(".weight")]
    for stem in stems:
        w, b = part(stem + ".weight"), part(stem + ".bias")
        linear = torch.nn.Linear(w.shape[0], w.shape[1]).to(w.dtype)
        with torch.no_grad():
            linear.weight.copy_(w.t())
            linear.bias.copy_(b)
        layers.append(linear)
        if stem != stems[-1]:
            layers.append(_ACTIVATIONS[activation]())
    return torch.nn.Sequential(*layers)
