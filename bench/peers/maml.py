"""What the peers of second-order MAML share: their words, and the clock."""
import argparse
import time


def words(doc):
    """The parser of a peer with the options of the set-up."""
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", choices=["mlp", "conv"], default="mlp")
    p.add_argument("--inner-steps", type=int, default=1)
    p.add_argument("--tasks", type=int, default=25)
    p.add_argument("--shots", type=int, default=10)
    p.add_argument("--hidden", type=int, default=40)
    p.add_argument("--seconds", type=float, default=3)
    return p


def rates(step, tasks, seconds):
    """Tasks a second of a step that ends when its work is done, by the wall's and the processor's clock; the first is not counted."""
    step()
    calls, start, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - start < seconds:
        step()
        calls += 1
    return {"tasks_per_s": calls * tasks / (time.perf_counter() - start),
            "tasks_per_cpu_s": calls * tasks / (time.process_time() - cpu)}  # on a machine shared with others, pinned to one core
