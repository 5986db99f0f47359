#include "symma/report/run.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <set>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/options.h"
#include "symma/core/record.h"

namespace symma {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// One object of a file, with the words to complain about it.
class Part {
 public:
  Part(const Json& json, std::string file, std::string at)
      : json_(json), file_(std::move(file)), at_(std::move(at)) {
    if (!json_.is_object()) fail(at_.empty() ? "is not a JSON object" : "\"" + at_ + "\" is not an object");
  }

  [[noreturn]] void fail(const std::string& wrong) const {
    throw UserError(file_, wrong,
                    "the file is damaged or from another version of symma; evaluate or train this run again");
  }
  bool has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  std::string name(const char* key) const { return at_.empty() ? key : at_ + "." + key; }
  const Json& at(const char* key) const {
    if (!json_.contains(key)) fail("has no \"" + name(key) + "\"");
    return json_.at(key);
  }
  Part part(const char* key) const { return Part(at(key), file_, name(key)); }

  std::string text(const char* key) const {
    if (!at(key).is_string()) fail("\"" + name(key) + "\" is not text");
    return at(key).get<std::string>();
  }
  double real(const char* key) const { return real_of(at(key), name(key)); }
  int64_t whole(const char* key) const {
    if (!at(key).is_number_integer()) fail("\"" + name(key) + "\" is not a whole number");
    return at(key).get<int64_t>();
  }
  bool truth(const char* key) const {
    if (!at(key).is_boolean()) fail("\"" + name(key) + "\" is neither true nor false");
    return at(key).get<bool>();
  }
  std::string text_or(const char* key, const std::string& other) const {
    return has(key) ? text(key) : other;
  }
  double real_or(const char* key, double other) const { return has(key) ? real(key) : other; }
  int64_t whole_or(const char* key, int64_t other) const { return has(key) ? whole(key) : other; }
  bool truth_or(const char* key, bool other) const { return has(key) ? truth(key) : other; }

  std::vector<int64_t> wholes(const char* key) const {
    std::vector<int64_t> out;
    for (const Json& x : list(at(key), name(key))) {
      if (!x.is_number_integer()) fail("\"" + name(key) + "\" holds something that is not a whole number");
      out.push_back(x.get<int64_t>());
    }
    return out;
  }
  std::vector<double> reals(const char* key) const { return reals_of(at(key), name(key)); }
  std::vector<double> reals(const char* key, size_t count) const {
    auto out = reals(key);
    if (out.size() != count) {
      fail(fmt::format("\"{}\" has {} numbers where {} are due", name(key), out.size(), count));
    }
    return out;
  }
  std::vector<std::vector<double>> matrix(const char* key) const {
    std::vector<std::vector<double>> out;
    for (const Json& row : list(at(key), name(key))) out.push_back(reals_of(row, name(key)));
    return out;
  }
  std::vector<Part> parts(const char* key) const {
    std::vector<Part> out;
    for (const Json& x : list(at(key), name(key))) out.emplace_back(x, file_, name(key));
    return out;
  }

 private:
  const Json& list(const Json& x, const std::string& what) const {
    if (!x.is_array()) fail("\"" + what + "\" is not a list");
    return x;
  }
  double real_of(const Json& x, const std::string& what) const {
    if (x.is_null()) return kNone;
    if (!x.is_number()) fail("\"" + what + "\" is not a number");
    return x.get<double>();
  }
  std::vector<double> reals_of(const Json& x, const std::string& what) const {
    std::vector<double> out;
    for (const Json& item : list(x, what)) out.push_back(real_of(item, what));
    return out;
  }

  const Json& json_;
  std::string file_, at_;
};

Evaluation read_evaluation(const Part& p, int64_t agents) {
  Evaluation e;
  e.split = p.text("split");
  e.metric = p.text("metric");
  e.protocol = p.text_or("protocol", "");
  e.higher_is_better = p.truth_or("higher_is_better", false);
  e.tasks = p.whole("tasks");
  e.groups = p.whole_or("groups", 0);
  e.group_word = p.text_or("group_word", "group");
  e.chance = p.real_or("chance", kNone);
  if (p.has("rules")) {
    const Part rules = p.part("rules");
    for (const auto& [name, value] : p.at("rules").items()) {
      const Part rule = rules.part(name.c_str());
      e.rules.push_back({name, rule.real("mean"), rule.real_or("ci95", kNone)});
    }
  }
  if (p.has("change")) {
    const Part c = p.part("change");
    (void)c.whole("from"), (void)c.whole("to"), (void)c.real("difference"), (void)c.real("ci95");
    (void)c.real("better"), (void)c.truth("told_apart");
    e.change = p.at("change");
  }
  e.steps = p.wholes("steps");
  const size_t s = e.steps.size();
  if (s == 0) p.fail("\"" + p.name("steps") + "\" is empty");
  e.mean = p.reals("mean", s);
  e.ci95 = p.reals("ci95", s);
  e.median = p.reals("median", s);
  e.q1 = p.reals("q1", s);
  e.q3 = p.reals("q3", s);
  if (p.has("over_agents")) {
    const Part over = p.part("over_agents");
    e.agents_mean = over.reals("mean", s), e.agents_ci95 = over.reals("ci95", s);
    e.agents_iqm = over.reals("iqm", s);
    if (over.has("iqm_low"))
      e.agents_low = over.reals("iqm_low", s), e.agents_high = over.reals("iqm_high", s);
  }
  if (!p.has("per_agent")) return e;
  e.per_agent = p.matrix("per_agent");
  if (!e.per_agent.empty() && static_cast<int64_t>(e.per_agent.size()) != agents) {
    p.fail(fmt::format("\"{}\" has {} lists for {} agents", p.name("per_agent"), e.per_agent.size(), agents));
  }
  for (const auto& row : e.per_agent) {
    if (row.size() != s)
      p.fail(fmt::format("\"{}\" has a list of {} numbers for {} steps", p.name("per_agent"), row.size(), s));
  }
  return e;
}

constexpr int64_t kMostInTable = 16;  // nodes whose mixing weights are shown

Communication read_communication(const Part& p, int64_t agents) {
  Communication c;
  c.topology = p.text_or("topology", "none");
  c.strategy = p.text_or("strategy", "");
  c.rounds = p.whole_or("rounds", 0);
  c.bits = p.real_or("bits", 0);
  c.disagreement = p.real_or("disagreement", kNone);
  c.lambda2 = p.real_or("lambda2", kNone);
  c.server = p.truth_or("server", false);
  c.directed_edges = p.whole_or("directed_edges", 0);
  const int64_t nodes = agents + (c.server ? 1 : 0);
  if (!p.has("edges")) return c;
  for (const Part& e : p.parts("edges")) {
    const Link link{e.whole("from"), e.whole("to"), e.real_or("bits", 0)};
    if (std::min(link.from, link.to) < 0 || std::max(link.from, link.to) >= nodes) {
      p.fail(fmt::format("\"{}\" joins {} and {}, but there are {} nodes", p.name("edges"), link.from,
                         link.to, nodes));
    }
    c.links.push_back(link);
    if (c.server || agents > kMostInTable || !e.has("weight")) continue;
    if (c.weights.empty()) {
      c.weights.assign(agents, std::vector<double>(agents, 0.0));
      for (int64_t i = 0; i < agents; ++i) c.weights[i][i] = 1;
    }
    c.weights[link.to][link.from] = e.real_or("weight", 0);
    c.weights[link.to][link.to] -= c.weights[link.to][link.from];
  }
  return c;
}

Training read_training(const std::string& file) {
  Training t;
  double bits = 0, seconds = 0, env_steps = kNone;
  for (const Json& row : read_records(file)) {
    const Part p(row, file, "");
    const double round = p.real("round");
    seconds = p.real_or("seconds", seconds);
    bits = p.real_or("bits", bits);
    env_steps = p.real_or("env_steps", env_steps);
    if (row.contains("loss")) {
      t.round.push_back(round);
      t.seconds.push_back(seconds);
      t.bits.push_back(bits);
      t.env_steps.push_back(env_steps);
      t.loss.push_back(p.real("loss"));
      t.disagreement.push_back(p.real_or("disagreement", kNone));
      t.epsilon.push_back(p.real_or("epsilon", kNone));
      if (p.has("scores")) {
        const Part scores = p.part("scores");
        for (const auto& [name, value] : p.at("scores").items()) {
          auto& line = t.scores[name];
          line.resize(t.loss.size() - 1, kNone);
          line.push_back(scores.real(name.c_str()));
        }
      }
      for (auto& [name, line] : t.scores) line.resize(t.loss.size(), kNone);
      t.loss_per_agent.push_back(p.has("loss_per_agent") ? p.reals("loss_per_agent") : std::vector<double>{});
    }
    if (!p.has("validation")) continue;
    const Part v = p.part("validation");
    const auto steps = v.wholes("steps");
    if (t.steps.empty()) {
      t.steps = steps;
      t.metric = v.text("metric");
    }
    if (steps != t.steps) v.fail("the validation's \"steps\" change along the run");
    Validation one{round, seconds, bits, env_steps, v.reals("mean", steps.size()), {}, {}, {}};
    if (v.has("over_agents") && v.part("over_agents").has("iqm_low")) {
      const Part over = v.part("over_agents");
      one.iqm = over.reals("iqm", steps.size());
      one.low = over.reals("iqm_low", steps.size());
      one.high = over.reals("iqm_high", steps.size());
    }
    t.validation.push_back(std::move(one));
  }
  return t;
}

Population read_population(const std::string& file, int64_t agents) {
  Population out;
  for (const Json& row : read_records(file)) {
    const Part p(row, file, "");
    Generation g;
    g.round = p.real("round");
    const Json& settings = p.at("settings");
    if (!settings.is_object() || settings.empty()) p.fail("\"settings\" is not an object that names some");
    std::vector<std::string> names;
    for (const auto& [name, values] : settings.items()) {
      names.push_back(name);
      g.settings.push_back(p.part("settings").reals(name.c_str(), static_cast<size_t>(agents)));
    }
    if (out.generations.empty()) {
      out.settings = names;
    } else {
      if (names != out.settings) p.fail("the settings change along the run");
      g.score = p.reals("score", static_cast<size_t>(agents));
      g.from = p.wholes("from");
      if (static_cast<int64_t>(g.from.size()) != agents)
        p.fail(fmt::format("\"from\" has {} agents where {} are due", g.from.size(), agents));
      for (const int64_t a : g.from) {
        if (a < 0 || a >= agents) p.fail(fmt::format("\"from\" names agent {}, who is not there", a));
      }
    }
    out.generations.push_back(std::move(g));
  }
  return out;
}

// What a run tries, by its file; a run that ended says it in its summary.
void read_what_is_tried(const Config& file, Run& r) {
  r.description = file.word("", "description", "");
  r.task = file.word("task", "kind", "");
  r.model = file.word("model", "kind", "");
  r.learner = file.word("learner", "kind", "");
  r.seed = file.whole("", "seed", 0);
  r.seeds = file.whole("", "seeds", 1);
  r.rounds_asked = file.whole("", "rounds", 0);
  r.exchange.topology = file.word("exchange", "topology", "");
}

}  // namespace

Run read_run(const std::string& folder) {
  std::error_code ec;
  if (!is_there(folder)) throw UserError(folder, "no such folder", "name a folder that symma train wrote");
  if (!std::filesystem::is_directory(folder, ec))
    throw UserError(folder, "is not a folder", "name a folder that symma train wrote");
  const auto file = [&](const char* name) { return (std::filesystem::path(folder) / name).string(); };
  const auto need = [&](const char* name) {
    if (is_there(file(name))) return;
    throw UserError(file(name), "no such file",
                    "is this a run's folder? Name one that symma train wrote and finished");
  };
  Run r;
  r.folder = folder;
  // A run that goes on, or was stopped, has a page of what is known.
  if (!std::filesystem::exists(file("summary.json"), ec) &&
      std::filesystem::exists(file("experiment.toml"), ec) &&
      std::filesystem::exists(file("metrics.jsonl"), ec)) {
    auto path = std::filesystem::path(folder).lexically_normal();
    r.name = (path.has_filename() ? path : path.parent_path()).filename().string();
    read_what_is_tried(Config::load(file("experiment.toml")), r);
    r.training = read_training(file("metrics.jsonl"));
    r.finished = false;
    r.agents = 1;
    if (!r.training.round.empty()) {
      r.agents = std::max<int64_t>(1, static_cast<int64_t>(r.training.loss_per_agent.back().size()));
      r.rounds = static_cast<int64_t>(r.training.round.back());
      r.wall_s = r.training.seconds.back();
      r.exchange.bits = r.training.bits.back();
    }
    r.tasks_per_s = r.exchange.disagreement = r.exchange.lambda2 = kNone;
    r.presence = read_presence(folder, static_cast<double>(r.rounds));
    return r;
  }
  need("summary.json");
  need("metrics.jsonl");

  const Json summary = read_json(file("summary.json"));
  const Part p(summary, file("summary.json"), "");
  r.name = p.text("experiment");
  r.version = p.text_or("symma", "");
  r.description = p.text_or("description", "");
  r.device = p.text_or("device", "");
  r.task = p.text_or("task", "");
  r.model = p.text_or("model", "");
  r.learner = p.text_or("learner", "");
  r.seed = p.whole_or("seed", 0);
  r.agents = p.whole("agents");
  if (r.agents < 1) p.fail("\"agents\" is below 1");
  r.rounds = p.whole_or("rounds", 0);
  r.parameters = p.whole_or("parameters", 0);
  r.threads = p.whole_or("threads", 0);
  r.wall_s = p.real_or("wall_s", kNone);
  r.tasks_per_s = p.real_or("tasks_per_s", kNone);
  r.finished = p.truth_or("finished", true);
  if (p.has("settings")) {
    r.settings = p.at("settings");
    for (const auto& [name, value] : r.settings.items()) {
      if (!value.is_object()) p.fail("\"settings." + name + "\" is not an object");
    }
    if (r.settings.contains(""))
      r.seeds = Part(r.settings[""], file("summary.json"), "").whole_or("seeds", 1);
  }
  if (p.has("changed")) {
    r.changed = p.at("changed");
    if (!r.changed.is_object()) p.fail("\"changed\" is not an object");
  }
  if (p.has("agent_share")) {
    for (const Json& line : p.at("agent_share")) {
      if (!line.is_string()) p.fail("\"agent_share\" holds something that is not text");
      r.agent_share.push_back(line.get<std::string>());
    }
    if (!r.agent_share.empty() && static_cast<int64_t>(r.agent_share.size()) != r.agents) {
      p.fail(fmt::format("\"agent_share\" has {} lines for {} agents", r.agent_share.size(), r.agents));
    }
  }
  // A run that was stopped early may have no evaluation yet; the page says so.
  if (p.has("eval")) r.eval = read_evaluation(p.part("eval"), r.agents);
  if (p.has("ood")) r.ood = read_evaluation(p.part("ood"), r.agents);
  if (p.has("exchange")) r.exchange = read_communication(p.part("exchange"), r.agents);
  // What is said of the exchange in the settings, in words.
  const auto setting = [&](const char* section, const char* key) {
    const Json* s = r.settings.contains(section) ? &r.settings.at(section) : nullptr;
    return s && s->contains(key) ? s->at(key) : Json(nullptr);
  };
  const auto word = [&](const char* section, const char* key, const std::string& other) {
    const Json value = setting(section, key);
    return value.is_string() ? value.get<std::string>() : other;
  };
  r.rule = word("aggregator", "kind", "mean");
  if (const Json before = setting("aggregator", "before"); before.is_array()) {
    for (const Json& name : before)
      if (name.is_string()) r.rule = name.get<std::string>() + ", " + r.rule;
  }
  if (const auto kind = word("compression", "kind", "none"); kind != "none") r.compression = kind;
  if (p.has("faults")) {
    const Part f = p.part("faults");
    r.attack = f.text("kind");
    for (int64_t a : f.wholes("agents")) r.hostile += (r.hostile.empty() ? "" : ", ") + std::to_string(a);
  }
  if (p.has("privacy")) r.privacy = p.part("privacy").text("statement");
  if (p.has("secure")) r.secure = p.part("secure").text("statement");
  r.training = read_training(file("metrics.jsonl"));
  if (p.has("population")) {
    need("lineage.jsonl");
    r.population = read_population(file("lineage.jsonl"), r.agents);
    r.population->best = p.part("population").whole("best");
    if (r.population->best < 0 || r.population->best >= r.agents) p.fail("\"population.best\" is no agent");
  }
  r.presence = read_presence(folder, static_cast<double>(r.rounds));
  if (is_there(file("gallery.json"))) r.gallery = read_json(file("gallery.json"));
  return r;
}

std::vector<Run> read_runs(const std::vector<std::string>& folders) {
  if (folders.empty())
    throw UserError("report", "no run is named", "name at least one folder that symma train wrote");
  std::vector<Run> runs;
  runs.reserve(folders.size());
  for (const auto& folder : folders) runs.push_back(read_run(folder));
  const auto distinct = [&](auto&& longer) {
    std::map<std::string, int> count;
    for (const auto& r : runs) ++count[r.name];
    std::map<std::string, int> seen;
    for (auto& r : runs) {
      if (count[r.name] > 1) r.name = longer(r, ++seen[r.name]);
    }
  };
  std::set<int64_t> seeds;
  for (const auto& r : runs) seeds.insert(r.seed);
  if (seeds.size() > 1)
    distinct([](const Run& r, int) { return fmt::format("{}, seed {}", r.name, r.seed); });
  distinct([](const Run& r, int) {
    auto path = std::filesystem::path(r.folder).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    return fmt::format("{} ({})", r.name, path.filename().string());
  });
  distinct([](const Run& r, int k) { return fmt::format("{} #{}", r.name, k); });
  return runs;
}

}  // namespace symma
