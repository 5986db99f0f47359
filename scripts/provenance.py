"""Where a number comes from: the processor and the commit that it was made on."""
import pathlib
import platform
import subprocess

HERE = pathlib.Path(__file__).resolve().parent.parent


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def commit():
    """The commit, and "and changes" where sources or examples differ from it."""
    def git(*words):
        return subprocess.run(["git", "-C", HERE, *words], capture_output=True, text=True).stdout.strip()

    dirty = git("status", "--porcelain", "--untracked-files=no", "--", "symma", "examples")
    return git("rev-parse", "--short", "HEAD") + (" and changes" if dirty else "")
