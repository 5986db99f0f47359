#include "symma/fleet/roster.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "symma/core/errors.h"

namespace symma {
namespace fs = std::filesystem;
namespace {

constexpr const char *kParts = "roster", *kWhole = "roster.jsonl";

std::string part_file(const RunOptions& options, int64_t place) {
  make_folder(in(options, kParts));
  return in(options, fmt::format("{}/process-{}.jsonl", kParts, place).c_str());
}

}  // namespace

Entry Entry::read(const std::string& text) {
  const Json j = parse_json(text);
  try {
    return {j.at("round").get<int64_t>(), j.at("exchange").get<int64_t>(), j.at("meeting").get<int64_t>(),
            j.at("there").get<std::vector<bool>>(), j.at("rows")};
  } catch (const Json::exception&) {
    throw UserError("processes", "what the first one says of the fleet makes no sense",
                    "is it of the same version?");
  }
}

std::string Entry::text() const {
  return Json{
      {"round", round}, {"exchange", exchange}, {"meeting", meeting}, {"there", there}, {"rows", rows}}
      .dump();
}

void enter(RunState& run, const Entry& entry) {
  run.round = entry.round;
  ExchangeState& s = run.exchange;
  s.rounds = entry.exchange;
  if (s.sender.known.defined()) s.sender.known = at::zeros_like(s.sender.known);
  if (s.receiver.known.defined()) s.receiver.stale.insert(s.reach->halo.begin(), s.reach->halo.end());
  // What was under way to it went by.
  for (Arrival& late : s.receiver.late) late = {};
}

void begin_with(const Experiment& e, RunState& run, const Json& rows) {
  const Tensor& old = run.learner.theta;
  std::vector<double> all;
  bool fits = rows.is_array() && static_cast<int64_t>(rows.size()) == old.size(0);
  for (size_t i = 0; fits && i < rows.size(); ++i) {
    fits = rows[i].is_array() && static_cast<int64_t>(rows[i].size()) == old.size(1);
    // What is not finite is null in JSON.
    for (const Json& x : rows[i]) all.push_back(x.is_number() ? x.get<double>() : std::nan(""));
  }
  if (!fits)
    throw UserError("processes", "the rows to begin with are of another experiment",
                    "start all with the same file");
  run.learner.theta = at::tensor(all, at::kDouble).view(old.sizes()).to(old.scalar_type());
  run.exchange = exchange_start(e.exchange, run.learner.theta, run.exchange.reach->ids);
  if (run.learner.own.contains("anchor")) run.learner.own["anchor"] = run.learner.theta;
}

void welcome(RunState& run) {
  Tensor& known = run.exchange.server.known;
  if (known.defined()) known = at::zeros_like(known);
}

RosterFile::RosterFile(const RunOptions& options, int64_t place)
    : place_(place), out_(part_file(options, place), INT64_MAX) {}

void RosterFile::add(Json line) {
  line["process"] = place_;
  out_.add(line);
}

std::vector<int64_t> gone_after(const std::vector<int64_t>& gone, std::span<const int64_t> asked,
                                const std::vector<int64_t>& missing) {
  std::vector<int64_t> out = missing;
  for (const int64_t g : gone)
    if (std::find(asked.begin(), asked.end(), g) == asked.end()) out.push_back(g);
  std::sort(out.begin(), out.end());
  return out;
}

Post Noted::collect(Letter::Kind kind, int64_t round, std::span<const int64_t> from) {
  Post post = letters_.collect(kind, round, from);
  std::vector<int64_t>& gone = gone_[kind];
  std::vector<int64_t> now = gone_after(gone, from, post.missing);
  if (now == gone) return post;
  gone = std::move(now);
  // Before anything is made of it: whoever is killed then has written it down.
  file_.add(
      {{"round", run_.round}, {"exchange", round}, {"kind", static_cast<int>(kind)}, {"missing", gone}});
  return post;
}

void forget_roster(const RunOptions& options) {
  fs::remove_all(in(options, kParts));
  fs::remove(in(options, kWhole));
}

std::vector<Json> read_roster(const std::string& folder) {
  std::vector<Json> out;
  const auto add = [&](const fs::path& file) {
    for (Json& line : read_records(file.string())) out.push_back(std::move(line));
  };
  const fs::path of = folder;
  if (fs::exists(of / kWhole)) add(of / kWhole);
  if (!fs::is_directory(of / kParts)) return out;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(of / kParts))
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) add(file);
  return out;
}

void merge_roster(const RunOptions& options) {
  std::string text;
  for (const Json& line : read_roster(options.folder)) text += line.dump() + "\n";
  write_file(in(options, kWhole), text);
  fs::remove_all(in(options, kParts));
}

}  // namespace symma
