// Episodes that somebody listed, to be run as they are: published ones, or one's own.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "symma/tasks/supervised.h"

namespace symma {

struct EpisodeList {
  struct Item {
    std::string what;   // a file, or the number of a row
    std::string label;  // empty: to be predicted
    std::string place;  // where it is listed, for messages
    bool support;
  };
  struct Episode {
    std::string name;
    std::vector<Item> items;
  };
  std::string path;
  bool rows = false;  // items are rows of a table rather than files
  std::vector<Episode> episodes;
  std::map<std::string, std::string> files;  // bytes, where the list came with its files

  // A CSV file with the columns `episode`, `file` (relative to it) or `row`, `stage` ("support" or "query";
  // the column may have any name) and `label`; episodes in the order of their first lines. Or the folder or
  // zip of Omniglot's one-shot runs: run01/class_labels.txt, run01/training/*.png, run01/test/*.png, ...
  // (Lake et al. 2015). Throws UserError that names file and line.
  static EpisodeList load(const std::string& path);
  // The bytes of an item that is a file.
  std::string file(const Item&) const;
};

// Optional: a family that can play such episodes.
class PlaysEpisodes {
 public:
  virtual ~PlaysEpisodes() = default;
  // Episode i as a task: queries with a label have it in query_y, and `known` [queries] says which those are.
  // query_names are the items.
  struct Played {
    FewShot::Reading reading;
    std::vector<bool> known;
  };
  virtual Played play(const EpisodeList&, size_t i) const = 0;
};

}  // namespace symma
