"""The package as it is installed: its import, its types, its threads and forks."""
import os
import pathlib
import pickle
import subprocess
import sys
import textwrap

import symma


def run(code: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=300, env={**os.environ, **env})


def last_line(done: subprocess.CompletedProcess) -> str:
    return done.stderr.strip().splitlines()[-1]


def test_another_torch_is_refused_in_one_line_before_it_crashes(tmp_path):
    (tmp_path / "torch" / "lib").mkdir(parents=True)
    (tmp_path / "torch" / "__init__.py").write_text("")
    (tmp_path / "torch" / "version.py").write_text("__version__ = '2.15.0+cu130'\n")
    (tmp_path / "torch" / "lib" / "libtorch_cpu.so").write_text("")
    path = str(tmp_path) + os.pathsep + os.environ["PYTHONPATH"]
    for code in ("import symma", "import torch, symma"):
        done = run(code, PYTHONPATH=path)
        assert done.returncode == 1
        line = last_line(done)
        assert line.startswith("ImportError: symma was built against torch 1.13") and "2.15.0+cu130" in line and "pip install" in line


def test_another_libtorch_that_is_loaded_is_refused(tmp_path):
    """A foreign libtorch that came in by another way, such as another extension's."""
    source = tmp_path / "empty.c"
    source.write_text("int nothing;\n")
    library = tmp_path / "libtorch_cpu.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    done = run(f"import ctypes; ctypes.CDLL({str(library)!r}); import symma")
    assert done.returncode == 1
    assert last_line(done).startswith("ImportError: symma was built against") and str(library) in last_line(done)


def test_a_python_without_torch_is_told_so(tmp_path):
    done = run("""
        import sys
        class Hide:
            def find_spec(self, name, path=None, target=None):
                if name == "torch": raise ModuleNotFoundError(name)
        sys.path = [p for p in sys.path if "dist-packages" not in p]
        import symma
    """)
    assert done.returncode == 1
    assert "this Python has none" in last_line(done) or "No module named" in last_line(done)


def test_it_is_typed():
    folder = pathlib.Path(symma.__file__).parent
    assert (folder / "py.typed").exists()
    stub = (folder / "_engine.pyi").read_text()
    assert "torch.Tensor" in stub and "class Key" in stub and "def train(" in stub


def test_every_public_name_says_what_it_is():
    for name in symma.__all__:
        assert getattr(getattr(symma, name), "__doc__", None), name


def test_errors_keep_their_parts_apart_and_travel():
    e = pickle.loads(pickle.dumps(symma.UserError("place", "wrong", "remedy")))
    assert (e.place, e.wrong, e.remedy) == ("place", "wrong", "remedy") and str(e) == "place: wrong; remedy"


def test_keys_are_values():
    a = symma.Key(7)
    assert a.split("x", 1) == a.split("x", 1) != a.split("x", 2)
    assert (a.normal([3]) == a.normal([3])).all() and sorted(a.permutation(5)) == [0, 1, 2, 3, 4]
    assert pickle.loads(pickle.dumps(a)) == a
    u = a.uniform([10000], -1, 3)
    assert u.min() >= -1 and u.max() < 3 and abs(u.mean() - 1) < 0.05


FLEET = """
    import os, sys, symma
    symma.set_threads(2)
    settings = dict(agents=40, task={"kind": "sinusoid"}, model={"hidden": [16]}, eval={"tasks": 40})
    def play():
        fleet = symma.Fleet("mlp", {"kind": "maml"}, "sinusoid", agents=40)
        for _ in range(3): fleet.round()
        return fleet.theta
"""


def test_a_fork_has_threads_of_its_own_and_ends():
    done = run(FLEET + """
    here = play()
    child = os.fork()
    if child == 0:
        same = bool((play() == here).all())
        sys.exit(0 if same else 3)       # through every destructor, where threads are joined
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert bool((play() == here).all())
    """)
    assert done.returncode == 0, done.stderr


def test_two_threads_may_train_beside_each_other():
    done = run(FLEET + """
    import threading
    want, got = play(), []
    threads = [threading.Thread(target=lambda: got.append(play())) for _ in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert len(got) == 4 and all(bool((g == want).all()) for g in got)
    """)
    assert done.returncode == 0, done.stderr
