"""On Ray (pip install 'symma[ray]'): a fleet in actors, sweeps as tasks, and settings searched by Ray Tune.

    run = symma.ray.train("exp.toml", num_workers=8)                     # blocks of agents in actors; the bits of one process
    symma.ray.sweep("exp.toml", {"seed": [1, 2, 3]})                     # every combination a task
    tune.Tuner(symma.ray.trainable("exp.toml"), param_space={"learner.inner_lr": tune.loguniform(1e-3, 1)}).fit()

Ray says who is where and brings back who dies; rows go by the engine's own transport (docs/processes.md), six to fifteen times
faster than through Ray's objects. The run's folder must be one that all workers see. docs/ray.md has the rest.
"""
from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import threading
import time
from typing import Any, Callable, Iterable, Mapping, Optional

try:
    import ray
except ImportError:
    raise ImportError("symma.ray needs ray: pip install 'symma[ray]'") from None

from . import _engine
from ._checks import whole
from ._settings import experiment as _experiment, lay, nested, over as _over
from .errors import UserError
from .parts import registered, take_up
from .run import Run, _Progress, _folder, _leave, _listeners, flat, train as _train_here
from .sweeps import Plan, Sweep, teller

__all__ = ["start", "sweep", "train", "trainable"]


def start(address: Optional[str] = None, *, tries: int = 4, **options: Any) -> None:
    """ray.init, unless this process is connected already, and again where it fails: on a busy machine Ray's own agent is often not
    up in the time that Ray gives it. Each failure is said on standard error."""
    if ray.is_initialized():
        return
    if tries < 1:
        raise UserError("tries", f"is {tries}", "give 1 or more")
    if address is None and "RAY_ADDRESS" not in os.environ:
        options.setdefault("include_dashboard", False)
    for k in range(1, tries + 1):
        try:
            ray.init(address=address, **options)
            return
        except ConnectionError as e:
            raise UserError("address", f"no Ray answers there ({_first_line(e)})", "start one with: ray start --head") from None
        except (TypeError, ValueError, UserError):
            raise  # a wrong option stays one
        except Exception as e:
            ray.shutdown()
            again = f"trying again ({k + 1} of {tries})" if k < tries else f"given up after {tries} tries"
            print(f"symma.ray: Ray did not start ({_first_line(e)}); {again}", file=sys.stderr, flush=True)
            if k == tries:
                raise
            time.sleep(2 * k)


def _first_line(e: BaseException) -> str:
    return next(iter(str(e).strip().splitlines()), type(e).__name__)[:200]


# ---- what a worker is told


def _order(source: Any, settings: Mapping[str, Any], origin: str, built: Any = None) -> bytes:
    """An experiment for another process: what it is made of, the parts of Python's that it names, and where modules and data lie."""
    from ray import cloudpickle

    file, laid = lay(source, settings, origin)
    names = json.dumps((built or _engine.Experiment.build(file, laid, origin)).about["settings"])
    named = [r for r in registered() if json.dumps(r[1]) in names]
    try:
        parcel = cloudpickle.dumps(named)
    except Exception as e:
        raise UserError(origin, f"a part cannot be sent to another process ({_first_line(e)})", "keep locks, files and threads out of it") from None
    return cloudpickle.dumps({"file": os.path.abspath(file) if file else "", "laid": laid, "folder": os.getcwd(), "path": sys.path, "parts": parcel})


def _taken(order: bytes) -> tuple[str, dict]:
    """The file and what lies over it, in the process that does it: from then on as if it stood where the order was given."""
    from ray import cloudpickle

    o = cloudpickle.loads(order)
    sys.path += [p for p in o["path"] if p not in sys.path]
    if os.path.isdir(o["folder"]):
        os.chdir(o["folder"])
    take_up(cloudpickle.loads(o["parts"]))
    return o["file"], o["laid"]


class _Worker:
    """A process of a fleet. `play` is what it is for; the other methods are answered beside it, from other threads."""

    def __init__(self, place: int, places: int, threads: int):
        self.place, self.places = place, places
        self._told: Optional[dict] = None
        self._stop = False
        _engine.set_threads(threads)

    def here(self) -> tuple[str, int, int]:
        with socket.socket() as s:
            s.bind(("", 0))
            return ray.util.get_node_ip_address(), s.getsockname()[1], os.getpid()

    def look(self) -> Optional[dict]:
        return self._told

    def stop(self) -> None:
        self._stop = True

    def play(self, order: bytes, folder: str, resume: bool, force: bool, host: str, port: int, secret: str, patience: float) -> tuple[int, bool]:
        self._stop = False
        e = _engine.Experiment.build(*_taken(order), "symma.ray.train", folder if resume else "")

        def tell(progress: dict) -> None:
            self._told = progress

        # Who is gone is Ray's to say, so nobody is given up here.
        return _engine.train_part(e, folder, resume, force, self.place, self.places, host, port, secret, 1e9, patience, tell, lambda: self._stop)


class _Gone(Exception):
    """A worker is dead, or does not answer."""

    def __init__(self, place: int, why: str):
        super().__init__(why)
        self.place, self.why = place, why


class _Log:
    """The lines that a run's log gets while it is written, each once."""

    def __init__(self, folder: str, listeners: list):
        self._path, self._listeners, self._at, self._last = os.path.join(folder, "metrics.jsonl"), listeners, 0, 0

    def skip_what_is_there(self) -> None:
        for row in self._rows():
            self._last = max(self._last, row.get("round", 0))

    def again(self) -> None:
        self._at = 0  # a run that is resumed cuts its log at the checkpoint

    def _rows(self) -> Iterable[dict]:
        try:
            with open(self._path, "rb") as text:
                text.seek(self._at)
                for line in text:
                    if not line.endswith(b"\n"):
                        break
                    self._at += len(line)
                    try:
                        yield json.loads(line)
                    except json.JSONDecodeError:
                        return
        except FileNotFoundError:
            return

    def tell(self) -> None:
        if not self._listeners:
            return
        for row in self._rows():
            if row.get("round", 0) <= self._last:
                continue
            self._last = row["round"]
            for listener in self._listeners:
                listener(row)


def train(experiment: Any = None, *, num_workers: int = 2, out: Any = None, resume: bool = False, force: bool = False, progress: Any = True,
          loggers: Iterable[Callable] = (), threads: int = 1, max_failures: int = 3, silence: float = 60, wait: float = 300,
          address: Optional[str] = None, worker_options: Optional[dict] = None, **settings: Any) -> Run:
    """As symma.train, in `num_workers` actors: each learns with its own agents, and the bits are those of one process.

    out:            a folder that all workers see
    threads:        of each worker; so many processors of Ray's it takes
    max_failures:   times that workers may die. Whoever dies is brought back by Ray, and all go on from the last checkpoint
                    (checkpoint_every=...): what comes out is what would have come unbroken
    silence:        seconds after which a worker that does not answer is taken for dead
    wait:           seconds that workers are waited for before the first round
    address:        of a Ray that runs; one is started on this machine unless given, and left running
    worker_options: more for Ray's `.options(...)` of each actor: resources, runtime_env, scheduling_strategy, ...

    Raises UserError; RuntimeError where workers died too often. What a part of one's own raises arrives as itself.
    """
    places = whole(num_workers, "num_workers", 1)
    cores = whole(threads, "threads", 1)
    failures = whole(max_failures, "max_failures", 0)
    origin = "symma.ray.train"
    if experiment is None and resume:
        if out is None:
            raise UserError(origin, "no run to resume", "name its folder: out=...")
        experiment = os.path.join(os.fspath(out), "experiment.toml")
    elif experiment is None and not settings:
        raise UserError(origin, "no experiment", "name a file, or give a dict")
    e = _experiment(experiment, settings, origin, os.fspath(out) if resume and out is not None else "")
    about = e.about
    _engine.shares(e, places)  # whether so many can
    folder = os.path.abspath(_folder(out, about["name"]))
    listeners = _listeners(loggers)
    if places == 1:
        try:
            return _train_here(experiment, out=folder, resume=resume, force=force, progress=progress, loggers=listeners, threads=cores, **settings)
        finally:
            if out is None:
                _leave(folder)
    order = _order(experiment, settings, origin, e)
    start(address, **({} if address or "RAY_ADDRESS" in os.environ else {"num_cpus": max(os.cpu_count() or 1, places * cores)}))
    actor = ray.remote(_Worker).options(**{"num_cpus": cores, "max_restarts": -1, "max_task_retries": 0, "max_concurrency": 4, **(worker_options or {})})
    workers = [actor.remote(p, places, cores) for p in range(places)]
    show = _Progress(about["metric"]) if progress is True else (progress or None)
    log = _Log(folder, listeners)
    if resume:
        log.skip_what_is_there()
    try:
        for listener in listeners:
            if hasattr(listener, "begin"):
                listener.begin(about, folder)
        for failed in range(failures + 1):
            try:
                rounds, done = _attempt(workers, order, folder, resume or failed > 0, force and failed == 0, show, log, silence, wait)
                break
            except _Gone as gone:
                again = "going on from the last checkpoint" if failed < failures else "given up"
                print(f"\nsymma.ray: worker {gone.place} of {places} {gone.why}; {again}", file=sys.stderr, flush=True)
                if failed == failures:
                    raise RuntimeError(f"workers died {failed + 1} times; go on with: symma.ray.train(resume=True, out={folder!r})") from None
                # The others wait for letters that will not come: all begin again, each as Ray makes it anew.
                for w in workers:
                    ray.kill(w, no_restart=False)
                log.again()
        log.tell()
        run = Run(folder, e)
        if done:
            for listener in listeners:
                if hasattr(listener, "summary"):
                    listener.summary(run.summary)
        else:
            print(f"\nstopped after round {rounds} and saved; go on with: symma.ray.train(resume=True, out={folder!r})", file=sys.stderr)
        return run
    finally:
        for w in workers:
            ray.kill(w)
        if out is None:
            _leave(folder)
        for listener in listeners:
            if hasattr(listener, "end"):
                listener.end()


def _attempt(workers: list, order: bytes, folder: str, resume: bool, force: bool, show: Optional[Callable], log: _Log, silence: float,
             wait: float) -> tuple[int, bool]:
    """Until all are done, or somebody is gone."""
    host, port = _meeting_place(workers, wait)
    secret = secrets.token_hex(32)
    plays = [w.play.remote(order, folder, resume, force, host, port, secret, wait) for w in workers]
    looks = [w.look.remote() for w in workers]
    asked = [time.monotonic()] * len(workers)
    open_, told, result, asked_to_stop = set(range(len(workers))), None, (0, False), False

    def hear(p: int) -> None:
        nonlocal told
        seen = _answer(looks[p], p)
        if p == 0 and show and seen and seen != told:
            told = seen
            show(seen)

    while open_:
        try:
            ray.wait([plays[p] for p in open_], num_returns=len(open_), timeout=0.2)
            for p in sorted(open_):
                if ray.wait([plays[p]], timeout=0)[0]:
                    ended = _answer(plays[p], p)
                    open_.discard(p)
                    result = ended if p == 0 else result
            for p in sorted(open_):
                since = time.monotonic() - asked[p]
                if ray.wait([looks[p]], timeout=0)[0]:
                    if p == 0 or since > 2:
                        hear(p)
                        looks[p], asked[p] = workers[p].look.remote(), time.monotonic()
                elif since > silence:
                    raise _Gone(p, f"has not answered for {silence:.0f} s")
            log.tell()
        except KeyboardInterrupt:
            if asked_to_stop:
                raise
            asked_to_stop = True
            workers[0].stop.remote()  # all stop at the next line of the log, and save
    looks[0] = workers[0].look.remote()
    hear(0)
    return result


def _meeting_place(workers: list, wait: float) -> tuple[str, int]:
    until = time.monotonic() + wait
    at = None
    for p, w in enumerate(workers):
        while True:
            try:
                here = ray.get(w.here.remote(), timeout=max(0.1, until - time.monotonic()))
                break
            except ray.exceptions.GetTimeoutError:
                have = ray.cluster_resources().get("CPU", 0)
                raise UserError("num_workers", f"only {p} of {len(workers)} workers came up in {wait:.0f} s, and Ray has {have:g} processors",
                                "start fewer, or a larger Ray, or wait=... longer") from None
            except ray.exceptions.RayError as e:
                # It is being brought back.
                if time.monotonic() > until:
                    raise _Gone(p, f"does not come back ({_first_line(e)})") from None
                time.sleep(0.3)
        at = at or here[:2]
    return at


def _answer(ref: Any, place: int) -> Any:
    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError as e:
        raise (e.cause if isinstance(e.cause, BaseException) else e) from None
    except ray.exceptions.RayError as e:
        raise _Gone(place, f"died ({type(e).__name__})") from None


# ---- sweeps


def _one_of_a_sweep(order: bytes, folder: str, threads: int) -> Optional[str]:
    """A run of a sweep; what was wrong, in words."""
    import symma

    try:
        file, laid = _taken(order)
        symma.train(file or None, out=folder, resume=os.path.exists(folder), progress=False, threads=threads, **laid)
        return None
    except UserError as e:
        return str(e)


def sweep(experiment: Any = None, over: Any = (), *, out: Any = None, force: bool = False, progress: Any = True, threads: int = 1,
          max_failures: int = 3, address: Optional[str] = None, task_options: Optional[dict] = None, **settings: Any) -> Sweep:
    """As symma.sweep, every run a task of Ray's on `threads` processors; a run whose worker dies goes on from its checkpoint.

    task_options: more for Ray's `.options(...)` of each task. Raises UserError.
    """
    cores = whole(threads, "threads", 1)
    plan = Plan(experiment, over, out, force, settings)
    due = plan.due()
    tell = teller(progress, len(plan.all), len(plan.all) - len(due))
    start(address)
    task = ray.remote(_one_of_a_sweep).options(**{"num_cpus": cores, "max_retries": whole(max_failures, "max_failures", 0), **(task_options or {})})
    refs: dict[Any, str] = {}
    why: dict[str, str] = {}
    for c in due:
        try:
            order = _order(plan.experiment, plan.of(c), "symma.ray.sweep")
        except UserError as e:
            why[c["name"]] = str(e)
            tell(c["name"], str(e))
            continue
        refs[task.remote(order, plan.run_folder(c), cores)] = c["name"]
    left = list(refs)
    try:
        while left:
            ready, left = ray.wait(left, num_returns=1)
            name = refs[ready[0]]
            try:
                words = ray.get(ready[0])
            except ray.exceptions.RayTaskError as e:
                raise (e.cause if isinstance(e.cause, BaseException) else e) from None
            except ray.exceptions.RayError as e:
                words = f"its worker died ({type(e).__name__})"
            if words:
                why[name] = words
            tell(name, words)
    finally:
        for ref in left:
            ray.cancel(ref, force=True)
    return plan.conclude(why)


# ---- Ray Tune


def trainable(experiment: Any = None, *, threads: int = 1, loggers: Iterable[Callable] = (), **settings: Any) -> Callable[[dict], None]:
    """What Ray Tune searches the settings of: `tune.Tuner(symma.ray.trainable("exp.toml"), param_space={"learner.inner_lr": ...})`.

    A trial's config lies over the settings, by dotted keys ("learner.inner_lr") or by sections ({"learner": {...}}). Every line of the
    log is reported: `loss`, `score` (the last validation, after the most steps of adaptation), `round`, and the names that symma's
    loggers have. The last report has the run's judgement on unseen tasks beside it, `test/METRIC/STEPS`, and `finished` 1; `score` stays
    the last validation, so what Tune finds is not chosen on test tasks. Whether more is better, `trainable.mode` says ("min" or "max").
    The run's folder is `run` in the trial's. Raises UserError.
    """
    whole(threads, "threads", 1)
    e = _experiment(experiment, settings, "symma.ray.trainable")  # what is wrong is told here, not in each trial
    order, listeners = _order(experiment, settings, "symma.ray.trainable", e), _listeners(loggers)

    def symma_trial(config: dict) -> None:
        from ray import tune

        import symma

        folder = os.path.join(tune.get_context().get_trial_dir(), "run")
        file, laid = _taken(order)
        score = {"score": float("nan")}

        def hear(row: dict) -> None:
            validation = row.get("validation")
            if validation and validation["mean"]:
                last = validation["mean"][-1]
                score["score"] = float("nan") if last is None else last

        def report(row: dict) -> None:
            hear(row)
            numbers = {k: v for k, v in flat(row).items() if isinstance(v, (int, float))}
            tune.report({**numbers, **score, "finished": 0})

        _Log(folder, [hear]).tell()  # of a trial that goes on: it may have ended, and say no line more
        run = symma.train(file or None, out=folder, resume=os.path.exists(os.path.join(folder, "experiment.toml")), progress=False,
                          threads=threads, loggers=[report, *listeners], **_over(laid, nested(config)))
        judged = run.summary["eval"]
        tune.report({**score, "round": run.round, "finished": 1,
                     **{f"{judged['split']}/{judged['metric']}/{k}": m for k, m in zip(judged["steps"], judged["mean"]) if m is not None}})

    symma_trial.mode = "max" if e.about["higher_is_better"] else "min"  # type: ignore[attr-defined]
    return symma_trial

