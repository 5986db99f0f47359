// symma init KIND: a commented experiment file for one's own table, drawings or world, which trains as it
// stands.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "symma/cli/commands.h"
#include "symma/cli/file_text.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/registry.h"
#include "symma/core/rng.h"
#include "symma/envs/env.h"
#include "symma/fleet/experiment.h"
#include "symma/fleet/round.h"
#include "symma/tasks/drawings.h"
#include "symma/tasks/proposal.h"

namespace symma {
namespace {

struct InitArguments {
  std::string kind, world, out;
  std::vector<std::string> data;
  Roles roles;
  bool force = false, json = false;
};

// A file to be written, and what was found and chosen, for people and for programs.
struct Begun {
  std::string text;
  std::vector<std::string> said;
  Json chosen = Json::object();
};

constexpr const char* kTopOrTail =
    "Lines with a # right before a name are at their defaults: take it away to set them. `symma list NAME` "
    "explains a part, `symma list Learner` (Model, TaskFamily, Env, ...) has the others of its kind.";

std::string title(const std::string& what, const std::string& out) {
  return comment(what + ".") + fmt::format("#   symma train {}\n", shell_word(out)) + comment(kTopOrTail) +
         "\n";
}

std::string between(int64_t least, int64_t most) {
  return least == most ? fmt::format("{}", most) : fmt::format("{} to {}", least, most);
}

SectionText top(const std::string& description, int64_t agents, const char* share, int64_t rounds,
                int64_t tasks) {
  SectionText s;
  s.set = {{"description", toml_string(description)}};
  if (share) s.set.push_back({"agents", std::to_string(agents), share});
  s.set.push_back(
      {"rounds", std::to_string(rounds), "meta-updates of every agent; more: better, and longer"});
  s.set.push_back({"tasks", std::to_string(tasks), "of each agent, in each round"});
  return s;
}

SectionText exchange(int64_t agents) {
  return {"exchange",
          "",
          "",
          "Who shares with whom: none, full, ring, torus, random, edges, or star (by a server).",
          {{"topology", agents > 1 ? "\"ring\"" : "\"none\""}}};
}

// Builds what the text says, and tries a step of it: what a person is handed has to run.
void check(const std::string& text, const std::string& name) {
  rehearse(Experiment::build(Config::parse(text, name)));
}

// A table to begin with, where nobody named one: homes, each with a level of its own and a daily curve.
std::string example_table() {
  std::string out = "home,hour,degrees,power\n";
  for (int64_t home = 0; home < 24; ++home) {
    Draws d(Rng(1).split("home", home));
    const double level = d.uniform(0.5, 2), swing = d.uniform(0.5, 1.5), shift = d.uniform(0, 24);
    for (int64_t k = 0; k < 40; ++k) {
      const double hour = d.uniform(0, 24), degrees = 12 + 6 * d.normal();
      const double power =
          level + swing * std::sin((hour - shift) * M_PI / 12) - 0.03 * degrees + 0.05 * d.normal();
      out += fmt::format("home{:02},{:.2f},{:.1f},{:.3f}\n", home, hour, degrees, power);
    }
  }
  return out;
}

std::string about_empty(const Proposal& p) {
  return p.roles.missing == "row" ? "rows with an empty cell are left out"
                                  : "an empty cell becomes its column's mean, and another column says where";
}

std::string table_text(const InitArguments& a, const Proposal& p, int64_t agents) {
  const std::string group = shown(p.roles.group), target = shown(p.roles.target);
  SectionText task{"task", "TaskFamily", "table", "", {}, {"known"}};
  task.set = {{"path", toml_string(a.data[0])},
              {"group", toml_string(p.roles.group),
               fmt::format("names the task of a row: {} groups of {} rows. Chosen {}", p.groups,
                           between(p.fewest, p.most), p.why.at("group"))},
              {"target", toml_string(p.roles.target),
               fmt::format("what is predicted. Chosen {}", p.why.at("target"))},
              {"predict", p.classes ? "\"classification\"" : "\"regression\"",
               p.classes ? "the target is a class"
                         : "the target is a number; \"classification\" where it is a class"}};
  if (!p.roles.time.empty())
    task.set.push_back({"time", toml_string(p.roles.time),
                        fmt::format("the moment of a row: what is learned from comes before what is judged. "
                                    "Chosen {}",
                                    p.why.at("time"))});
  std::vector<std::string> out_of;
  for (const auto& [name, reason] : p.left_out) out_of.push_back(fmt::format("{} ({})", shown(name), reason));
  task.set.push_back({"features", toml_list(p.roles.features),
                      "what it is predicted from" +
                          (out_of.empty() ? "" : fmt::format(". Left out: {}", fmt::join(out_of, ", ")))});
  if (p.roles.missing != "refuse")
    task.set.push_back({"missing", toml_string(p.roles.missing), about_empty(p)});
  task.set.push_back({"shots", std::to_string(p.shots),
                      p.classes && p.balanced ? "rows of each class to learn from, in a task"
                                              : "rows of a group to learn from, in a task"});
  if (p.classes && !p.balanced)
    task.set.push_back(
        {"balanced", "false", "some groups lack rows of some class, so shots come as they are"});
  task.set.push_back({"queries", std::to_string(p.queries), "and to be judged on, while training"});
  if (p.skip)
    task.set.push_back(
        {"short_groups", "\"skip\"",
         fmt::format("groups with too few rows are left out: {} of {}", p.short_groups(), p.groups)});
  if (p.split != "auto")
    task.set.push_back({"split", toml_string(p.split),
                        p.split == "rows"
                            ? "every group is learned from and judged on, by other rows of its own"
                            : "other groups judge than are learned from"});
  const SectionText model{"model", "Model", "mlp", "", {{"hidden", "[40, 40]"}}};
  const SectionText learner{"learner", "Learner", "maml", "", {{"inner_steps", "3"}, {"inner_lr", "0.05"}}};
  const SectionText eval{"eval",
                         "",
                         "",
                         "",
                         {{"steps", "[0, 1, 3, 5]", "steps of adaptation that are judged"},
                          {"tasks", "200", "unseen tasks to be judged on"}}};
  const std::string description = fmt::format("{} of each {}, from a few rows", target, group);
  std::vector<SectionText> all{
      top(description, agents, "each holds a part of the groups, and none sees another's", 4000, 4), task,
      model, learner};
  all.push_back(exchange(agents));
  all.push_back(eval);
  return file_text(title(description, a.out), all);
}

Begun begin_table(InitArguments& a) {
  Begun out;
  if (a.data.size() > 1) throw UserError("--data", "names several files", "name one CSV file");
  if (a.data.empty()) {
    a.data = {"data.csv"};
    if (is_there(a.data[0]))
      throw UserError("data.csv", "is there already, where an example would be written",
                      "name it, or your own, with --data");
    write_file(a.data[0], example_table());
    out.said.push_back("written: data.csv, an example; name your own with --data");
  }
  const CsvFile csv = CsvFile::load(a.data[0]);
  const Proposal first = propose(csv, a.roles);
  // As proposed, then as simpler and simpler tasks: there are tables where groups follow each other in time
  // so closely that none can be kept apart, or whose classes are too rare.
  std::vector<Proposal> tries{first};
  const auto another = [&](auto change) {
    Proposal p = tries.back();
    change(p);
    tries.push_back(p);
  };
  if (first.split == "auto") another([](Proposal& p) { p.split = "groups"; });
  if (first.classes && first.balanced) another([](Proposal& p) { p.balanced = false; });
  another([](Proposal& p) { p.shots = p.queries = 1, p.skip = true; });
  another([](Proposal& p) { p.split = "rows"; });
  std::string refused;
  for (const Proposal& p : tries) {
    const int64_t agents = std::clamp<int64_t>(p.split == "rows" ? p.groups : p.groups / 6, 1, 4);
    out.text = table_text(a, p, agents);
    try {
      check(out.text, a.out);
    } catch (const UserError& e) {
      if (refused.empty()) refused = std::string(e.wrong()) + (e.remedy().empty() ? "" : "; " + e.remedy());
      continue;
    }
    out.said.push_back(fmt::format("{}: {} rows, {} columns", a.data[0], csv.rows.size(), csv.header.size()));
    if (const std::string odd = about_names(csv); !odd.empty()) out.said.push_back("  warning   " + odd);
    out.said.push_back(fmt::format("  group     {:<16} {}; {} groups of {} rows", shown(p.roles.group),
                                   p.why.at("group"), p.groups, between(p.fewest, p.most)));
    out.said.push_back(fmt::format("  target    {:<16} {}; {}", shown(p.roles.target), p.why.at("target"),
                                   p.classes ? "a class" : "a number"));
    out.said.push_back(
        p.roles.time.empty()
            ? std::string("  time      none             no column is a date, or is called a time "
                          "and rises in every group")
            : fmt::format("  time      {:<16} {}", shown(p.roles.time), p.why.at("time")));
    std::vector<std::string> features;
    for (const auto& name : p.roles.features) features.push_back(shown(name));
    if (features.size() > 12) {
      features.resize(12);
      features.push_back(fmt::format("... ({} in all)", p.roles.features.size()));
    }
    out.said.push_back(fmt::format("  features  {}", fmt::join(features, ", ")));
    for (const auto& [name, why] : p.left_out)
      out.said.push_back(fmt::format("  left out  {:<16} {}", shown(name), why));
    if (p.roles.missing != "refuse")
      out.said.push_back(fmt::format("  missing   {:<16} {} empty cell{}: {}", p.roles.missing, p.empty,
                                     p.empty == 1 ? "" : "s", about_empty(p)));
    if (p.skip && p.short_groups() > 0)
      out.said.push_back(
          fmt::format("  left out  {:<16} {} of {}: with {} row{} or fewer none is left to judge",
                      p.short_groups() == 1 ? "1 group" : fmt::format("{} groups", p.short_groups()),
                      p.short_groups(), p.groups, p.shots, p.shots == 1 ? "" : "s"));
    out.said.push_back(
        fmt::format("  a task    {} row{}{} to learn from; {}", p.shots, p.shots == 1 ? "" : "s",
                    p.classes && p.balanced ? " of each class" : "",
                    p.split == "rows" ? "other rows of the same group judge" : "other groups judge"));
    out.chosen = {{"group", p.roles.group},
                  {"target", p.roles.target},
                  {"time", p.roles.time},
                  {"features", p.roles.features},
                  {"predict", p.classes ? "classification" : "regression"},
                  {"missing", p.roles.missing},
                  {"short_groups", p.skip ? p.short_groups() : 0},
                  {"shots", p.shots},
                  {"split", p.split},
                  {"agents", agents}};
    return out;
  }
  throw UserError(a.data[0], "no few-shot task can be made of it: " + refused, "see docs/data.md");
}

// What is known of folders and zips of drawings before anything is chosen.
Begun begin_images(const InitArguments& a) {
  if (a.data.empty())
    throw UserError("symma init images", "no drawings are named",
                    "name their folder or zip with --data: alphabet/character/*.png, or class/*.png");
  const Drawings found = Drawings::load(a.data, 28, 3);
  std::set<std::string> alphabets;
  int64_t fewest = INT64_MAX, most = 0;
  bool colour = false;
  for (const auto& c : found.classes) {
    alphabets.insert(c.alphabet);
    fewest = std::min(fewest, c.images.size(0)), most = std::max(most, c.images.size(0));
    const Tensor x = c.images.to(at::kInt);
    colour = colour || (x.amax(3) - x.amin(3)).max().item<int>() > 24;
  }
  const auto classes = static_cast<int64_t>(found.classes.size());
  if (fewest < 2)
    throw UserError(a.data[0], "has a class of one image, with none left to judge by",
                    "give each class two or more, or leave it out");
  const bool nested = alphabets.size() < found.classes.size();
  const int64_t ways = std::clamp<int64_t>(classes / 4, 2, 5), shots = fewest >= 30 ? 5 : 1;
  const std::string split = nested && alphabets.size() >= 10 ? "alphabet" : "class";
  SectionText task{"task", "TaskFamily", "images", "", {}, {"known"}};
  const std::string sizes = between(fewest, most);
  task.set = {
      {"path", toml_list(a.data),
       fmt::format("{} classes of {} images{}", classes, sizes,
                   nested ? fmt::format(", of {} alphabets", alphabets.size()) : "")},
      {"ways", std::to_string(ways)},
      {"shots", std::to_string(shots)},
      {"queries", std::to_string(std::min<int64_t>(5, fewest - shots))},
      {"test_queries", std::to_string(std::min<int64_t>(15, fewest - shots))},
      {"channels", colour ? "3" : "1", colour ? "they are in colour" : "ink, dark on light; 3: colours"},
      {"rotations", nested && !colour ? "true" : "false",
       "whether a training class turned by 90, 180 and 270 degrees is another class: so for letters, not for "
       "photographs"},
      {"split_by", toml_string(split), "what is kept apart for the test: whole alphabets, or classes"}};
  const SectionText eval{"eval",
                         "",
                         "",
                         "",
                         {{"steps", "[0, 1]", "prototypes are there after one step"},
                          {"tasks", "200", "unseen tasks to be judged on"}}};
  Begun out;
  const std::string description =
      fmt::format("{} classes from {} image{} of each", ways, shots, shots > 1 ? "s" : "");
  std::vector<SectionText> all{
      top(description, 1, "of more, each holds a part of the classes; see [exchange]", 1000, 4),
      task,
      {"model", "Model", "conv", "", {}},
      {"learner", "Learner", "protonet", "", {}},
      exchange(1),
      eval};
  out.text = file_text(title(description, a.out), all);
  check(out.text, a.out);
  out.said = {fmt::format("{}: {} classes of {} images, {}", a.data[0], classes, sizes,
                          colour ? "in colour" : "black on white"),
              fmt::format("  a task    {} classes, {} image{} of each to learn from; other {} judge", ways,
                          shots, shots > 1 ? "s" : "", split == "class" ? "classes" : "alphabets")};
  out.chosen = {{"classes", classes},
                {"ways", ways},
                {"shots", shots},
                {"channels", colour ? 3 : 1},
                {"split_by", split}};
  return out;
}

Begun begin_world(const InitArguments& a) {
  const std::string name = a.world.empty() ? "simple_spread" : a.world;
  const auto world = EnvRegistry::instance().draft(name, "--world")->build(1);
  const EnvSpec& spec = world->spec();
  constexpr int64_t kCopies = 16, kSteps = 2'000'000;
  const int64_t rounds = std::clamp<int64_t>(kSteps / (kCopies * std::max<int64_t>(1, spec.limit)), 20, 2000);
  SectionText task{"task", "TaskFamily", "control", "", {{"copies", std::to_string(kCopies)}}, {"world"}};
  if (const auto* varied = dynamic_cast<const HasTasks*>(world.get())) {
    std::vector<std::string> names;
    for (const auto& p : varied->task_parameters())
      if (names.size() < 12) names.push_back(p.name);
    if (!names.empty())
      task.set.push_back({"vary", "[]",
                          fmt::format("constants of the world that differ from task to task, of {}{}",
                                      fmt::join(names, ", "),
                                      varied->task_parameters().size() > names.size() ? ", ..." : "")});
  }
  const SectionText model = spec.continuous
                                ? SectionText{"model",
                                              "Model",
                                              "gaussian",
                                              "Players set numbers: a mean and a deviation for each.",
                                              {}}
                                : SectionText{"model", "Model", "mlp", "", {{"hidden", "[64, 64]"}}};
  SectionText head = top(fmt::format("a team that learns in {}", name), 1, nullptr, rounds, 1);
  head.set.insert(head.set.begin() + 1, {"seeds", "3", "independent repetitions, for an interval"});
  const std::vector<SectionText> all{head,
                                     task,
                                     {"task.world", "Env", name, "", {}, {"auto_reset", "first_copy"}},
                                     model,
                                     {"learner", "Learner", "ippo", "", {}},
                                     {"eval",
                                      "",
                                      "",
                                      "",
                                      {{"steps", "[0]", "a team that does not adapt is judged as it is"},
                                       {"tasks", "50", "unseen episodes to be judged on"}}}};
  Begun out;
  out.text = file_text(title(fmt::format("A team that learns in {}: {} player{}, {} {}", name, spec.agents,
                                         spec.agents > 1 ? "s" : "", spec.actions,
                                         spec.continuous ? "numbers each" : "actions each"),
                             a.out),
                       all);
  check(out.text, a.out);
  out.said = {
      fmt::format("{}: {} player{}, {} {} each, at most {} steps an episode; symma list Env has the others",
                  name, spec.agents, spec.agents > 1 ? "s" : "", spec.actions,
                  spec.continuous ? "numbers" : "actions", spec.limit)};
  out.chosen = {{"world", name}, {"players", spec.agents}, {"copies", kCopies}};
  return out;
}

Begun begin_game(const InitArguments& a) {
  SectionText head = top("two who learn while they play against each other", 1, nullptr, 1, 1);
  head.set[1].why = "nothing is learned before the match";
  head.set.insert(head.set.begin() + 1, {"seeds", "5", "starts of the player"});
  const std::vector<SectionText> all{
      head,
      {"task", "TaskFamily", "games", "", {{"rivals", "\"random\""}}, {"world"}},
      {"task.world",
       "Env",
       "matrix_game",
       "",
       {{"game", "\"prisoners_dilemma\""}},
       {"auto_reset", "first_copy"}},
      {"model", "Model", "tabular", "", {}},
      {"learner",
       "Learner",
       "lola",
       "It looks ahead to the other's next step; lookaheads = 0 is a naive learner.",
       {{"inner_lr", "1.0"}, {"lookahead_lr", "1.0"}, {"meta_lr", "0.0"}}},
      {"eval",
       "",
       "",
       "",
       {{"steps", "[0, 10, 50, 100]", "updates of both"}, {"tasks", "20", "starts of the rival"}}}};
  Begun out;
  out.text = file_text(
      title("Two who learn while they play against each other: the iterated prisoner's dilemma", a.out), all);
  check(out.text, a.out);
  return out;
}

Begun begin_points(const InitArguments& a) {
  const std::vector<SectionText> all{
      top("regression to sine waves, the field's first test", 6, "each holds a part of the amplitudes", 3000,
          4),
      {"task", "TaskFamily", "sinusoid", "", {}},
      {"model", "Model", "mlp", "", {}},
      {"learner", "Learner", "maml", "", {}},
      exchange(6),
      {"eval", "", "", "", {{"steps", "[0, 1, 5, 10]", "steps of adaptation that are judged"}}}};
  Begun out;
  out.text = file_text(title("Regression to sine waves, the field's first test; needs no data", a.out), all);
  check(out.text, a.out);
  return out;
}

void run_init(InitArguments a) {
  const std::vector<std::string> kinds{"table", "images", "world", "game", "points"};
  if (a.kind == "csv") a.kind = "table";
  if (std::find(kinds.begin(), kinds.end(), a.kind) == kinds.end()) {
    if (is_there(a.kind))
      throw UserError("symma init " + shell_word(a.kind), "names a file where a kind is asked for",
                      fmt::format("write: symma init {} --data {}",
                                  a.kind.ends_with("csv") || a.kind.ends_with("csv.gz") ? "table" : "images",
                                  shell_word(a.kind)));
    throw UserError("symma init " + a.kind, "no such kind of experiment", suggestion(a.kind, kinds));
  }
  const bool table = a.kind == "table";
  if (!a.data.empty() && !table && a.kind != "images")
    throw UserError("--data", "symma init " + a.kind + " reads no data", "leave it out");
  if (!a.world.empty() && a.kind != "world")
    throw UserError("--world", "symma init " + a.kind + " has no world to choose", "leave it out");
  for (const auto& [option, name] :
       {std::pair{"--group", &a.roles.group}, {"--target", &a.roles.target}, {"--time", &a.roles.time}})
    if (!name->empty() && !table)
      throw UserError(option, "symma init " + a.kind + " has no columns", "leave it out");
  if (a.out.empty()) a.out = a.kind + ".toml";
  if (is_there(a.out) && !a.force)
    throw UserError(a.out, "is there already", "choose another --out, or replace it with --force");
  const Begun begun = table                ? begin_table(a)
                      : a.kind == "images" ? begin_images(a)
                      : a.kind == "world"  ? begin_world(a)
                      : a.kind == "game"   ? begin_game(a)
                                           : begin_points(a);
  write_file(a.out, begun.text);
  if (a.json) {
    fmt::print("{}\n",
               Json{{"written", a.out}, {"kind", a.kind}, {"data", a.data}, {"chosen", begun.chosen}}.dump());
    return;
  }
  for (const auto& line : begun.said) fmt::print("{}\n", line);
  fmt::print("written: {}; look through it, then\n  symma train {}\n", a.out, shell_word(a.out));
}

}  // namespace

void add_init(CLI::App& app) {
  auto a = std::make_shared<InitArguments>();
  auto* c =
      app.add_subcommand("init", "write a commented experiment file for your own table, images or world");
  c->add_option("kind", a->kind, "table, images, world, game or points")->required();
  c->add_option("--data", a->data, "your CSV file, or folders or zips of images")
      ->take_all()
      ->allow_extra_args(false);
  c->add_option("--group", a->roles.group, "column that names the task of a row; found unless given");
  c->add_option("--target", a->roles.target, "column to predict; found unless given");
  c->add_option("--time", a->roles.time, "column of times; found unless given");
  c->add_option("--world", a->world, "simple_spread unless given; symma list Env has all");
  c->add_option("--out", a->out, "the file; KIND.toml unless given");
  c->add_flag("--force", a->force, "replace a file that is there");
  c->add_flag("--json", a->json, "what was chosen, as JSON");
  c->callback([a] { run_init(*a); });
}

}  // namespace symma
