"""Tables that scripts make, in their places on pages."""
import sys


def number(x):
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def placed(old, page, begin, end, text):
    """The page's text with `text` between the comments `begin` and `end`, each on a line of its own. Ends the script where they are not there."""
    first = old.find(f"<!-- {begin} -->\n")
    start = first + len(f"<!-- {begin} -->\n")
    stop = old.find(f"<!-- {end} -->", start)
    if first < 0 or stop < 0:
        sys.exit(f"{page}: has no place for a table: write <!-- {begin} --> and <!-- {end} --> on lines of their own")
    return old[:start] + text + old[stop:]
