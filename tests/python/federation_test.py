"""A federation whose agents and server are programs apart, with letters carried by hand: what Flower carries (flower_test.py)."""
import json

import pytest
import torch

import symma
import symma._engine as engine

FLEET = {"name": "fleet", "agents": 5, "rounds": 12, "tasks": 2, "task": {"kind": "sinusoid"}, "model": {"kind": "mlp", "hidden": [16]},
         "learner": {"kind": "maml", "inner_lr": 0.02}, "exchange": {"topology": "star"}, "eval": {"tasks": 5, "steps": [0, 1]}}
UPDATES = {"exchange": {"topology": "star", "payload": "updates"}}
LOCAL = {"privacy": {"unit": "agent", "clip": 0.5, "noise": 0.3, "noise_key": "seed"}, **UPDATES}
AT_SERVER = {"privacy": {"unit": "agent", "where": "server", "clip": 0.5, "noise": 0.3, "noise_key": "seed"}, **UPDATES}

WAYS = {
    "plain": {},
    "every third round": {"exchange": {"topology": "star", "every": 3}},
    "proximal": {"learner": {"kind": "maml", "inner_lr": 0.02, "proximal": 0.1}},
    "updates": UPDATES,
    "a share": {"server": {"share": 0.5}},
    "secret coins": {"server": {"share": 0.9}, **AT_SERVER},
    "by turns": {"server": {"share": 0.5, "sampling": "turns"}, **UPDATES},
    "rows compressed": {"compression": {"kind": "top_k"}},
    "rows compressed, whole answers": {"compression": {"kind": "int8", "answers": False}},
    "updates compressed": {"compression": {"kind": "top_k"}, **UPDATES},
    "silent below": {"compression": {"kind": "top_k", "threshold": 0.02}},
    "noise of agents": LOCAL,
    "noise of agents, compressed": {**LOCAL, "compression": {"kind": "int8"}},
    "noise of the server": AT_SERVER,
    "noise of the server, a moving bound": {**AT_SERVER, "privacy": {**AT_SERVER["privacy"], "adaptive": True}},
    "noise of a tree": {**AT_SERVER, "privacy": {**AT_SERVER["privacy"], "mechanism": "tree"}},
    **{f"server {name}": {"server": {"optimizer": name, "lr": 0.1}, **UPDATES} for name in ("sgd", "adam", "yogi", "adagrad")},
    **{f"compressor {name}": {"compression": {"kind": name}, **UPDATES} for name in symma.parts("Compressor")},
    **{f"rule {name}": {"aggregator": {"kind": name, "bad": 1}} for name in symma.parts("Aggregator")},
}


def settings_of(way: str) -> dict:
    return {**FLEET, **WAYS[way]}


class Federation:
    """Letters carried by hand. Agents are made anew for every message, as by programs that live no longer than one."""

    def __init__(self, settings: dict):
        self.build = lambda: engine.Experiment.build("", settings, "x")
        self.server, n = engine.Server(self.build()), settings["agents"]
        self.states, self.heard, self.said, self.known = [None] * n, [-1] * n, [0] * n, [0] * n
        self.behind, self.lost = [], set()

    def agent(self, i: int):
        a = engine.Agent(self.build(), i)
        if self.states[i] is not None:
            a.load(self.states[i])
        return a

    def up_to_date(self, a, i: int) -> bool:
        number = self.server.exchanges
        if number == 0 or a.exchanges == number:
            return True
        return a.hear(self.server.answer if self.heard[i] >= number - 1 else self.server.whole, number)

    def round(self, absent=(), lost=()):
        number, letters, asked = self.server.exchanges, {}, self.server.asked
        for i in asked:
            if i in absent:
                continue
            a = self.agent(i)
            if not self.up_to_date(a, i):
                self.behind.append(i)
                self.heard[i] = -1
                continue
            letter, scores = a.play(number, i not in self.lost and self.known[i] == self.said[i])
            self.states[i], self.said[i], self.heard[i] = a.state(), number + 1, number
            assert scores["loss"].shape == (1,)
            if i not in lost:
                letters[i] = letter
        self.combine(letters, asked)
        for i in letters:
            self.known[i] = number + 1


    def combine(self, letters, asked, junk=()):
        self.server.combine({**letters, **{i: b"\xff" * 50 for i in junk}})
        self.lost = (self.lost | set(asked)) - set(letters)


@pytest.mark.parametrize("way", WAYS)
def test_apart_they_learn_the_rows_that_one_process_learns(way, tmp_path):
    settings = settings_of(way)
    run = symma.train(settings, out=tmp_path / "run", progress=False)
    f = Federation(settings)
    while f.server.rounds < settings["rounds"]:
        f.round()
    assert f.server.rounds == 12 and not f.behind
    told = run.state.theta[0]
    assert torch.equal(f.server.row, told), (f.server.row - told).abs().max()
    if run.settings["server"]["share"] == 1:
        # Everybody ends with it, and with what else the agents of one process keep.
        for i in range(5):
            a = f.agent(i)
            assert f.up_to_date(a, i) and torch.equal(a.row, run.state.theta[i])


@pytest.mark.parametrize("way", ["plain", "updates", "rows compressed", "updates compressed", "noise of the server", "server adam", "rule median"])
def test_who_is_away_or_starts_anew_takes_up_the_servers_row(way):
    settings = {**settings_of(way), "rounds": 60}
    f = Federation(settings)
    for k in range(20):
        f.round(absent=(3,) if 5 <= k < 9 else (), lost=(1,) if k == 12 else ())
        if k == 14:
            f.states[2], f.said[2] = None, 0  # its program was killed, and what it kept is gone
    assert set(f.behind) <= {2}  # who was away gets a whole answer at once, who lost all after it has said so
    rows = []
    for i in range(5):
        a = f.agent(i)
        assert f.up_to_date(a, i)
        rows.append(a.row)
    assert all(torch.equal(row, rows[0]) for row in rows) and torch.equal(rows[0], f.server.row) and rows[0].isfinite().all()
    assert not f.lost


def test_a_saved_server_is_a_run(tmp_path):
    f = Federation(FLEET)
    for _ in range(12):
        f.round()
    f.server.save(str(tmp_path / "checkpoint.safetensors"))
    (tmp_path / "experiment.toml").write_text(f.build().toml)
    run = symma.open(tmp_path)
    assert run.round == 12 and torch.equal(run.state.theta, f.server.row.repeat(5, 1))
    assert run.adapt([-1, 0, 1], [0.5, 0, 1], steps=3).predict([0.5]).shape == (1,)


def test_an_agent_judges_itself():
    a = Federation(FLEET).agent(2)
    assert [len(v) for v in a.judge("test", 7).values()] == [2]


def test_letters_of_others_are_no_letters(wrong):
    f = Federation(FLEET)
    f.round()
    a = f.agent(0)
    for junk in (b"", b"\0" * 9, b"\xff" * 200, f.server.answer[:-1], f.server.answer + b"\0"):
        wrong(lambda: a.hear(junk, 1), "letter", "cannot be read", "experiment")
    for way in ("plain", "updates", "rows compressed", "server adam", "noise of the server", "rule median"):
        f = Federation(settings_of(way))
        f.round()
        before = f.server.row.clone()
        f.combine({}, range(5), junk=range(5))  # a peer's fault is a value: nothing came
        assert f.server.exchanges == 2 and f.server.row.isfinite().all()
        if way != "noise of the server":  # whose noise is in the sum whoever comes
            assert torch.equal(f.server.row, before) or way == "server adam"
        f.round()
        assert f.server.exchanges == 3 and not torch.equal(f.server.row, before) and not f.behind


def test_what_makes_no_sense_apart_is_refused(wrong):
    def server(**settings):
        return lambda: engine.Server(engine.Experiment.build("", {**FLEET, **settings}, "x"))

    wrong(server(exchange={"topology": "ring"}), "topology", "ring", "star")
    wrong(server(agents=1), "agents", "one", "2 or more")
    wrong(server(server={"secure": True}), "secure", "within one process")
    wrong(server(faults={"lost": 0.1}), "[faults]", "real")
    e = engine.Experiment.build("", FLEET, "x")
    wrong(lambda: engine.Agent(e, 5), "agent", "no agent 5", "0 to 4")
    wrong(lambda: engine.combine(e, torch.zeros(3), None, engine.Key(0)), "rows", "no matrix")


def test_privacy_is_counted():
    f = Federation({**FLEET, **AT_SERVER})
    for _ in range(3):
        f.round()
    told = f.server.privacy
    assert json.dumps(told) and told["epsilon"] > 0
    assert Federation(FLEET).server.privacy is None
