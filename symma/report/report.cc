#include "symma/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "symma/core/files.h"
#include "symma/report/arms.h"
#include "symma/report/attacks.h"
#include "symma/report/data.h"
#include "symma/report/format.h"
#include "symma/report/gallery.h"
#include "symma/report/graph.h"
#include "symma/report/lineage.h"
#include "symma/report/page.h"
#include "symma/report/run.h"
#include "symma/report/tables.h"
#include "symma/report/words.h"

namespace symma {
namespace {

std::string steps_text(int64_t steps) {
  return steps == 1 ? "1 step" : fmt::format("{} steps", steps);
}

// " after 10 steps"; nothing where nobody was asked to adapt.
std::string after_text(const Evaluation& e) {
  const bool none = e.steps.size() == 1 && e.steps[0] == 0;
  return none ? "" : " after " + steps_text(e.steps.back());
}

std::string agents_text(int64_t agents) {
  return agents == 1 ? "1 agent" : fmt::format("{} agents", agents);
}

// A card that page.js fills with a chart. `run` is an index into the data, or a group's for the comparison.
std::string chart(const std::string& kind, size_t index, const std::string& title, const std::string& note,
                  const std::string& below = "") {
  return fmt::format(
      "<div class=\"card\"><h4>{}</h4><div class=\"canvas\"><canvas data-chart=\"{}\" data-index=\"{}\" "
      "role=\"img\" "
      "aria-label=\"{}\"></canvas></div>{}{}</div>",
      title, kind, index, title, note.empty() ? "" : "<p class=\"note\">" + note + "</p>", below);
}

std::string card(const std::string& title, const std::string& body) {
  return "<div class=\"card\"><h4>" + title + "</h4>" + body + "</div>";
}

// Worlds are drawn against the steps in them, as papers do; all else against rounds.
std::string axis_choice(bool bits, bool env_steps) {
  const auto button = [](const char* axis, const char* words, bool pressed) {
    return fmt::format("<button type=\"button\" data-axis=\"{}\" aria-pressed=\"{}\">{}</button>", axis,
                       pressed, words);
  };
  return "<div class=\"choice\" role=\"group\" aria-label=\"horizontal axis\">against " +
         (env_steps ? button("env_steps", "steps in worlds", true) : "") +
         button("round", "rounds", !env_steps) + button("seconds", "time", false) +
         (bits ? button("bits", "bits sent", false) : "") + "</div>";
}

std::string training_section(bool bits, bool env_steps, bool shared) {
  return fmt::format("<section class=\"training\"{}{}><h3>Training</h3>",
                     env_steps ? " data-axis=\"env_steps\"" : "", shared ? " data-shared=\"runs\"" : "") +
         axis_choice(bits, env_steps) + (shared ? "<div class=\"legend shared\"></div>" : "");
}

bool in_worlds(const Run& run) {
  const auto& steps = run.training.env_steps;
  return !steps.empty() && std::isfinite(steps.back());
}

bool earns(const Run& run) {
  return std::any_of(run.training.scores.begin(), run.training.scores.end(),
                     [](const auto& s) { return earned_score(s.first); });
}

std::string headline(const Run& run) {
  const std::string who =
      run.agents == 1 ? agents_text(1)
      : run.seeds > 1 ? fmt::format("{} seeds", run.agents)
      : run.shares()  ? fmt::format("{} on <code>{}</code>", agents_text(run.agents), escape(run.topology()))
                      : agents_text(run.agents) + ", each for itself";
  return (run.eval ? score_words(*run.eval) : "Not evaluated yet") + "; " + who;
}

std::string tiles(const Run& run) {
  std::string out = "<dl class=\"facts\">";
  const auto tile = [&](const std::string& term, const std::string& value, const std::string& small = "") {
    out += fmt::format("<div><dt>{}</dt><dd>{}{}</dd></div>", term, value,
                       small.empty() ? "" : " <small>" + small + "</small>");
  };
  if (run.eval) {
    const Evaluation& e = *run.eval;
    const std::string metric = escape(e.metric);
    if (e.steps.size() > 1)
      tile(fmt::format("{} after {}", metric, steps_text(e.steps.front())),
           score(e.mean.front(), e.percent()));
    tile(metric + after_text(e), score(e.mean.back(), e.percent()),
         "median " + score(e.median.back(), e.percent()));
  }
  // Agents that never speak are rivals, or seeds of one experiment: how far apart they are says nothing.
  if (run.agents > 1 && run.exchange.bits > 0) {
    tile("sent", bits(run.exchange.bits), bytes_of_bits(run.exchange.bits));
    if (std::isfinite(run.exchange.disagreement))
      tile("disagreement at the end", three_digits(run.exchange.disagreement));
  }
  tile("time", duration(run.wall_s),
       std::isfinite(run.tasks_per_s) ? grouped(run.tasks_per_s) + " tasks/s" : "");
  return out + "</dl>";
}

// One number of steps is no curve: the table says it all.
std::string curve(const Evaluation& e, const std::string& kind, size_t index, const std::string& title,
                  const std::string& note, const std::string& below) {
  return e.steps.size() > 1 ? chart(kind, index, title, note, below) : card(title, below);
}

std::string adaptation(const Run& run, size_t i) {
  std::string out;
  if (run.eval) {
    std::string below = evaluation_table(*run.eval);
    if (const auto words = caution(*run.eval); !words.empty())
      below += "<p class=\"caution\">" + words + "</p>";
    if (!run.eval->protocol.empty())
      below += "<p class=\"note\">Protocol: " + escape(run.eval->protocol) + "</p>";
    out += curve(
        *run.eval, "eval", i, run.eval->steps.size() > 1 ? "Adaptation to unseen tasks" : "Unseen tasks",
        fmt::format("Score after so many steps of adaptation, {} {} tasks. Band around the mean: its 95 % "
                    "interval; around the median: the middle half of the tasks.",
                    grouped(static_cast<double>(run.eval->tasks)), escape(run.eval->split)),
        below);
  }
  if (run.ood) {
    std::string below = evaluation_table(*run.ood);
    if (const auto words = caution(*run.ood); !words.empty())
      below += "<p class=\"caution\">" + words + "</p>";
    if (!run.ood->protocol.empty())
      below += "<p class=\"note\">Protocol: " + escape(run.ood->protocol) + "</p>";
    out += curve(
        *run.ood, "ood", i, "Out of distribution",
        fmt::format("The same on {} tasks of the split <code>{}</code>, from ranges that training never saw.",
                    grouped(static_cast<double>(run.ood->tasks)), escape(run.ood->split)),
        below);
  }
  return out;
}

std::string training(const Run& run, size_t i) {
  const Training& t = run.training;
  std::string out;
  const std::string thinned =
      t.loss.size() > 2000
          ? " Of each stretch of rows the least and the greatest are drawn; metrics.jsonl has all."
          : "";
  if (earns(run))
    out += chart("returns", i, "Training return",
                 "What was earned while learning. Faint: as recorded; bold: running mean." + thinned);
  if (!t.loss.empty())
    out += chart("loss", i, "Training loss", "Faint: as recorded; bold: running mean." + thinned);
  if (!t.validation.empty())
    out +=
        chart("validation", i, "Validation score", "On tasks set aside, after so many steps of adaptation.");
  if (run.eval)
    if (const std::string words = past_best_words(t, run.eval->metric, run.eval->higher_is_better);
        !words.empty())
      out += "<p class=\"note\">" + escape(words) + ".</p>";
  bool disagreed = false;
  for (const double d : t.disagreement) disagreed = disagreed || (std::isfinite(d) && d > 0);
  if (run.agents > 1 && disagreed && run.exchange.bits > 0) {
    out += chart("disagreement", i, "Disagreement",
                 "How far the agents' parameters lie from their mean; logarithmic.");
  }
  const bool spends =
      std::any_of(t.epsilon.begin(), t.epsilon.end(), [](double x) { return std::isfinite(x); });
  if (spends) {
    out += chart("epsilon", i, "Privacy spent",
                 "An upper bound on epsilon, along the run. At the end: " + escape(run.privacy) + ".");
  }
  bool apart = run.agents > 1 && !t.loss.empty();
  for (const auto& row : t.loss_per_agent) apart = apart && row.size() == static_cast<size_t>(run.agents);
  if (apart) {
    out += chart("agents_loss", i, "Each " + run.one() + "'s loss",
                 run.agents > 12 ? "Median over the " + run.one() + "s; band: least to greatest."
                 : run.seeds > 1 ? "Running means; each repetition on all of the tasks."
                                 : "Running means; each agent on its own share of the tasks.");
  }
  if (out.empty()) return "";
  return training_section(run.exchange.bits > 0, in_worlds(run), false) + "<div class=\"cards\">" + out +
         "</div></section>";
}

std::string communication(const Run& run) {
  const Communication& c = run.exchange;
  std::string facts = "<table><tbody>";
  const auto row = [&](const std::string& name, const std::string& value) {
    facts += "<tr><th scope=\"row\">" + name + "</th><td class=\"words\">" + value + "</td></tr>";
  };
  row("graph", escape(run.topology()) + (c.server ? ", with a server" : ""));
  if (run.rule != "mean") row("rule", "<code>" + escape(run.rule) + "</code>");
  if (!run.compression.empty()) row("compression", "<code>" + escape(run.compression) + "</code>");
  if (!run.attack.empty())
    row("hostile or broken",
        fmt::format("<code>{}</code>, agents {}; scores, loss and disagreement are over the "
                    "others",
                    escape(run.attack), run.hostile));
  if (!run.privacy.empty()) row("privacy", escape(run.privacy));
  if (!run.secure.empty()) row("secure sums", escape(run.secure));
  if (!c.strategy.empty()) row("strategy", escape(c.strategy));
  row("rounds of exchange", grouped(static_cast<double>(c.rounds)));
  row("sent in all", fmt::format("{} ({})", bits(c.bits), bytes_of_bits(c.bits)));
  if (c.rounds > 0 && run.agents > 0)
    row("an agent and round", bits(c.bits / static_cast<double>(c.rounds) / static_cast<double>(run.agents)));
  if (std::isfinite(c.lambda2)) row("λ₂ of the weights", fmt::format("{:.3f}", c.lambda2));
  if (std::isfinite(c.disagreement)) row("disagreement at the end", three_digits(c.disagreement));
  facts += "</tbody></table>";
  if (std::isfinite(c.lambda2))
    facts +=
        "<p class=\"note\">λ₂: the share of disagreement that one exchange leaves; 0 is agreement at once, 1 "
        "is none ever.</p>";
  return "<section><h3>Communication</h3><div class=\"cards\">" + card("Who talks to whom", graph_svg(run)) +
         card("What it cost", facts + weights_table(run)) + "</div></section>";
}

// Where agents are seeds of one experiment, what is said of it.
std::string over_agents(const Run& run) {
  if (!run.eval || run.agents < 2 || run.eval->agents_low.empty()) return "";
  const Evaluation& e = *run.eval;
  const bool p = e.percent();
  const std::string mean = fmt::format("Over the agents{}: mean {} (95 % by Student's t)", after_text(e),
                                       with_interval(e.agents_mean.back(), e.agents_ci95.back(), p));
  // Of fewer than five there is no bootstrap.
  if (!std::isfinite(e.agents_low.back())) return "<p class=\"note\">" + mean + ".</p>";
  return fmt::format(
      "<p class=\"note\">{}, interquartile mean {} (95 % by the stratified bootstrap: {} to {}).</p>", mean,
      score(e.agents_iqm.back(), p), score(e.agents_low.back(), p), score(e.agents_high.back(), p));
}

std::string agents(const Run& run, size_t i) {
  const std::string table = agents_table(run);
  if (table.empty()) return "";
  std::string cards;
  if (run.eval && !run.eval->per_agent.empty() && run.agents > 1) {
    const std::string tasks = run.of_own_slices() ? "Unseen tasks of each " + run.one() + "'s own part"
                                                  : "The same unseen tasks for all";
    cards += chart("agents", i, "Score by " + run.one(),
                   tasks + ", each " + run.one() + " starting from its own parameters.");
  }
  return fmt::format("<section><h3>{}</h3><div class=\"stack\">", run.seeds > 1 ? "Repetitions" : "Agents") +
         card("What each " + run.one() + " holds and how it does", table + over_agents(run)) + cards +
         "</div></section>";
}

std::string run_html(const Run& run, size_t i, bool several) {
  std::string out = fmt::format("<article id=\"run-{}\">", i);
  std::string about = several ? "" : headline(run);
  std::string parts;
  for (const std::string& part : {run.learner, run.model, run.task})
    if (!part.empty()) parts += escape(part) + " · ";
  parts += fmt::format("seed {}", run.seed);
  if (several) {
    out += fmt::format("<header><h2>{}</h2><p class=\"headline\">{}</p>", escape(run.name), headline(run));
  } else {
    out += fmt::format("<header><p class=\"kicker\">{}</p><h1>{}</h1>", escape(run.name), about);
  }
  out += "<p class=\"parts\">" + parts + (run.finished ? "" : " <span class=\"badge\">unfinished</span>") +
         "</p>";
  if (!run.description.empty()) out += "<p>" + escape(run.description) + "</p>";
  out += tiles(run) + "</header>";
  if (const auto cards = adaptation(run, i); !cards.empty())
    out += fmt::format("<section><h3>{}</h3><div class=\"cards\">{}</div></section>",
                       run.eval && run.eval->steps.size() > 1 ? "Adaptation" : "Score", cards);
  if (const auto drawn = gallery_html(run, fmt::format("task-{}", i)); !drawn.empty()) {
    out += "<section><h3>Tasks</h3><div class=\"card\">" + drawn + "</div></section>";
  }
  out += training(run, i);
  if (const auto drawn = lineage_html(run); !drawn.empty())
    out += "<section><h3>Population</h3><div class=\"stack\">" + drawn + "</div></section>";
  // Agents that never speak are rivals, or seeds of one experiment.
  if (run.shares()) out += communication(run);
  if (const auto drawn = presence_html(run.presence, run.agents); !drawn.empty())
    out += "<section><h3>Who was there</h3><div class=\"stack\">" + drawn + "</div></section>";
  out += agents(run, i);
  out += "<section><h3>Settings</h3><div class=\"card\">" + settings_tables(run) + "</div></section>";
  return out + "</article>";
}

std::string ranking(const std::vector<Run>& runs) {
  std::string out;
  for (const auto& line : standing_words(runs, true)) out += "<p class=\"headline\">" + line + "</p>";
  return out;
}

std::string comparison(const std::vector<Run>& runs, const Json& data) {
  std::string out = fmt::format(
      "<article id=\"comparison\"><header><p class=\"kicker\">comparison</p><h1>{} runs side by "
      "side</h1>{}</header>",
      runs.size(), ranking(runs));
  out += "<nav>";
  for (size_t i = 0; i < runs.size(); ++i)
    out += fmt::format("<a href=\"#run-{}\">{}</a>", i, escape(runs[i].name));
  out += "</nav><section data-shared=\"runs\"><h3>Adaptation</h3><div class=\"card\">" +
         comparison_html(runs) + "</div><div class=\"legend shared\"></div><div class=\"cards\">";
  for (size_t g = 0; g < data.at("groups").size(); ++g) {
    out +=
        chart("compare", g,
              "Adaptation to unseen tasks: " + escape(data.at("groups")[g].at("metric").get<std::string>()),
              "Lines: means with their 95 % intervals.");
    out += chart("compare_median", g, "The same, medians",
                 "Lines: medians; bands: the middle half of the tasks.");
  }
  out += "</div></section>";
  if (const auto table = attacks_html(runs); !table.empty())
    out += "<section><h3>Under attack</h3><div class=\"card\">" + table + "</div></section>";
  if (const auto table = privacy_html(runs); !table.empty())
    out += "<section><h3>Privacy</h3><div class=\"card\">" + table + "</div></section>";
  if (std::count_if(runs.begin(), runs.end(), [](const Run& r) { return r.exchange.bits > 0; }) > 1) {
    out += "<section><h3>Communication</h3><div class=\"cards\">";
    for (size_t g = 0; g < data.at("groups").size(); ++g)
      out += chart("compare_cost", g, "Score against bits sent",
                   "Each run's score after the most steps of adaptation, against all that its agents sent.");
    out += "</div></section>";
  }
  bool bits = false, env_steps = true;
  for (const Run& r : runs) {
    bits = bits || r.exchange.bits > 0;
    env_steps = env_steps && in_worlds(r);
  }
  out += training_section(bits, env_steps, true) + "<div class=\"cards\">";
  if (std::all_of(runs.begin(), runs.end(), earns))
    out += chart("compare_returns", 0, "Training return", "Running means of what was earned while learning.");
  out += chart("compare_loss", 0, "Training loss", "Running means.");
  bool validated = false, disagreed = false;
  for (const Run& r : runs) {
    validated = validated || !r.training.validation.empty();
    for (const double d : r.training.disagreement)
      disagreed = disagreed || (r.agents > 1 && r.exchange.bits > 0 && std::isfinite(d) && d > 0);
  }
  if (validated)
    out += chart("compare_validation", 0, "Validation score",
                 "After the most steps of adaptation that each run was validated with.");
  if (disagreed)
    out += chart("compare_disagreement", 0, "Disagreement", "Of the agents' parameters; logarithmic.");
  return out + "</div></section></article>";
}

}  // namespace

namespace {

std::string base_name(const std::string& folder) {
  auto path = std::filesystem::path(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

std::string sweep_html(const std::vector<Run>& runs, const std::string& title,
                       const std::vector<std::string>& failed) {
  const auto arms = arms_of(runs);
  Json data{{"runs", Json::array()}, {"groups", Json::array()}, {"arms", arms_data(arms)}};
  return page_of(title, runs.front().version, arms_html(arms, title, failed, left_out(runs)), data);
}

}  // namespace

std::string report_html(const std::vector<std::string>& folders) {
  bool sweep = false;
  const std::vector<Run> runs = read_runs(run_folders(folders, &sweep));
  if (sweep) return sweep_html(runs, base_name(folders.front()), {});
  const Json data = chart_data(runs);
  const bool several = runs.size() > 1;
  std::string body = several ? comparison(runs, data) : "";
  for (size_t i = 0; i < runs.size(); ++i) body += run_html(runs[i], i, several);
  const std::string title = several ? fmt::format("{} runs compared", runs.size()) : runs.front().name;
  return page_of(title, runs.front().version, body, data);
}

Json report_data(const std::vector<std::string>& folders) {
  bool sweep = false;
  const std::vector<Run> runs = read_runs(run_folders(folders, &sweep));
  if (!sweep) return chart_data(runs);
  return {{"runs", Json::array()}, {"groups", Json::array()}, {"arms", arms_data(arms_of(runs))}};
}

SweepResult sweep_result(const std::string& folder, const std::vector<std::string>& failed) {
  const std::vector<Run> runs = read_runs(run_folders({folder}));
  const auto arms = arms_of(runs);
  const auto others = left_out(runs);
  return {sweep_html(runs, base_name(folder), failed),
          arms_text(arms, others),
          arms_csv(arms),
          arms_json(arms),
          arms_standing(arms, false),
          others};
}

void write_report(const std::vector<std::string>& run_folders, const std::string& path) {
  write_file(path, report_html(run_folders));
}

std::string comparison_table(const std::vector<std::string>& folders) {
  bool sweep = false;
  const auto runs = read_runs(run_folders(folders, &sweep));
  if (sweep) return arms_text(arms_of(runs), left_out(runs));
  std::string out = comparison_text(runs);
  for (const auto& line : standing_words(runs, false)) out += line + "\n";
  return out;
}

Json comparison_json(const std::vector<std::string>& folders) {
  bool sweep = false;
  const auto runs = read_runs(run_folders(folders, &sweep));
  if (sweep) {
    const auto arms = arms_of(runs);
    return {{"arms", arms_json(arms)},
            {"standing", Json::array({arms_standing(arms, false)})},
            {"left_out", left_out(runs)}};
  }
  Json out{{"runs", Json::array()}, {"standing", standing_words(runs, false)}};
  for (const Run& r : runs) {
    Json one{{"name", r.name}, {"folder", r.folder}, {"learner", r.learner},    {"topology", r.topology()},
             {"seed", r.seed}, {"agents", r.agents}, {"bits", r.exchange.bits}, {"eval", nullptr}};
    if (r.eval) {
      const Evaluation& e = *r.eval;
      one["eval"] = {{"metric", e.metric}, {"higher_is_better", e.higher_is_better},
                     {"tasks", e.tasks},   {"steps", e.steps},
                     {"mean", e.mean},     {"ci95", e.ci95},
                     {"median", e.median}};
    }
    out["runs"].push_back(one);
  }
  return out;
}

}  // namespace symma
