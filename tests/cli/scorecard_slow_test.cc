// symma scorecard on a point task, an image task, a world and a game: its figures are those of the runs, its
// sentences are made of its figures, and turn where these are turned round.
#include "symma/report/scorecard.h"

#include <cmath>

#include "cli/program.h"
#include "symma/report/format.h"

namespace {

using namespace program;
using Card = symma::Json;

const char* kPoints = R"(agents = 3
rounds = 40
tasks = 2
[task]
kind = "sinusoid"
[model]
hidden = [8]
[learner]
inner_lr = 0.05
[exchange]
topology = "ring"
[eval]
tasks = 10
steps = [0, 1, 3]
validation_tasks = 4
)";

const char* kImages = R"(agents = 2
rounds = 8
tasks = 1
[task]
kind = "images"
path = ["PATH"]
ways = 3
shots = 1
queries = 2
split_by = "class"
[model]
kind = "conv"
channels = 4
[learner]
kind = "maml"
inner_steps = 1
[eval]
tasks = 6
steps = [0, 1]
validation_tasks = 2
)";

const char* kWorld = R"(agents = 2
rounds = 3
tasks = 1
[task]
kind = "control"
copies = 2
[task.world]
kind = "simple_spread"
[model]
hidden = [8]
[learner]
kind = "ippo"
[eval]
tasks = 4
steps = [0]
validation_tasks = 2
)";

const char* kGame = R"(agents = 2
rounds = 4
tasks = 1
[task]
kind = "games"
rivals = "random"
[task.world]
kind = "matrix_game"
game = "prisoners_dilemma"
[model]
kind = "tabular"
[learner]
kind = "lola"
inner_lr = 1
[eval]
tasks = 4
steps = [0, 3]
validation_tasks = 2
)";

bool one_of(const std::string& text, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* w) { return holds(text, w); });
}

// The same card with this figure alone, its difference and interval as given, and nothing to be ruined by.
std::string sentence(const Card& card, Card figure, double difference, double ci95) {
  Card one = card;
  figure["gap"]["difference"] = difference, figure["gap"]["ci95"] = ci95;
  one["figures"] = Card::array({figure}), one["before_adapting"] = nullptr;
  const auto all = symma::scorecard_sentences(one);
  EXPECT_EQ(all.size(), 1u) << figure.dump();
  return all.empty() ? "" : all[0];
}

double last_score(const fs::path& folder) {
  const Json mean = json_file(folder / "summary.json")["eval"]["mean"].back();
  return mean.is_number() ? mean.get<double>() : std::nan("");
}

// Every figure that has a sentence: said as it is, turned round, and with an interval that hides it.
int expect_turns(const Card& card) {
  const bool higher = card["higher_is_better"].get<bool>();
  int turned = 0;
  for (const Card& f : card["figures"]) {
    const std::string role = f["role"];
    if (!f["gap"].is_object() || !f["gap"]["difference"].is_number() || !f["mean"].is_number()) continue;
    if (role == "reference" || role == "detail") continue;
    const double d = std::max(1e-3, std::abs(f["gap"]["difference"].get<double>()));
    const std::string better = sentence(card, f, higher ? d : -d, d / 2),
                      worse = sentence(card, f, higher ? -d : d, d / 2), none = sentence(card, f, d, 2 * d);
    EXPECT_TRUE(one_of(better, {" is worth ", "better", " help"})) << better;
    EXPECT_FALSE(one_of(better, {" costs ", " cost ", "worse", "comes within", "not told apart"})) << better;
    EXPECT_TRUE(one_of(worse, {" costs ", " cost ", "worse", "comes within"})) << worse;
    EXPECT_FALSE(one_of(worse, {" is worth ", "better", " help", "not told apart"})) << worse;
    EXPECT_TRUE(one_of(none, {"not told apart", "as far as can be told"})) << none;
    EXPECT_FALSE(one_of(none, {" is worth ", "better", "worse", " costs ", " cost ", "comes within"}))
        << none;
    const std::string amount = symma::with_interval(d, d / 2, card["metric"] == "accuracy");
    EXPECT_TRUE(holds(better, amount) && holds(worse, amount)) << amount << "\n" << better << "\n" << worse;
    ++turned;
  }
  return turned;
}

// Means and differences of two seeds, by hand: t with one degree of freedom is 12.7062 at 97.5 %.
int expect_numbers(const Card& card, const fs::path& folder) {
  int checked = 0;
  const auto scores = [&](const std::string& id) {
    return std::vector<double>{last_score(folder / "runs" / (id + ",seed=1")),
                               last_score(folder / "runs" / (id + ",seed=2"))};
  };
  for (const Card& f : card["figures"]) {
    const std::string id = f["id"], role = f["role"];
    if (!fs::exists(folder / "runs" / (id + ",seed=1")) || id.starts_with("newcomer")) continue;
    const auto x = scores(id);
    if (!std::isfinite(x[0] + x[1])) {
      EXPECT_TRUE(f["mean"].is_null()) << id;
      continue;
    }
    EXPECT_NEAR(f["mean"].get<double>(), (x[0] + x[1]) / 2, 1e-9 * (1 + std::abs(x[0]))) << id;
    EXPECT_NEAR(f["ci95"].get<double>(), 12.7062047 * std::abs(x[0] - x[1]) / 2,
                1e-6 * (1 + std::abs(x[0] - x[1])))
        << id;
    if (!f["gap"].is_object() || !f["gap"]["difference"].is_number()) continue;
    const auto y = scores(f["gap"]["to"].get<std::string>());
    const double a = x[0] - y[0], b = x[1] - y[1];
    EXPECT_NEAR(f["gap"]["difference"].get<double>(), (a + b) / 2, 1e-9 * (1 + std::abs(x[0]))) << id;
    EXPECT_NEAR(f["gap"]["ci95"].get<double>(), 12.7062047 * std::abs(a - b) / 2,
                1e-6 * (1 + std::abs(a - b)))
        << id;
    ++checked;
  }
  return checked;
}

Card scorecard(const fs::path& at, const std::string& toml, const Words& more = {}) {
  spill(at / "e.toml", toml);
  Words words{"scorecard", "e.toml", "--seeds", "2", "--jobs", "2", "--out", "s"};
  words.insert(words.end(), more.begin(), more.end());
  const Result r = run_well(words, at);
  const Card card = Card::parse(slurp(at / "s/scorecard.json"));
  EXPECT_EQ(card["failed"].size(), 0u) << card["failed"].dump(1);
  const std::string page = slurp(at / "s/scorecard.html");
  std::string said;
  for (const auto& s : symma::scorecard_sentences(card)) {
    EXPECT_TRUE(holds(page, symma::escape(s))) << s;
    said += s + ".\n";
  }
  EXPECT_TRUE(r.out.starts_with(said)) << r.out << "\n" << said;
  for (const Card& f : card["figures"]) {
    EXPECT_FALSE(f["command"].get<std::string>().empty()) << f["id"];
    EXPECT_TRUE(holds(page, symma::escape(f["command"].get<std::string>()))) << f["id"];
  }
  return card;
}

TEST(Scorecard, Points) {
  TempDir at;
  // order is an option of maml: the rivals do without it.
  const Words more{"--budget", "40s", "--set", "rounds=38", "--set", "learner.order=1"};
  const Card card = scorecard(at.path(), kPoints, more);
  EXPECT_GE(expect_turns(card), 10);
  EXPECT_GE(expect_numbers(card, at.path() / "s"), 5);
  // The same command goes on, here with all done; another is refused.
  Words again{"scorecard", "e.toml", "--seeds", "2", "--jobs", "2", "--out", "s", "--quiet"};
  again.insert(again.end(), more.begin(), more.end());
  run_well(again, at.path());
  EXPECT_EQ(Card::parse(slurp(at / "s/scorecard.json")), card);
  expect_refusal(run({"scorecard", "e.toml", "--seeds", "3", "--out", "s"}, at.path()), {"s", "--force"});
  // A figure is made again by its command, as it stands: by a sweep, or where the scorecard judges in its own
  // way, by one.
  for (const Card& f : card["figures"]) {
    const std::string id = f["id"];
    if (id != "noisy_labels" && id != "pretrain" && id != "base") continue;
    std::string command = f["command"];
    EXPECT_EQ(command.find("rounds="), command.rfind("rounds=")) << command;
    EXPECT_TRUE(holds(command, id == "noisy_labels" ? "symma scorecard e.toml" : "symma sweep e.toml"))
        << command;
    EXPECT_EQ(holds(command, "learner.order=1"), id != "pretrain") << command;
    command.replace(0, 5, std::string("'") + SYMMA_PROGRAM + "' --threads 1");
    const Result made = Process({"sh", "-c", command + " --quiet"}, at.path()).wait();
    ASSERT_EQ(made.code, 0) << command << made.err;
    if (id != "noisy_labels") {
      const Card sweep = Card::parse(slurp(at / ("s-" + id + "/sweep.json")));
      for (size_t k = 0; k < 2; ++k)
        EXPECT_EQ(sweep["arms"][0]["runs"][k]["mean"].back(), f["of_seeds"][k]) << id;
      continue;
    }
    const Card one = Card::parse(slurp(at / "s-noisy_labels/scorecard.json"));
    for (const Card& g : one["figures"])
      if (g["id"] == "noisy_labels") {
        EXPECT_EQ(g["of_seeds"], f["of_seeds"]);
        EXPECT_EQ(g["gap"], f["gap"]);
      }
  }
}

// A seed that failed is in no mean and in no pair.
TEST(Scorecard, SeedsThatFailedAreLeftOut) {
  TempDir at;
  spill(at / "e.toml", kPoints);
  const Words words{"scorecard", "e.toml", "--seeds", "4",       "--jobs", "2",
                    "--out",     "s",      "--only",  "scratch", "--quiet"};
  run_well(words, at.path());
  const auto figure = [&](const std::string& id) {
    const Card card = Card::parse(slurp(at / "s/scorecard.json"));
    for (const Card& f : card["figures"])
      if (f["id"] == id) return f;
    ADD_FAILURE() << "no figure " << id;
    return Card();
  };
  const auto whole = figure("base");
  for (const char* lost : {"base,seed=1", "scratch,seed=4"}) {
    fs::remove_all(at.path() / "s/runs" / lost);
    spill(at.path() / "s/runs" / lost, "in the way");
  }
  run_well(words, at.path());
  const auto base = figure("base"), scratch = figure("scratch");
  EXPECT_EQ(base["n"], 3);
  EXPECT_GT(whole["bits"].get<double>(), 0);
  EXPECT_EQ(base["bits"], whole["bits"]);  // each run sends as much
  double seconds = 0;
  std::vector<double> pairs;
  const fs::path runs = at.path() / "s/runs";
  for (const std::string seed : {"2", "3", "4"})
    seconds += json_file(runs / ("base,seed=" + seed) / "summary.json")["wall_s"].get<double>() / 3;
  EXPECT_NEAR(base["seconds"].get<double>(), seconds, 1e-9);
  for (const std::string seed : {"2", "3"})
    pairs.push_back(last_score(runs / ("scratch,seed=" + seed)) - last_score(runs / ("base,seed=" + seed)));
  EXPECT_NEAR(scratch["gap"]["difference"].get<double>(), (pairs[0] + pairs[1]) / 2, 1e-9);
  EXPECT_NEAR(scratch["gap"]["ci95"].get<double>(), 12.7062047 * std::abs(pairs[0] - pairs[1]) / 2, 1e-6);
}

// The score after one step is none before adapting.
TEST(Scorecard, BeforeAdaptingIsAfterNoStep) {
  TempDir at;
  spill(at / "e.toml", kPoints);
  for (const auto& [steps, known] : {std::pair("[0, 2]", true), std::pair("[1, 2]", false)}) {
    run_well({"scorecard", "e.toml", "--seeds", "1", "--out", "s", "--only", "base", "--quiet", "--force",
              "--set", std::string("eval.steps=") + steps},
             at.path());
    const Card card = Card::parse(slurp(at / "s/scorecard.json"));
    EXPECT_EQ(card["before_adapting"].is_number(), known) << steps;
    for (const Card& f : card["figures"]) EXPECT_TRUE(known || f["id"] != "base_steps") << steps;
  }
}

TEST(Scorecard, Images) {
  const std::string zip = SYMMA_SOURCE_DIR "/../shared/data/omniglot/images_background_small1.zip";
  if (!fs::exists(zip)) GTEST_SKIP() << "no Omniglot here: no scorecard of images was made";
  TempDir at;
  std::string toml = kImages;
  toml.replace(toml.find("PATH"), 4, zip);
  const Card card = scorecard(at.path(), toml, {"--budget", "60s"});
  EXPECT_EQ(card["metric"], "accuracy");
  EXPECT_GE(expect_turns(card), 3);
  EXPECT_GE(expect_numbers(card, at.path() / "s"), 3);
}

TEST(Scorecard, AWorld) {
  TempDir at;
  const Card card = scorecard(at.path(), kWorld, {"--budget", "40s"});
  EXPECT_TRUE(card["higher_is_better"].get<bool>());
  EXPECT_GE(expect_turns(card), 3);
  EXPECT_GE(expect_numbers(card, at.path() / "s"), 3);
}

TEST(Scorecard, AGame) {
  TempDir at;
  const Card card = scorecard(at.path(), kGame, {"--budget", "40s"});
  EXPECT_GE(expect_turns(card), 2);
  EXPECT_GE(expect_numbers(card, at.path() / "s"), 2);
}

TEST(Scorecard, SaysWhatItWouldDo) {
  TempDir at;
  spill(at / "e.toml", kPoints);
  const std::string planned = run_well({"scorecard", "e.toml", "--dry-run"}, at.path()).out;
  for (const char* word :
       {"Learning from scratch", "sign_flip", "noisy_labels", "runs of 40 rounds, 3 seeds"})
    EXPECT_TRUE(holds(planned, word)) << word << planned;
  EXPECT_FALSE(fs::exists(at / "scorecards"));
  expect_refusal(run({"scorecard", "e.toml", "--budget", "soon"}, at.path()), {"--budget soon", "20m"});
  expect_refusal(run({"scorecard", "e.toml", "--budget", "1s"}, at.path()), {"--budget 1s", "too little"});
  expect_refusal(run({"scorecard", "e.toml", "--only", "noisy_label"}, at.path()), {"noisy_labels"});
}

}  // namespace
