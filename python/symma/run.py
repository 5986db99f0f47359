"""Runs: trained, opened, judged, adapted."""
from __future__ import annotations

import csv
import html
import json
import os
import sys
import tempfile
import warnings
from typing import Any, Callable, Iterable, Mapping, Optional, Sequence, Union

import numpy as np
import torch

from . import _engine
from ._arrays import numbers, returns_like, tensor, to_numpy
from ._settings import experiment as _experiment
from .errors import UserError


class Report:
    """The run's page: one HTML file that needs no network. Shows itself in a notebook."""

    def __init__(self, path: str):
        self.path = path

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"Report({self.path!r})"

    @property
    def html(self) -> str:
        with open(self.path, encoding="utf-8") as page:
            return page.read()

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{html.escape(self.html)}" width="100%" height="720" style="border:0"></iframe>'

    def open(self) -> bool:
        """Shows the page in a browser."""
        import webbrowser

        return webbrowser.open("file://" + os.path.abspath(self.path))


def _table(columns: dict[str, list]) -> Any:
    """pandas' DataFrame where pandas is installed, else a dict of arrays."""
    try:
        import pandas
    except ImportError:
        return {name: np.array(values) for name, values in columns.items()}
    return pandas.DataFrame(columns)


class Run:
    """A run: a folder that `symma.train` or the program wrote.

    settings: dict of sections, every default filled in
    summary:  dict, as summary.json has it; None before the run has ended
    scores:   a row for each split, agent, task and number of steps, with a column for each score, and the task's group where it has one
    metrics:  a row for each line of the log
    report:   the page
    """

    def __init__(self, folder: str, experiment: Any = None, state: Any = None):
        self.folder = os.fspath(folder)
        self._built, self._loaded, self._looked = experiment, state, False

    def __reduce__(self):
        return Run, (os.path.abspath(self.folder),)  # all that it is stands there

    def _file(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def _need(self, name: str) -> str:
        path = self._file(name)
        if not os.path.exists(path):
            raise UserError(path, "is not there", "the run has not ended: go on with symma.train(resume=True, out=...)")
        return path

    @property
    def experiment(self) -> Any:
        if self._built is None:
            self._built = _engine.Experiment.build(self._file("experiment.toml"), {}, self.folder, self.folder)
        return self._built

    @property
    def state(self) -> Any:
        if self._loaded is None:
            self._loaded = _engine.RunState.load(self._file("checkpoint.safetensors"), self.experiment)
        return self._loaded

    @property
    def about(self) -> dict:
        return self.experiment.about

    @property
    def settings(self) -> dict:
        return self.about["settings"]

    @property
    def theta(self) -> np.ndarray:
        """The agents' rows, [N, Q]."""
        return to_numpy(self.state.theta).copy()

    @property
    def round(self) -> int:
        return self.state.round

    @property
    def finished(self) -> bool:
        return bool((self.summary or {}).get("finished", False))

    @property
    def summary(self) -> Optional[dict]:
        try:
            with open(self._file("summary.json"), encoding="utf-8") as text:
                return json.load(text)
        except FileNotFoundError:
            return None

    @property
    def scores(self) -> Any:
        with open(self._need("scores.csv"), newline="", encoding="utf-8") as text:
            rows = csv.reader(text)
            names = next(rows)
            columns: list[list] = [list(c) for c in zip(*rows)] or [[] for _ in names]

        def read(name: str, cells: list) -> list:
            if name in ("split", "group"):
                return cells
            if name in ("agent", "task", "steps") and all(cells):
                return [int(c) for c in cells]
            return [float(c) if c else float("nan") for c in cells]

        return _table({name: read(name, cells) for name, cells in zip(names, columns)})

    @property
    def metrics(self) -> Any:
        rows = []
        with open(self._need("metrics.jsonl"), encoding="utf-8") as text:
            for line in text:
                try:
                    rows.append(flat(json.loads(line)))
                except json.JSONDecodeError:
                    break  # a last line that a crash cut short
        names = list(dict.fromkeys(name for row in rows for name in row))
        return _table({n: [float("nan") if row.get(n) is None else row[n] for row in rows] for n in names})

    @property
    def report(self) -> Report:
        path = self._file("report.html")
        if not os.path.exists(path):
            _engine.write_report([self.folder], path)
        return Report(path)

    def adapt(self, x: Any, y: Any, steps: Optional[int] = None, agent: int = 0) -> "Adapted":
        """Adapts an agent to a handful of examples of a new task.

        x: [K] or [K, in...]: numbers, an array, a tensor, or a DataFrame whose columns are the task's inputs
        y: [K] or [K, out] targets, or K labels; in units of the data
        steps: of adaptation; the most that the run was judged on unless given
        """
        if not self._looked:
            self._looked = True
            changed = _engine.changed_data(self.folder)
            if changed:
                warnings.warn(f"{changed} since training; predictions go by what the run learned from", stacklevel=2)
        return Adapted(self, x, y, steps, agent)

    def to_torch(self, agent: int = 0) -> torch.nn.Module:
        """The agent's network as a plain torch.nn.Module of its own parameters; takes [K, in...], gives [K, out]."""
        from ._modules import to_torch

        return to_torch(self.experiment, _agent_row(self, agent))

    def __repr__(self) -> str:
        return f"Run({self.folder!r}: " + _words(self).replace("\n", "; ") + ")"

    def __str__(self) -> str:
        return _words(self)

    def _repr_html_(self) -> str:
        s = self.summary
        if not s:
            return f"<p>{html.escape(_words(self))}</p>"
        e = s["eval"]
        rows = "".join(f"<tr><td>{k}</td><td>{_show(m)} ± {_show(c)}</td><td>{_show(d)}</td></tr>" for k, m, c, d in zip(e["steps"], e["mean"], e["ci95"], e["median"]))
        return (f"<p>{html.escape(_words(self).splitlines()[0])}</p><table><tr><th>steps</th><th>{html.escape(e['metric'])}, "
                f"mean ± 95%</th><th>median</th></tr>{rows}</table>")


def _show(x: Optional[float]) -> str:
    return "diverged" if x is None else f"{x:.4g}"


def _words(run: Run) -> str:
    s = run.summary
    if not s:
        return f"{run.about['name']}, stopped after round {run.state.round} of {run.about['rounds']}"
    e = s["eval"]
    head = f"{s['experiment']}: {s['agents']} agent{'s' * (s['agents'] != 1)}, {s['learner']} on {s['task']}, {s['rounds']} rounds in {s['wall_s']:.3g} s"
    return head + "\n" + f"{e['metric']} on {e['tasks']} {e['split']} tasks: " + ", ".join(f"{_show(m)} after {k}" for k, m in zip(e["steps"], e["mean"])) + " steps"


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the log without nesting: scores by "train/NAME", validation by "validation/METRIC/STEPS", lists left out."""
    out = {k: v for k, v in row.items() if not isinstance(v, (dict, list))}
    out.update({f"train/{k}": v for k, v in row.get("scores", {}).items()})
    v = row.get("validation")
    if v:
        out.update({f"validation/{v['metric']}/{k}": m for k, m in zip(v["steps"], v["mean"])})
    return out


def _agent_row(run: Run, agent: int) -> torch.Tensor:
    n = run.about["agents"]
    if isinstance(agent, bool) or not isinstance(agent, (int, np.integer)) or not 0 <= agent < n:
        raise UserError("agent", f"there is no agent {agent}", f"agents are 0 to {n - 1}")
    return run.state.theta[agent:agent + 1, :run.about["parameters"]]


class Adapted:
    """An agent that has adapted to a task.

    before, after: its loss on the examples
    parameters:    its network's, by name
    """

    def __init__(self, run: Run, x: Any, y: Any, steps: Optional[int], agent: int):
        self._run, self._x, self._y = run, x, y
        a = run.about
        if a["kind"] not in ("regression", "classification"):
            raise UserError("adapt", f'tasks of "{a["task"]}" are worlds, not points', "use a run on labelled points")
        _agent_row(run, agent)
        steps = a["steps"][-1] if steps is None else steps
        if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
            raise UserError("steps", f"is {steps!r}", "give a whole number of 0 or more")
        self.steps, self.agent = int(steps), int(agent)
        self._names = a["columns"]
        self._classes = a["kind"] == "classification"
        sx, sy, _ = self._read(None)
        batch = _engine.Batch.points(run.experiment, sx, sy, sx, sy)
        key = _engine.Key(a["seed"]).split("adapt")
        rows = _engine.adapt(run.experiment, run.state.learner.rows([self.agent]), batch, [0, self.steps], key)
        self.rows = rows[1]
        self.before, self.after = (float(batch.tasks.loss(r, "support", key)) for r in rows)
        if not np.isfinite(self.after):
            raise UserError("adapt", "adapting to it diverged", "check the scale of the numbers, or lower steps")

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        return {e["name"]: to_numpy(self.rows[0, e["offset"]:e["offset"] + int(np.prod(e["shape"]))].reshape(e["shape"])).copy() for e in self._run.about["layout"]}

    def to_torch(self) -> torch.nn.Module:
        """The adapted network as a plain torch.nn.Module; in the units that the network sees."""
        from ._modules import to_torch

        return to_torch(self._run.experiment, self.rows)

    def predict(self, x: Any) -> Any:
        """What the network says of x [M] or [M, in...]: in units of the data; labels where targets are labels. Returns what x is:
        an array, a tensor, or a Series with x's index."""
        out = self._outputs(x)
        if not self._classes:
            y = np.asarray(self._y.detach().cpu() if isinstance(self._y, torch.Tensor) else self._y)
            return returns_like(x)(out[:, 0] if out.shape[1] == 1 and y.ndim < 2 else out)
        best = out.argmax(1)
        return returns_like(x)(np.array(self._labels)[best] if self._labels else best)

    def predict_proba(self, x: Any) -> Any:
        """The chance of each label, [M, classes]; labels stand in `labels`."""
        if not self._classes:
            raise UserError("predict_proba", "targets are numbers", "use predict")
        out = self._outputs(x)
        e = np.exp(out - out.max(1, keepdims=True))
        return returns_like(x)(e / e.sum(1, keepdims=True))

    @property
    def labels(self) -> list:
        return list(self._labels) or list(range(self._run.about["out"]))

    def _outputs(self, x: Any) -> np.ndarray:
        _, _, qx = self._read(x)
        out = to_numpy(self._run.experiment.forward(self.rows, qx.to(self.rows.dtype)))[0].astype(np.float64)
        if self._labels:
            out = out[:, :len(self._labels)]
        return out * self._scale + self._shift

    # ---- reading: by the family's own reader where its tasks are rows of a table, so units are those of the data

    def _read(self, query: Any):
        """support x and y, and query x, as the network takes them: [1, K, ...] each."""
        dtype = self._run.state.theta.dtype
        self._labels, self._scale, self._shift = [], 1.0, 0.0
        if self._names is None:
            x, y = self._points(self._x, "x"), self._targets()
            return tensor(x[None]).to(dtype), y[None], None if query is None else tensor(self._points(query, "x")[None])
        rows = self._rows(self._x, "x")
        y = self._cells(len(rows))
        asked = [] if query is None else self._rows(query, "x")
        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, "examples.csv")
            with open(path, "w", newline="", encoding="utf-8") as text:
                out = csv.writer(text)
                out.writerow(self._names)
                out.writerows([*r, t] for r, t in zip(rows, y))
                out.writerows([*r, ""] for r in asked)
            try:
                read = self._run.experiment.read_examples(path)
            except UserError as e:
                raise UserError("examples" + e.place.split("examples.csv", 1)[-1], e.wrong, e.remedy) from None
        self._labels = read["labels"]
        if read["scale"]:
            self._scale, self._shift = read["scale"][0], read["shift"][0]
        sy = read["support_y"] if self._classes else read["support_y"].to(dtype)
        return read["support_x"].to(dtype), sy, read["query_x"]

    def _points(self, x: Any, place: str) -> np.ndarray:
        sizes = self._run.about["in"]
        a = numbers(x, place)
        if a.ndim == 1 and sizes == [1]:
            a = a[:, None]
        if list(a.shape[1:]) != sizes or a.ndim < 2:
            raise UserError(place, f"has shape {list(a.shape)}", f"[K, {', '.join(map(str, sizes))}] would be right")
        return a

    def _targets(self) -> torch.Tensor:
        k, about = len(self._x), self._run.about
        y = numbers(self._y, "y")
        if self._classes:
            if y.shape != (k,) or (y != np.round(y)).any() or y.min() < 0 or y.max() >= about["out"]:
                raise UserError("y", f"is no list of {k} labels", f"labels are 0 to {about['out'] - 1}")
            return tensor(y, torch.int64)
        if y.ndim == 1 and about["out"] == 1:
            y = y[:, None]
        if y.shape != (k, about["out"]):
            raise UserError("y", f"has shape {list(y.shape)}", f"[{k}, {about['out']}] would be right")
        return tensor(y).to(self._run.state.theta.dtype)

    def _rows(self, x: Any, place: str) -> list:
        inputs = self._names[:-1]
        if hasattr(x, "columns"):
            missing = [n for n in inputs if n not in x.columns]
            if missing:
                raise UserError(place, f'has no column "{missing[0]}"', "its columns are to be " + ", ".join(inputs))
            x = x[inputs]
        return [[repr(float(v)) for v in row] for row in self._points(x, place)]

    def _cells(self, k: int) -> list:
        y = self._y
        if self._classes and not isinstance(y, torch.Tensor):
            cells = [str(v.item() if hasattr(v, "item") else v) for v in y]
        else:
            a = numbers(y, "y")
            a = a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a
            if a.ndim != 1:
                raise UserError("y", f"has shape {list(a.shape)}", f"[{k}] would be right")
            cells = [repr(int(v)) if self._classes and v == int(v) else repr(float(v)) for v in a]
        if len(cells) != k:
            raise UserError("y", f"has {len(cells)} targets, and x {k} rows", "give a target for each row")
        return cells


class _Progress:
    """One line that rewrites itself; where nobody watches, a line for each tenth."""

    def __init__(self, metric: str):
        self.metric, self.tenth = metric, 0
        self.live = sys.stderr.isatty() or "ipykernel" in sys.modules

    def __call__(self, p: dict) -> None:
        tenth = p["round"] * 10 // p["rounds"]
        last = p["round"] == p["rounds"]
        if not self.live and tenth <= self.tenth and not last:
            return
        self.tenth = tenth
        left = int(max(0, p["seconds_left"]))
        line = f"round {p['round']}/{p['rounds']} ({100 * p['round'] // p['rounds']}%)  {p['rounds_per_s']:.3g} rounds/s  {left // 60}:{left % 60:02} left  loss {p['loss']:.4g}"
        if p["score"] == p["score"]:
            line += f"  validation {self.metric} {p['score']:.4g}"
        if p["epsilon"] == p["epsilon"]:
            line += f"  epsilon {p['epsilon']:.3g}"
        print(("\r\033[K" + line) if self.live else line, end="" if self.live and not last else "\n", file=sys.stderr, flush=True)


def _listeners(loggers: Any) -> list[Callable]:
    """One logger or several. Raises UserError."""
    if callable(loggers):
        return [loggers]
    out = list(loggers) if isinstance(loggers, Iterable) and not isinstance(loggers, (str, Mapping)) else [loggers]
    for listener in out:
        if not callable(listener):
            raise UserError("loggers", f"{listener!r} is not callable", "give functions of a dict, or those of symma.loggers")
    return out


def _folder(out: Any, name: str) -> str:
    """`out`, or else runs/NAME with the first number that is free. The latter is made here: of several that begin at once each has its own."""
    if out is not None:
        return os.fspath(out)
    base, n = os.path.join("runs", name), 1
    folder = base
    while True:
        try:
            os.makedirs(folder)
            return folder
        except FileExistsError:
            n += 1
            folder = f"{base}-{n}"
        except OSError:
            return folder  # the engine says what is the matter with it


def _leave(folder: str) -> None:
    """Takes away a folder that was made for a run that did not begin."""
    try:
        os.rmdir(folder)
    except OSError:
        pass  # something is in it


def train(experiment: Any = None, *, out: Any = None, resume: bool = False, force: bool = False, device: str = "cpu",
          progress: Any = True, loggers: Union[Callable, Iterable[Callable]] = (), threads: Optional[int] = None, **settings: Any) -> Run:
    """Trains a fleet, judges it on unseen tasks, writes its report; returns the run.

    experiment: an experiment file, or a dict of its sections
    out:        the run's folder; runs/NAME unless given, with a number where that is taken
    resume:     go on with the run in `out`; force: replace it
    progress:   True for a line that rewrites itself, False, or a function of a dict (round, rounds, loss, score, ...)
    loggers:    a function of each line of the log, or several; `symma.loggers` has some
    settings:   lie over the experiment: rounds=2000, learner={"order": 1}, exchange="ring", task=MyTasks()

    Ctrl-C stops after the round and saves: what comes back is the run so far, without a summary; resume=True goes on.
    Raises UserError.
    """
    if device not in ("cpu", "cuda"):
        raise UserError("device", f'"{device}" is not known', "one of cpu, cuda")
    if threads is not None:
        _engine.set_threads(threads)
    if experiment is None and resume:
        if out is None:
            raise UserError("symma.train", "no run to resume", "name its folder: out=...")
        experiment = os.path.join(os.fspath(out), "experiment.toml")
    elif experiment is None and not settings:
        raise UserError("symma.train", "no experiment", "name a file, such as examples/points/collaborate.toml, or give a dict")
    e = _experiment(experiment, settings, "symma.train", os.fspath(out) if resume and out is not None else "")
    about = e.about
    listeners = _listeners(loggers)
    folder = _folder(out, about["name"])

    def tell(row: dict) -> None:
        for listener in listeners:
            listener(row)

    show = _Progress(about["metric"]) if progress is True else (progress or None)
    ended, begun = None, []
    try:
        for listener in listeners:
            if hasattr(listener, "begin"):
                listener.begin(about, folder)
            begun.append(listener)
        ended = _engine.train(e, folder, resume, force, device, show, tell if listeners else None)
        run = Run(folder, e, ended.state)
        if ended.interrupted:
            print(f"\nstopped after round {ended.state.round} and saved; go on with: symma.train(resume=True, out={folder!r})", file=sys.stderr)
        else:
            _engine.conclude(e, folder, device, ended.state)
            for listener in listeners:
                if hasattr(listener, "summary"):
                    listener.summary(run.summary)
    finally:
        if ended is not None:
            ended.state.leave()  # or nobody could go on with the run while it is looked at
        if out is None:
            _leave(folder)
        for listener in begun:
            if hasattr(listener, "end"):
                listener.end()
    return run


def open_run(folder: Any) -> Run:
    """The run in a folder."""
    path = os.fspath(folder)
    if not os.path.exists(os.path.join(path, "experiment.toml")):
        raise UserError(path, "holds no run", "name a folder that symma.train wrote")
    return Run(path)
