"""What a person can mend."""
from __future__ import annotations

_WORDS = [("--resume", "resume=True"), ("--force", "force=True"), ("--out", "out="), ("--steps", "steps="),
          ("symma train", "symma.train"), ("symma list", "symma.parts")]


class UserError(ValueError):
    """A setting, an argument or a file that is wrong, in three parts that read as one line.

    place:  where: an argument, a file with its line, a setting
    wrong:  what was found there
    remedy: what would be right; "" where nothing is to be said
    """

    place: str
    wrong: str
    remedy: str

    def __init__(self, place: str, wrong: str, remedy: str = "") -> None:
        super().__init__(f"{place}: {wrong}" + (f"; {remedy}" if remedy else ""))
        self.place, self.wrong, self.remedy = place, wrong, remedy

    def __reduce__(self):
        return type(self), (self.place, self.wrong, self.remedy)

    @classmethod
    def _of_engine(cls, place: str, wrong: str, remedy: str) -> "UserError":
        # The engine speaks of the program's flags; here they are arguments.
        for flag, argument in _WORDS:
            remedy = remedy.replace(flag, argument)
        return cls(place, wrong, remedy)
