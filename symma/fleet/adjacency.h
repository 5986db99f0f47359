// What an epsilon tells apart, and how far that moves a sum: two fleets that differ by one unit
//   add-remove   which is there in one of them only,
//   replace      which is another one in each,
//   zero-out     whose rows count as nothing in one of them: nothing is added, and nothing counted.
// How units are drawn says which of these can be stated: where a sample has a fixed size, a unit that comes
// takes another's place, and the sum moves by two bounds; a message says by itself that its sender is there.
#pragma once

#include <string>

#include "symma/exchange/exchange.h"
#include "symma/tasks/task.h"

namespace symma {

// Whether every task is drawn anew (Accountable); false where that isn't known.
bool draws_anew(const TaskFamily&);

// What `auto` stands for. `fresh`: every task is drawn anew (Accountable::fresh).
std::string default_adjacency(const Exchange&, bool fresh);

// Why an adjacency cannot be stated, in words for people; "" where it can.
std::string adjacency_refused(const Exchange&, bool fresh, const std::string& adjacency);

// How far one unit moves what noise is added to, in clipping bounds, under x.privacy.adjacency. Hostile
// agents make their messages of what the honest ones say, so each of theirs may move by two.
double sensitivity(const Exchange&);

}  // namespace symma
