#include "fuzz/experiments.h"

#include <cmath>
#include <map>

namespace fuzz {
namespace {

using Json = nlohmann::ordered_json;

class Writer {
 public:
  Writer(const Json& catalog, std::string table, std::string images, Dice& dice)
      : catalog_(catalog), table_(std::move(table)), images_(std::move(images)), d_(dice) {}

  std::string experiment() {
    const std::string task = some("TaskFamily");
    top();
    section("task", "TaskFamily", task, 4);
    // Mostly a model and a learner that people would take; at times any.
    const std::map<std::string, std::vector<std::string>> models{
        {"control", {"mlp", "gaussian", "gru", "tabular"}},
        {"games", {"tabular", "mlp", "point"}},
        {"quadratics", {"point"}},
        {"images", {"conv", "mlp"}}};
    const auto usual = models.find(task);
    const std::string model = usual == models.end() || d_.one_in(5) ? some("Model") : d_.of(usual->second);
    if (!d_.one_in(6)) section("model", "Model", model, 3);
    const std::map<std::string, std::vector<std::string>> learners{
        {"control",
         {"ippo", "mappo", "ia2c", "maa2c", "iql", "vdn", "qmix", "coma", "maml", "promp", "maml_trpo", "rl2",
          "cma_es", "snes"}},
        {"games", {"naive", "lola", "meta_pg", "meta_mapg", "snes"}}};
    const auto taken = learners.find(task);
    static const std::vector<std::string> of_points{"maml",    "reptile", "imaml",  "pretrain", "protonet",
                                                    "r2d2",    "alpaca",  "fedrep", "ditto",    "apfl",
                                                    "scratch", "cma_es",  "snes",   "pgpe"};
    const std::string learner = d_.one_in(5)              ? some("Learner")
                                : taken == learners.end() ? d_.of(of_points)
                                                          : d_.of(taken->second);
    section("learner", "Learner", learner, 3);
    // What is said of messages is mostly said where there are some.
    const bool talks = d_.one_in(2), all = talks || d_.one_in(6);
    if (talks)
      section("exchange", "Topology", some("Topology"), 2, "topology", [&] {
        if (d_.one_in(3))
          line("strategy", word({"adapt-then-combine", "combine-then-adapt", "gradient-tracking",
                                 "exact-diffusion", "push-sum"}));
        if (d_.one_in(2)) line("payload", word({"parameters", "updates"}));
        if (d_.one_in(4)) line("every", whole(1, 3));
      });
    if (all && d_.one_in(3))
      section("aggregator", "Aggregator", some("Aggregator"), 2, "kind", [&] {
        if (d_.one_in(2)) line("bad", whole(0, 2));
        if (d_.one_in(3)) line("before", "[\"" + some("PreAggregator") + "\"]");
      });
    if (all && d_.one_in(3)) section("compression", "Compressor", some("Compressor"), 2);
    if (all && d_.one_in(5))
      section("faults", "Attack", some("Attack"), 2, "kind", [&] {
        line("agents", "[" + whole(0, 2) + "]");
        if (d_.one_in(3)) line("lost", "0.2");
        if (d_.one_in(3)) line("late", "0.2");
      });
    if (all && d_.one_in(6)) {
      out_ += "[server]\n";
      if (d_.one_in(2)) line("share", "0.5");
      if (d_.one_in(2)) line("optimizer", word({"none", "sgd", "adam", "yogi", "adagrad"}));
      if (d_.one_in(3)) line("secure", "true");
    }
    if (d_.one_in(6)) {
      out_ += "[privacy]\n";
      line("unit", word({"none", "example", "task", "agent"}));
      if (d_.one_in(2)) line("where", word({"local", "server"}));
    }
    if (d_.one_in(8)) {
      out_ += "[population]\n";
      line("settings", "[\"" + std::string(d_.one_in(2) ? "inner_lr" : "meta_lr") + "\"]");
      line("low", "[0.001]");
      line("high", "[0.1]");
      line("ready", whole(1, 2));
    }
    out_ += "[eval]\n";
    line("tasks", whole(1, 3));
    line("validation_tasks", whole(1, 2));
    if (d_.one_in(2)) line("steps", word_of({"[0]", "[0, 1]", "[1]", "[0, 1, 2]", "[3]"}));
    if (d_.one_in(4)) line("from", word({"everyone", "own"}));
    if (d_.one_in(5)) line("ood", "true");
    return out_;
  }

 private:
  void line(const std::string& key, const std::string& value) { out_ += key + " = " + value + "\n"; }
  std::string whole(int low, int high) {
    return std::to_string(low + static_cast<int>(d_.below(int64_t{high} - low + 1)));
  }
  std::string word_of(const std::vector<std::string>& words) { return d_.of(words); }
  std::string word(const std::vector<std::string>& words) { return "\"" + d_.of(words) + "\""; }
  std::string some(const std::string& kind) {
    return catalog_[kind][d_.below(catalog_[kind].size())]["name"].get<std::string>();
  }

  void top() {
    line("agents", d_.one_in(3) ? "1" : whole(2, 6));
    line("rounds", whole(1, 3));
    line("tasks", whole(1, 3));
    line("seed", whole(0, 9));
    if (d_.one_in(4)) line("precision", "\"float64\"");
    if (d_.one_in(4)) line("same_start", "false");
    if (d_.one_in(5)) line("log_every", whole(1, 2));
  }

  // A value for an option, near what it is or at an end of what it may be.
  std::string value(const Json& option) {
    const Json& now = option["default"];
    const std::string range = option["range"].get<std::string>();
    if (range.starts_with("one of ")) {
      std::vector<std::string> words;
      for (size_t at = 7; at < range.size();) {
        const size_t end = std::min(range.find(", ", at), range.size());
        words.push_back(range.substr(at, end - at));
        at = end + 2;
      }
      return word(words);
    }
    if (now.is_boolean()) return d_.one_in(2) ? "true" : "false";
    if (now.is_number_integer()) {
      const auto x = now.get<int64_t>();
      const std::vector<int64_t> near{0, 1, 2, 3, x, x + 1, std::min<int64_t>(x * 2, x + 5), -1};
      return std::to_string(d_.of(near));
    }
    if (now.is_number()) {
      const auto x = now.get<double>();
      const std::vector<double> near{0, 0.5, 1, x, x / 2, x * 2, 0.01, 1e-8};
      const double y = d_.of(near);
      std::string s = Json(y).dump();
      return s.find_first_of(".e") == std::string::npos ? s + ".0" : s;
    }
    if (now.is_array() && !now.empty() && now[0].is_number_integer()) return "[" + whole(1, 5) + "]";
    if (now.is_object() && now.contains("kind"))
      return "{ kind = \"" + (catalog_.contains("Env") ? some("Env") : now["kind"].get<std::string>()) +
             "\" }";
    return now.is_null() ? "0" : now.dump();
  }

  template <class More>
  void section(const std::string& name, const std::string& kind, const std::string& part, size_t changes,
               const std::string& key, More more) {
    out_ += "[" + name + "]\n";
    line(key, "\"" + part + "\"");
    more();
    for (const auto& p : catalog_[kind]) {
      if (p["name"] != part) continue;
      const Json& options = p["options"];
      std::map<std::string, std::string> chosen;
      for (size_t k = d_.below(changes + 1); k > 0 && !options.empty(); --k) {
        const Json& o = options[d_.below(options.size())];
        chosen[o["name"].get<std::string>()] = value(o);
      }
      for (const auto& o : options) {
        const auto named = o["name"].get<std::string>();
        if (named == "path") chosen[named] = part == "table" ? "\"" + table_ + "\"" : "[\"" + images_ + "\"]";
        // What the examples are of: few rows and small images, or nothing would fit.
        if (named == "side") chosen[named] = "8";
        if (part == "table" && (named == "shots" || named == "queries" || named == "test_queries"))
          chosen[named] = whole(1, 3);
        if (part == "images" &&
            (named == "ways" || named == "shots" || named == "queries" || named == "test_queries"))
          chosen[named] = named == "ways" ? "2" : "1";
        if (named == "from" || named == "test_path" || named == "edges") chosen.erase(named);
        if (named == "world" && d_.one_in(2)) chosen[named] = value(o);
        if (named == "copies" || named == "personas" || named == "rounds") chosen.emplace(named, whole(2, 4));
        if (named == "population" || named == "perturbations") chosen.emplace(named, whole(2, 6));
      }
      for (const auto& [option, text] : chosen) line(option, text);
    }
  }
  void section(const std::string& name, const std::string& kind, const std::string& part, size_t changes) {
    section(name, kind, part, changes, "kind", [] {});
  }

  const Json& catalog_;
  std::string table_, images_, out_;
  Dice& d_;
};

}  // namespace

std::string random_experiment(const Json& catalog, const std::string& table, const std::string& images,
                              Dice& d) {
  return Writer(catalog, table, images, d).experiment();
}

}  // namespace fuzz
