#include "symma/report/sweep_folder.h"

#include <filesystem>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/record.h"
#include "symma/report/report.h"

namespace symma {

namespace fs = std::filesystem;

void claim_sweep(const std::string& folder, const Json& common, bool force, const SweepWords& words) {
  const std::string path = in_folder(folder, "sweep.json");
  if (is_there(path)) {
    const Json old = parse_json(read_file(path));
    const bool same = old.is_object() && old.value("experiment", Json()) == common["experiment"] &&
                      old.value("set", Json()) == common["set"];
    if (same) return;
    if (!force)
      throw UserError(folder, "holds a sweep of another " + words.experiment + " or other settings",
                      words.other + ", or " + words.replace);
    for (const char* name : {"runs", "logs", "sweep.json", "sweep.csv", "report.html"})
      fs::remove_all(in_folder(folder, name));
  } else if (is_there(in_folder(folder, "experiment.toml"))) {
    throw UserError(folder, "holds a run", words.other);
  }
  make_folder(folder);
  write_file(path, common.dump(1) + "\n");
}

bool is_done(const std::string& folder) {
  std::error_code ec;
  // The report comes last.
  if (!fs::exists(in_folder(folder, "report.html"), ec)) return false;
  if (!fs::exists(in_folder(folder, "summary.json"), ec)) return false;
  const Json summary = parse_json(read_file(in_folder(folder, "summary.json")));
  return summary.is_object() && summary.value("finished", false);
}

SweepEnd end_sweep(const std::string& folder, const Json& common, const std::vector<std::string>& over,
                   const std::vector<SweptRun>& runs, const std::vector<std::string>& stopped_early,
                   const std::string& remedy) {
  SweepEnd end;
  Json all = Json::array();
  for (const SweptRun& r : runs) {
    all.push_back({{"folder", r.name}, {"values", r.values}, {"state", r.failed ? "failed" : "done"}});
    if (!r.failed) continue;
    all.back()["why"] = r.why;
    end.failed.push_back(r.name + ": " + r.why);
  }
  if (end.failed.size() == runs.size())
    throw UserError(folder, "all runs failed: " + end.failed.front(), remedy);
  SweepResult result = sweep_result(folder, end.failed);
  end.written = {{"experiment", common["experiment"]},
                 {"set", common["set"]},
                 {"over", over},
                 {"runs", std::move(all)},
                 {"failed", end.failed},
                 {"stopped_early", stopped_early},
                 {"left_out", std::move(result.left_out)},
                 {"arms", std::move(result.arms)},
                 {"standing", std::move(result.standing)}};
  write_file(in_folder(folder, "sweep.csv"), result.csv);
  write_file(in_folder(folder, "report.html"), result.page);
  write_file(in_folder(folder, "sweep.json"), end.written.dump(1) + "\n");
  end.table = std::move(result.table);
  return end;
}

}  // namespace symma
