// Hostile files and random experiments, each in a process of its own:
//
//   fuzz files       [--inputs N] [--seconds S] [--seed K] [--only CASE] [--keep DIR]
//   fuzz experiments [--inputs N] [--seconds S] [--seed K] [--keep DIR]
//   fuzz again CASE_OR_KEPT_FOLDER     runs what stands in its file `case`
//
// `files`: corpus/ has a folder a case, whose file `case` says what to run (once, in the beginning:
// "prepare"; on each input: "run", one of them) and which files to damage ("mutate"). Nothing may end but
// with exit 0, or 2 and one line of ours, within ten seconds of processor time and 2 GB (child.h). What does
// not is kept in DIR. Input i of seed K is always the same.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "fuzz/child.h"
#include "fuzz/experiments.h"
#include "fuzz/mutate.h"
#include "symma/core/registry.h"

namespace {

using namespace fuzz;
using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

constexpr double kPatience = 10;

struct Arguments {
  std::string what, only, keep = "build/fuzz";
  uint64_t seed = 1;
  int64_t inputs = 1000;
  double seconds = 1e9;
};

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

void spill(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

struct Case {
  std::string name;
  fs::path folder;
  std::vector<Words> prepare, run;
  Words mutate;
};

Case read_case(const fs::path& folder) {
  Case c{folder.filename().string(), folder, {}, {}, {}};
  std::istringstream in(slurp(folder / "case"));
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string verb, word;
    words >> verb;
    Words rest;
    while (words >> word) rest.push_back(word);
    if (verb == "prepare") c.prepare.push_back(rest);
    if (verb == "run") c.run.push_back(rest);
    if (verb == "mutate") c.mutate.insert(c.mutate.end(), rest.begin(), rest.end());
  }
  return c;
}

std::string joined(const Words& words) {
  std::string out;
  for (const auto& w : words) out += (out.empty() ? "" : " ") + w;
  return out;
}

// A folder that is gone in the end.
struct Workshop {
  fs::path at;
  Workshop() {
    std::string name = (fs::temp_directory_path() / "symma_fuzz_XXXXXX").string();
    if (!::mkdtemp(name.data())) std::abort();
    at = name;
  }
  ~Workshop() {
    std::error_code ec;
    fs::remove_all(at, ec);
  }
};

void copy_folder(const fs::path& from, const fs::path& to) {
  std::error_code ec;
  fs::remove_all(to, ec);
  fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
}

// Counts, tells, keeps.
class Log {
 public:
  explicit Log(const Arguments& a) : a_(a), start_(Clock::now()) {}
  bool done(int64_t i) const { return i >= a_.inputs || seconds() > a_.seconds; }
  void tell(const std::string& name, int64_t i, const Ending& e, const Words& command,
            const std::string& wrong, const fs::path& folder) {
    ++inputs_, ++endings_[e.asked ? "asked to stop" : "exit " + std::to_string(e.code)];
    slowest_ = std::max(slowest_, e.seconds), largest_ = std::max(largest_, e.megabytes);
    if (wrong.empty()) return;
    ++faults_;
    const fs::path kept =
        fs::path(a_.keep) / (name + "_" + std::to_string(a_.seed) + "_" + std::to_string(i));
    fs::create_directories(a_.keep);
    copy_folder(folder, kept);
    spill(kept / "case", "run " + joined(command) + "\n");
    spill(kept / "said", e.said);
    std::printf("%s: %s\n  symma %s\n  %s\n", kept.c_str(), wrong.c_str(),
                joined(command).substr(0, 300).c_str(), e.said.substr(0, 400).c_str());
    std::fflush(stdout);
  }
  int end() const {
    std::printf("%ld inputs in %.0f s (%.0f an hour), slowest %.1f s of processor time, largest %.0f MB:",
                static_cast<long>(inputs_), seconds(), static_cast<double>(inputs_) / seconds() * 3600,
                slowest_, largest_);
    for (const auto& [ending, count] : endings_)
      std::printf(" %s %ld,", ending.c_str(), static_cast<long>(count));
    std::printf(" faults %ld\n", static_cast<long>(faults_));
    return faults_ == 0 && inputs_ > 0 ? 0 : 1;
  }

 private:
  using Clock = std::chrono::steady_clock;
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  const Arguments& a_;
  Clock::time_point start_;
  std::map<std::string, int64_t> endings_;
  int64_t inputs_ = 0, faults_ = 0;
  double slowest_ = 0, largest_ = 0;
};

bool prepare(const Case& c) {
  for (const Words& words : c.prepare) {
    const Ending e = run(words, c.folder, 60);
    if (e.code == 0) continue;
    std::printf("%s: symma %s: %s\n", c.name.c_str(), joined(words).c_str(), e.said.c_str());
    return false;
  }
  return true;
}

int files(const Arguments& a, const fs::path& corpus) {
  Workshop shop;
  std::vector<Case> cases;
  std::map<std::string, fs::path> folders;
  for (const auto& entry : fs::directory_iterator(corpus))
    folders[entry.path().filename().string()] = entry.path();
  for (const auto& [name, folder] : folders) {
    if (!a.only.empty() && name != a.only) continue;
    copy_folder(folder, shop.at / name);
    cases.push_back(read_case(shop.at / name));
    if (!prepare(cases.back())) return 1;
  }
  if (cases.empty()) {
    std::printf("no case is called %s\n", a.only.c_str());
    return 1;
  }
  Log log(a);
  for (int64_t i = 0; !log.done(i); ++i) {
    Dice d(a.seed * 1000003 + static_cast<uint64_t>(i));
    d.next();
    const Case& c = cases[static_cast<size_t>(i) % cases.size()];
    const fs::path scratch = shop.at / "scratch";
    copy_folder(c.folder, scratch);
    const std::string& file = d.of(c.mutate);
    spill(scratch / file, mutate(file, slurp(c.folder / file), d));
    const Words& command = d.of(c.run);
    const Ending e = run(command, scratch, kPatience);
    // An experiment may ask for much. What is read, may not.
    log.tell(c.name, i, e, command, fault(e, !file.ends_with(".toml")), scratch);
  }
  return log.end();
}

Json catalog_json() {
  Json all = Json::object();
  for (const auto& [kind, parts] : symma::catalog())
    for (const auto& [name, part] : parts) all[kind].push_back({{"name", name}, {"options", part.options()}});
  return all;
}

int experiments(const Arguments& a, const fs::path& corpus) {
  Workshop shop;
  const Json catalog = catalog_json();
  copy_folder(corpus / "table", shop.at / "table");
  copy_folder(corpus / "zip", shop.at / "zip");
  Log log(a);
  for (int64_t i = 0; !log.done(i); ++i) {
    Dice d(a.seed * 1000003 + static_cast<uint64_t>(i));
    d.next();
    const fs::path scratch = shop.at / "scratch";
    std::error_code ec;
    fs::remove_all(scratch, ec);
    fs::create_directory(scratch);
    spill(scratch / "e.toml", random_experiment(catalog, "../table/d.csv", "../zip/drawings.zip", d));
    Words command{"train", "e.toml", "--out", "run"};
    Ending e = run(command, scratch, kPatience);
    std::string wrong = fault(e, false);
    if (wrong.empty() && e.code == 2 && fs::exists(scratch / "run") && !e.asked)
      wrong = "a refusal that leaves a run folder behind";
    if (wrong.empty() && e.code == 0 && d.one_in(3)) {  // what it left can be gone on with, and judged
      command = d.one_in(2) ? Words{"train", "--resume", "--out", "run"} : Words{"eval", "run"};
      e = run(command, scratch, kPatience);
      wrong = fault(e, false);
      if (wrong.empty() && e.code == 2) wrong = "a run that is refused afterwards";
    }
    log.tell("experiment", i, e, command, wrong, scratch);
  }
  return log.end();
}

int again(const std::string& folder) {
  const Case c = read_case(fs::absolute(folder));
  int faults = 0;
  if (!prepare(c)) return 1;
  for (const Words& words : c.run) {
    const Ending e = run(words, c.folder, kPatience);
    const std::string wrong = fault(e, false);
    std::printf("symma %s\n%s  exit %d, signal %d, %.1f s, %.0f MB%s%s\n", joined(words).c_str(),
                e.said.c_str(), e.code, e.signal, e.seconds, e.megabytes, wrong.empty() ? "" : ": ",
                wrong.c_str());
    faults += !wrong.empty();
  }
  return faults > 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments a;
  const auto usage = [] {
    std::fprintf(stderr,
                 "fuzz files|experiments [--inputs N] [--seconds S] [--seed K] [--only CASE] [--keep DIR]\n"
                 "fuzz again FOLDER\n");
    return 2;
  };
  if (argc < 2) return usage();
  a.what = argv[1];
  if (a.what == "again" && argc == 3) return again(argv[2]);
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string key = argv[i], value = argv[i + 1];
    if (key == "--inputs")
      a.inputs = std::atoll(value.c_str());
    else if (key == "--seconds")
      a.seconds = std::atof(value.c_str());
    else if (key == "--seed")
      a.seed = static_cast<uint64_t>(std::atoll(value.c_str()));
    else if (key == "--only")
      a.only = value;
    else if (key == "--keep")
      a.keep = value;
    else
      return usage();
  }
  a.keep = fs::absolute(a.keep).string();
  const fs::path corpus = fs::path(SYMMA_SOURCE_DIR) / "tests/fuzz/corpus";
  if (a.what == "files") return files(a, corpus);
  if (a.what == "experiments") return experiments(a, corpus);
  return usage();
}
