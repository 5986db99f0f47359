// What becomes of memory that is let go of.
#pragma once

namespace symma {

// Large pieces, up to a gigabyte, are kept for what comes next. Else the C library hands them back to the
// system, which clears the same pages anew for each round: a third of the time of a large fleet. For programs
// of ours, as they start; a library leaves its host's memory alone.
void keep_pages();

}  // namespace symma
