"""Sweeps: every combination of the values of some settings as a run of its own, and who is best over seeds.

The folder is the program's (`symma sweep`): each goes on with what the other has begun.
"""
from __future__ import annotations

import csv
import json
import os
import sys
from typing import Any, Callable, Mapping, Optional, Sequence, Union

from . import _engine
from ._settings import experiment as _experiment, lay, nested, over as _over
from .errors import UserError
from .run import Report, Run, _table, train


class Sweep:
    """A folder of runs.

    runs:     {name: Run}, of those that are done
    table:    a row for each run and number of steps: its arm (all that sets it apart but the seed), scores, bits, seconds
    standing: dict: which arms are told apart, and at what level
    failed:   what runs that failed said
    report:   the page
    """

    def __init__(self, folder: Any):
        self.folder = os.fspath(folder)
        if not os.path.exists(os.path.join(self.folder, "sweep.json")):
            raise UserError(self.folder, "holds no sweep", "name a folder that symma.sweep wrote")

    def _written(self) -> dict:
        with open(os.path.join(self.folder, "sweep.json"), encoding="utf-8") as text:
            return json.load(text)

    @property
    def runs(self) -> dict[str, Run]:
        return {r["folder"]: Run(os.path.join(self.folder, "runs", r["folder"])) for r in self._written().get("runs", []) if r["state"] == "done"}

    @property
    def table(self) -> Any:
        with open(os.path.join(self.folder, "sweep.csv"), newline="", encoding="utf-8") as text:
            names, *rows = list(csv.reader(text))

        def number(cell: str) -> Any:
            try:
                return float(cell)
            except ValueError:
                return cell

        return _table({name: [number(row[i]) for row in rows] for i, name in enumerate(names)})

    @property
    def standing(self) -> Any:
        return self._written().get("standing")

    @property
    def failed(self) -> list[str]:
        return self._written().get("failed", [])

    @property
    def report(self) -> Report:
        return Report(os.path.join(self.folder, "report.html"))

    def __repr__(self) -> str:
        return f"Sweep({self.folder!r}: {len(self.runs)} runs, {len(self.failed)} failed)"


def axes_of(over: Union[Mapping[str, Sequence], Sequence[str]]) -> list[str]:
    """{"seed": [1, 2], "exchange.topology": ["ring", "full"]}, or lines as the program takes them, as such lines."""
    def word(value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value.tolist() if hasattr(value, "tolist") else value)

    if isinstance(over, str):
        over = [over]
    if isinstance(over, Mapping):
        lines = []
        for key, values in over.items():
            if isinstance(values, (str, int, float, bool)) or not hasattr(values, "__iter__"):
                raise UserError(f"over: {key}", f"is {values!r}", "give a list of values")
            lines.append(f"{key}=" + ",".join(word(v) for v in values))
        over = lines
    lines = [str(line) for line in over]
    if not lines:
        raise UserError("symma.sweep", "nothing to go over", 'name settings: over={"seed": [1, 2, 3]}')
    return lines


class Plan:
    """What a sweep consists of, claimed in its folder."""

    def __init__(self, experiment: Any, over: Any, out: Any, force: bool, settings: Mapping[str, Any]):
        self.lines = axes_of(over)
        self.all = _engine.sweep_plan(self.lines)
        self.experiment, self.settings = (None, _over(experiment, settings)) if isinstance(experiment, Mapping) else (experiment, dict(settings))
        file, laid = lay(experiment, settings, "symma.sweep")
        # What is wrong with a key is told before anything is run.
        first = _experiment(self.experiment, self.of(self.all[0]), "symma.sweep")
        for_none = None
        for c in self.all:
            foreign = self._foreign(c)
            for_none = foreign if for_none is None else for_none & foreign
            if foreign & set(c["values"]):
                _experiment(self.experiment, self.of(c), "symma.sweep")  # says so
        if for_none:
            _experiment(self.experiment, self._whole(self.all[0]), "symma.sweep")
        name = os.path.splitext(os.path.basename(file))[0] if file else first.about["name"]
        self.folder = os.path.abspath(os.path.join("sweeps", name) if out is None else os.fspath(out))
        text = json.dumps(laid, sort_keys=True, default=str)
        if file:
            with open(file, encoding="utf-8") as words:
                text = words.read()
        self.claimed = {"experiment": text, "set": _dotted(laid) if file else []}
        _engine.claim_sweep(self.folder, self.claimed, force)

    def _whole(self, combination: Mapping[str, Any]) -> dict[str, Any]:
        return _over(self.settings, nested(combination["values"]))

    def _foreign(self, combination: Mapping[str, Any]) -> set[str]:
        """The keys that are options of parts that this run does not have."""
        try:
            return set(_engine.of_other_parts(*lay(self.experiment, self._whole(combination), "symma.sweep"), "symma.sweep"))
        except UserError:
            return set()  # whatever is wrong with it, the run says

    def of(self, combination: Mapping[str, Any]) -> dict[str, Any]:
        """A run's settings. What is laid over all runs is of those whose parts have it."""
        out = self._whole(combination)
        for key in self._foreign(combination) - set(combination["values"]):
            section, _, name = key.partition(".")
            out[section] = {k: v for k, v in out[section].items() if k != name}
        return out

    def run_folder(self, combination: Mapping[str, Any]) -> str:
        return os.path.join(self.folder, "runs", combination["name"])

    def due(self) -> list[dict]:
        out = []
        for c in self.all:
            folder = self.run_folder(c)
            if not _engine.is_done(folder):
                out.append(c)
            elif differs := _engine.other_settings(folder, *lay(self.experiment, self.of(c), "symma.train"), "symma.train"):
                raise UserError(folder, f"holds a run of other settings ({differs})", "choose another out=, or remove that folder")
        return out

    def conclude(self, why: Mapping[str, str]) -> Sweep:
        """Judges and writes what the runs came to; `why` says of those that failed what they said."""
        runs = [{"name": c["name"], "values": c["values"], **({"why": why[c["name"]]} if c["name"] in why else {})} for c in self.all]
        _engine.end_sweep(self.folder, self.claimed, self.lines, runs)
        return Sweep(self.folder)


def _dotted(laid: Mapping[str, Any], before: str = "") -> list[str]:
    out = []
    for key, value in laid.items():
        out += _dotted(value, f"{before}{key}.") if isinstance(value, Mapping) else [f"{before}{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return out


def sweep(experiment: Any = None, over: Any = (), *, out: Any = None, force: bool = False, progress: Any = True,
          threads: Optional[int] = None, **settings: Any) -> Sweep:
    """Trains every combination, one after the other, each on all threads; what is done already is left alone.

    over:     {"seed": [1, 2, 3], "exchange.topology": ["none", "ring"]}, or as the program takes it: ["seed=1..3"]
    progress: True for a line for each run, False, or a function of a dict (run, done, of, seconds)
    The rest is as in symma.train. `symma.ray.sweep` trains them beside each other. Raises UserError.
    """
    plan = Plan(experiment, over, out, force, settings)
    due = plan.due()
    tell = teller(progress, len(plan.all), len(plan.all) - len(due))
    why: dict[str, str] = {}
    for c in due:
        try:
            run = train(plan.experiment, out=plan.run_folder(c), resume=os.path.exists(plan.run_folder(c)), progress=False, threads=threads, **plan.of(c))
            if not run.finished:
                raise KeyboardInterrupt  # what was trained is saved
        except UserError as e:
            why[c["name"]] = str(e)
        tell(c["name"], why.get(c["name"]))
    return plan.conclude(why)


def teller(progress: Any, of: int, done_before: int) -> Callable[[str, Optional[str]], None]:
    state = {"done": done_before}

    def tell(name: str, why: Optional[str]) -> None:
        state["done"] += 1
        if callable(progress):
            progress({"run": name, "done": state["done"], "of": of, "failed": why})
        elif progress:
            print(f"{state['done']}/{of}  {name}" + (f"  failed: {why}" if why else ""), file=sys.stderr, flush=True)

    return tell
