"""Listeners of a run's log: each is called with every line, a dict as docs/files.md has it of metrics.jsonl.

TensorBoard's files and metrics.jsonl are written anyway. A listener of one's own is a function of a dict; where it has them,
`begin(about, folder)` is called first, `summary(dict)` at the end of a whole run, and `end()` last, whatever happens.
"""
from __future__ import annotations

import csv as _csv
import os
from typing import Any, Optional

from .run import flat


class CSV:
    """A table of the log's numbers: a row for each line; `path` is metrics.csv in the run's folder unless given.

    A number that first appears in a later line gets its column then, and the file is written anew.
    """

    def __init__(self, path: Optional[str] = None):
        self.path, self._rows, self._names = path, [], []

    def begin(self, about: dict, folder: str) -> None:
        self._rows, self._names = [], []
        self._path = self.path or os.path.join(folder, "metrics.csv")

    def __call__(self, row: dict) -> None:
        row = flat(row)
        new = [n for n in row if n not in self._names]
        self._names += new
        self._rows.append(row)
        with open(self._path, "w" if new else "a", newline="", encoding="utf-8") as text:
            out = _csv.DictWriter(text, self._names, restval="")
            if new:
                out.writeheader()
            out.writerows(self._rows if new else [row])


class WandB:
    """Weights & Biases: `symma.loggers.WandB(project="fleet")`; arguments go to wandb.init."""

    def __init__(self, **arguments: Any):
        import wandb  # pip install wandb

        self._wandb, self._arguments = wandb, arguments

    def begin(self, about: dict, folder: str) -> None:
        self._run = self._wandb.init(**{"name": about["name"], "config": about["settings"], **self._arguments})

    def __call__(self, row: dict) -> None:
        self._run.log({k: v for k, v in flat(row).items() if v is not None}, step=row["round"])

    def summary(self, summary: dict) -> None:
        e = summary["eval"]
        self._run.summary.update({f"{e['split']}/{e['metric']}/{k}": m for k, m in zip(e["steps"], e["mean"])})

    def end(self) -> None:
        self._run.finish()


class MLflow:
    """MLflow: `symma.loggers.MLflow(experiment_name="fleet")`; arguments go to mlflow.start_run, but for these two."""

    def __init__(self, experiment_name: Optional[str] = None, tracking_uri: Optional[str] = None, **arguments: Any):
        import mlflow  # pip install mlflow

        self._mlflow, self._arguments = mlflow, arguments
        if tracking_uri:
            mlflow.set_tracking_uri(tracking_uri)
        if experiment_name:
            mlflow.set_experiment(experiment_name)

    def begin(self, about: dict, folder: str) -> None:
        self._folder = folder
        self._mlflow.start_run(**{"run_name": about["name"], **self._arguments})
        flat_settings = {f"{section}.{key}" if section else key: value for section, keys in about["settings"].items() for key, value in keys.items()}
        self._mlflow.log_params({k: str(v)[:250] for k, v in flat_settings.items()})

    def __call__(self, row: dict) -> None:
        numbers = {k: float(v) for k, v in flat(row).items() if isinstance(v, (int, float))}
        self._mlflow.log_metrics(numbers, step=row["round"])

    def summary(self, summary: dict) -> None:
        e = summary["eval"]
        self._mlflow.log_metrics({f"{e['split']}/{e['metric']}/{k}": m for k, m in zip(e["steps"], e["mean"]) if m is not None})
        self._mlflow.log_artifact(os.path.join(self._folder, "report.html"))

    def end(self) -> None:
        self._mlflow.end_run()
