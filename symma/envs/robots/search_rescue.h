// What a script of searchers may look at.
#pragma once

#include <cstdint>
#include <optional>

namespace symma {

class SearchView {
 public:
  virtual ~SearchView() = default;
  struct Sighting {
    double distance;
    double right;      // radians by which its centre lies to the right of the heading
    double first_ray;  // and the leftmost of the rays that show it
  };
  // The nearest target not yet found that a searcher sees.
  virtual std::optional<Sighting> nearest(int64_t copy, int64_t searcher) const = 0;
};

}  // namespace symma
