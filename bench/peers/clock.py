"""The clock of peers that are measured by the processor's time."""
import time


def calls_per_cpu_s(step, seconds):
    """How often a second of processor time a step that ends when its work is done; the first call, which compiles, is not counted."""
    step()
    calls, cpu = 0, time.process_time()
    while time.process_time() - cpu < seconds:
        step()
        calls += 1
    return calls / (time.process_time() - cpu)
