"""Experiments from files, dicts and parts: whatever says what to train becomes one Experiment of the engine."""
from __future__ import annotations

import os
from typing import Any, Mapping

from . import _engine, parts
from .errors import UserError

_SECTIONS = {"task": "TaskFamily", "model": "Model", "learner": "Learner", "aggregator": "Aggregator", "compression": "Compressor"}


def _section(name: str, value: Any) -> Any:
    """What stands in a section: a dict of settings, the name of a kind, or a part of one's own."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, str) and (name == "exchange" or name in _SECTIONS):
        return {"topology" if name == "exchange" else "kind": value}
    if value is not None and name in _SECTIONS:
        return {"kind": parts.kind_of(_SECTIONS[name], value)}
    return value


def experiment(source: Any, settings: Mapping[str, Any], origin: str, run: str = "") -> _engine.Experiment:
    """Reads, checks and builds. `source` is an experiment file, a dict of settings or None; `settings` lie over it. `run` is the folder
    of a run that goes on, whose data are then found from wherever one stands.

    Raises UserError.
    """
    file, laid = lay(source, settings, origin)
    return _engine.Experiment.build(file, laid, origin, run)


def lay(source: Any, settings: Mapping[str, Any], origin: str) -> tuple[str, dict[str, Any]]:
    """The experiment file, "" where there is none, and what lies over it, with parts of one's own registered and by their names.

    Raises UserError.
    """
    laid: dict[str, Any] = {}
    file = ""
    if isinstance(source, Mapping):
        laid.update(source)
    elif isinstance(source, (str, os.PathLike)):
        file = os.fspath(source)
    elif source is not None:
        raise UserError(origin, f"an experiment is no {type(source).__name__}", "name a file, or give a dict of settings")
    for name, value in settings.items():
        section = _section(name, value)
        before = laid.get(name)
        # A section laid over another adds to it, as a file's does.
        laid[name] = {**_section(name, before), **section} if isinstance(section, dict) and before is not None else section
    for name in ("task", "model", "learner", "exchange", "aggregator", "compression"):
        if name in laid:
            laid[name] = _section(name, laid[name])
            if isinstance(laid[name], dict):
                laid[name] = _nested(name, laid[name])
    return file, laid


def _nested(name: str, section: dict[str, Any]) -> dict[str, Any]:
    kind = section.get("kind")
    if kind is not None and not isinstance(kind, str) and name in _SECTIONS:
        section = {**section, "kind": parts.kind_of(_SECTIONS[name], kind)}
    world = section.get("world")
    if name == "task" and world is not None and not isinstance(world, (str, Mapping)):
        section = {**section, "world": parts.kind_of("Env", world)}
    return section


def nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """{"learner.order": 1, "seed": 2} as sections: {"learner": {"order": 1}, "seed": 2}. Dicts stay as they are."""
    out: dict[str, Any] = {}
    for key, value in dotted.items():
        *sections, last = str(key).split(".")
        at = out
        for section in sections:
            at = at.setdefault(section, {})
            if not isinstance(at, dict):
                raise UserError(str(key), f"{section} has a value itself", "name settings as section.key")
        if isinstance(value, Mapping) and isinstance(at.get(last), dict):
            at[last].update(value)
        elif isinstance(at.get(last), dict):
            at[last]["topology" if last == "exchange" else "kind"] = value
        else:
            at[last] = dict(value) if isinstance(value, Mapping) else value
    return out


def over(settings: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`more` over `settings`, section by section."""
    out = dict(settings)
    for name, value in more.items():
        section, before = _section(name, value), _section(name, out.get(name))
        out[name] = {**before, **section} if isinstance(section, dict) and isinstance(before, dict) else section
    return out
