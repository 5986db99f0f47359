"""What the documents show runs."""
import os
import re
import subprocess
import sys


def test_the_notebooks_run_and_are_what_is_beside_them(root):
    done = subprocess.run([sys.executable, root / "scripts/notebooks", "--check"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("runs") >= 4


def test_the_articles_program(root):
    done = subprocess.run([sys.executable, root / "examples/article.py"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    tasks = re.findall(r"^Task (\d): Accuracy = ([\d.]+)   \(before adapting ([\d.]+), by chance 0.33\)$", done.stdout, re.M)
    assert [t[0] for t in tasks] == ["0", "1", "2", "3"]
    after, before = (sum(float(t[i]) for t in tasks) / 4 for i in (1, 2))
    assert after > 0.7 and after > before


def test_the_blocks_of_the_page_run(root, tmp_path):
    """docs/python.md, but for the block that needs an environment of the reader's."""
    blocks = re.findall(r"```python\n(.*?)```", (root / "docs/python.md").read_text(), re.S)
    ours = [b for b in blocks if "Meeting" not in b]
    assert len(ours) >= 3 and len(blocks) - len(ours) == 1
    for block in ours:
        block = re.sub(r"rounds=500", "rounds=5", block).replace("range(1000)", "range(5)").replace('"examples/', f'"{root}/examples/')
        done = subprocess.run([sys.executable, "-c", "import symma\n" + block], capture_output=True, text=True, timeout=300, cwd=tmp_path, env=os.environ)
        assert done.returncode == 0, block + done.stderr


def test_ppo_in_a_hundred_lines_of_torch_learns_in_a_world(root):
    """From what chance earns (.40 of 1) to nearly all, in some 130,000 steps."""
    sys.path.insert(0, str(root / "examples"))
    import ippo

    assert len((root / "examples/ippo.py").read_text().splitlines()) <= 100
    earned = ippo.train("foraging", 40, rows=5, columns=5, agents=2, foods=1, limit=25, log=None)
    assert sum(earned[:3]) / 3 < 0.55 and sum(earned[-3:]) / 3 > 0.9
