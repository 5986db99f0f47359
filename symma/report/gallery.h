// Tasks drawn: curves before and after adaptation, images with predictions, points in the plane,
// and episodes that play back.
#pragma once

#include <string>

#include "symma/report/run.h"

namespace symma {

// "" where the run has no gallery. `id` is unique on the page. Throws UserError naming gallery.json where it
// is damaged.
std::string gallery_html(const Run& run, const std::string& id);

}  // namespace symma
