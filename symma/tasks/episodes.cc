#include "symma/tasks/episodes.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/tasks/csv.h"
#include "symma/tasks/pictures.h"
#include "symma/tasks/tree.h"

namespace symma {
namespace {

namespace fs = std::filesystem;

// The column that says which of the two an item is.
size_t stage_column(const CsvFile& csv, const std::vector<size_t>& others) {
  std::vector<size_t> fit;
  for (size_t c = 0; c < csv.header.size(); ++c) {
    if (csv.header[c] == "stage") return c;
    bool all = true;
    for (size_t r = 0; r < csv.rows.size() && all; ++r)
      all = csv.rows[r][c] == "support" || csv.rows[r][c] == "query";
    if (all && std::find(others.begin(), others.end(), c) == others.end()) fit.push_back(c);
  }
  if (fit.size() != 1)
    throw UserError(csv.path + ":1", "has no column \"stage\"",
                    "say of each item whether it is support or query");
  return fit[0];
}

EpisodeList from_csv(const std::string& path) {
  const CsvFile csv = CsvFile::load(path);
  EpisodeList list;
  list.path = path;
  const auto there = [&](const char* name) {
    return std::find(csv.header.begin(), csv.header.end(), name) != csv.header.end();
  };
  list.rows = there("row") && !there("file");
  const size_t episode = csv.column("episode"), what = csv.column(list.rows ? "row" : "file"),
               label = there("label") || !list.rows ? csv.column("label") : csv.header.size(),
               stage = stage_column(csv, {episode, what, label});
  std::map<std::string, size_t> number;
  for (size_t r = 0; r < csv.rows.size(); ++r) {
    const std::string which = csv.rows[r][stage], name = csv.rows[r][episode];
    if (which != "support" && which != "query")
      throw UserError(csv.place(r, stage), "\"" + which + "\" is not known", "write support or query");
    const auto [it, fresh] = number.emplace(name, list.episodes.size());
    if (fresh) list.episodes.push_back({name, {}});
    list.episodes[it->second].items.push_back(
        {csv.rows[r][what], label < csv.header.size() ? std::string(csv.rows[r][label]) : "",
         fmt::format("{}:{}", path, csv.lines[r]), which == "support"});
  }
  return list;
}

// Every line of a run's class_labels.txt says which drawing of the test is of the class of which for
// training.
EpisodeList from_runs(const std::string& path) {
  EpisodeList list;
  list.path = path;
  std::map<std::string, std::string> labels;  // by the run's folder
  read_tree(
      path, [](const fs::path& f) { return f.filename() == "class_labels.txt" || is_picture(f); },
      [&](const fs::path& inner, const std::string& bytes) {
        if (is_picture(inner))
          list.files[inner.generic_string()] = bytes;
        else
          labels[inner.parent_path().generic_string()] = bytes;
      });
  for (const auto& [run, text] : labels) {
    const std::string name = fs::path(run).filename(), place = path + "/" + run + "/class_labels.txt";
    const auto here = [&](const std::string& file) {
      const fs::path inner(file);  // "run01/test/item01.png", below what holds the runs
      return (fs::path(run) / inner.parent_path().filename() / inner.filename()).generic_string();
    };
    EpisodeList::Episode e{name, {}};
    std::istringstream in(text);
    std::vector<EpisodeList::Item> queries;
    for (std::string test, training; in >> test >> training;) {
      const std::string of = here(training);
      queries.push_back({here(test), of, place, false});
    }
    for (const auto& [file, bytes] : list.files) {
      const fs::path folder = fs::path(file).parent_path();
      if (folder.filename() == "training" && folder.parent_path().generic_string() == run)
        e.items.push_back({file, file, place, true});
    }
    e.items.insert(e.items.end(), queries.begin(), queries.end());
    list.episodes.push_back(std::move(e));
  }
  if (list.episodes.empty())
    throw UserError(path, "holds no run01/class_labels.txt",
                    "name a CSV file of episodes, or the folder or zip of Omniglot's one-shot runs");
  return list;
}

}  // namespace

EpisodeList EpisodeList::load(const std::string& path) {
  std::error_code ec;
  std::string ending = fs::path(path).extension();
  const bool runs = fs::is_directory(path, ec) || ending == ".zip" || ending == ".tar" ||
                    path.ends_with(".tar.gz") || ending == ".tgz";
  EpisodeList list = runs ? from_runs(path) : from_csv(path);
  if (list.episodes.empty()) throw UserError(path, "lists no episode", "give it rows");
  for (const Episode& e : list.episodes) {
    const auto support =
        std::count_if(e.items.begin(), e.items.end(), [](const Item& i) { return i.support; });
    const std::string place = e.items.empty() ? path : e.items[0].place;
    if (support == 0)
      throw UserError(place, "episode " + e.name + " has no support", "list what to learn from");
    if (support == static_cast<std::ptrdiff_t>(e.items.size()))
      throw UserError(place, "episode " + e.name + " has no query", "list what to be judged on");
  }
  return list;
}

std::string EpisodeList::file(const Item& item) const {
  if (!files.empty()) {
    const auto it = files.find(item.what);
    if (it == files.end()) throw UserError(item.place, item.what + " is not there", "fetch the runs again");
    return it->second;
  }
  return read_file((fs::path(path).parent_path() / item.what).string());
}

}  // namespace symma
