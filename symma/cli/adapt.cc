// symma adapt RUN --data few.csv: adapts an agent to a handful of examples, and predicts.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <atomic>

#include "symma/cli/commands.h"
#include "symma/cli/reopen.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/parallel.h"
#include "symma/core/safetensors.h"
#include "symma/eval/statistics.h"
#include "symma/export/exported.h"
#include "symma/fleet/checkpoint.h"
#include "symma/fleet/folder.h"
#include "symma/tasks/csv.h"
#include "symma/tasks/episodes.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

struct AdaptArguments {
  std::string run, data, episodes, out;
  int64_t agent = 0, steps = -1;
};

std::string predictions(const FewShot::Reading& r, const Tensor& output /*[1, K, out]*/,
                        const std::string& header) {
  std::string csv = header;
  const int64_t k = output.size(1);
  const Tensor o = output[0].to(at::kDouble);
  if (r.labels.empty()) {
    csv += ",prediction\n";
    for (int64_t i = 0; i < k; ++i) {
      double y = o[i][0].item<double>();
      if (!r.target_scale.empty()) y = r.target_shift[0] + r.target_scale[0] * y;
      csv += fmt::format("{},{:.7g}\n", r.query_names[i], y);
    }
    return csv;
  }
  csv += ",label,probability\n";
  const Tensor p = at::softmax(o.slice(1, 0, static_cast<int64_t>(r.labels.size())), 1);
  for (int64_t i = 0; i < k; ++i) {
    const auto best = p[i].argmax().item<int64_t>();
    csv +=
        fmt::format("{},{},{:.7f}\n", r.query_names[i], csv_cell(r.labels[best]), p[i][best].item<double>());
  }
  return csv;
}

// Every episode that a file lists, in one table: what was predicted, and what is right where that is known.
void adapt_to_listed(const AdaptArguments& a, const Experiment& e, const State& row) {
  const auto* player = dynamic_cast<const PlaysEpisodes*>(e.family.get());
  if (!player)
    throw UserError("--episodes", "task \"" + e.chosen.task.kind() + "\" plays no listed episodes",
                    "use a run on images or table");
  const EpisodeList list = EpisodeList::load(a.episodes);
  const std::vector<int64_t> steps{a.steps < 0 ? e.eval.steps.back() : a.steps};
  std::vector<std::string> told(list.episodes.size());
  std::vector<Scores> scores(list.episodes.size());
  std::atomic<bool> numbers = false;
  parallel_for(static_cast<int64_t>(told.size()), 1, [&](int64_t i, int64_t) {
    const auto played = player->play(list, i);
    const FewShot::Reading& r = played.reading;
    const SupervisedBatch batch(*e.model, e.spec.kind, r.episode, Mode::kEval);
    const Rng key = Rng(e.fleet.seed).split("listed").split("episode", static_cast<uint64_t>(i));
    const Tensor adapted = e.learner->adapt(row, batch, steps, key.split("adapt"))[0];
    at::NoGradGuard no_grad;
    const std::string table = predictions(r, batch.predict(adapted, r.episode.query_x), "");
    numbers = r.labels.empty();
    size_t at = table.find('\n') + 1, q = 0;
    for (const auto& item : list.episodes[i].items) {
      if (item.support) continue;
      const size_t end = table.find('\n', at);
      // The true label stands before what was predicted.
      const std::string line = table.substr(at, end - at), name = r.query_names[q++];
      told[i] += csv_cell(list.episodes[i].name) + "," + name + "," + csv_cell(item.label) +
                 line.substr(name.size()) + "\n";
      at = end + 1;
    }
    if (std::all_of(played.known.begin(), played.known.end(), [](bool k) { return k; }))
      scores[i] = batch.score(adapted, key.split("score"));
  });
  std::string csv = list.rows ? "episode,row,label," : "episode,file,label,";
  csv += numbers ? "prediction\n" : "predicted,probability\n";
  for (const auto& part : told) csv += part;
  const std::string folder = a.out.empty() ? in_folder(a.run, "adapted") : a.out;
  make_folder(folder);
  write_file(in_folder(folder, "episodes.csv"), csv);
  std::vector<double> judged;
  for (const Scores& s : scores)
    if (const auto it = s.find(e.spec.metric); it != s.end())
      judged.push_back(it->second.to(at::kDouble).item<double>());
  fmt::print("adapted to {} episodes in {} steps each", told.size(), steps[0]);
  if (!judged.empty())
    fmt::print(": {} {:.4g} on the {} whose queries are labelled", e.spec.metric,
               summarise(judged, e.spec.higher_is_better).mean, judged.size());
  fmt::print("\nwritten: {}\n", in_folder(folder, "episodes.csv"));
}

void run_adapt(const AdaptArguments& a) {
  if (a.data.empty() == a.episodes.empty())
    throw UserError("symma adapt", a.data.empty() ? "no examples" : "two kinds of examples",
                    "name a CSV file with --data, or a list of episodes with --episodes");
  const Experiment e = open_experiment(a.run, {});
  const RunState state = load_checkpoint(in_folder(a.run, "checkpoint.safetensors"), e);
  check_agent(e, a.agent);
  if (!a.episodes.empty()) return adapt_to_listed(a, e, state.learner.rows(a.agent, a.agent + 1));
  const auto* reader = dynamic_cast<const FewShot*>(e.family.get());
  if (!reader)
    throw UserError("--data", "task \"" + e.chosen.task.kind() + "\" cannot read examples from a file",
                    "use a run on sinusoid, table or images");
  if (const std::string changed = changed_data(a.run); !changed.empty())
    std::fprintf(stderr, "%s since training; predictions go by what the run learned from\n", changed.c_str());
  const FewShot::Reading reading = reader->read(a.data);
  const SupervisedBatch batch(*e.model, e.spec.kind, reading.episode, Mode::kEval);
  const std::vector<int64_t> steps{0, a.steps < 0 ? e.eval.steps.back() : a.steps};
  const Rng rng = Rng(e.fleet.seed).split("adapt");
  const auto rows = e.learner->adapt(state.learner.rows(a.agent, a.agent + 1), batch, steps, rng);
  const auto fit = [&](const Tensor& row) { return batch.loss(row, Stage::kSupport, rng).item<double>(); };
  const double before = fit(rows[0]), after = fit(rows[1]);
  if (!std::isfinite(after))
    throw UserError(a.data, "adapting to it diverged", "check the scale of the numbers, or lower --steps");

  at::NoGradGuard no_grad;
  const std::string folder = a.out.empty() ? in_folder(a.run, "adapted") : a.out;
  make_folder(folder);
  const std::string csv =
      predictions(reading, batch.predict(rows[1], reading.episode.query_x), reading.query_header);
  write_file(in_folder(folder, "predictions.csv"), csv);
  Safetensors file;
  for (const auto& entry : e.model->layout().entries())
    file.tensors[entry.name] = e.model->layout().view(rows[1], entry.name)[0];
  file.metadata = about(exported(e, state.learner, a.agent));
  file.metadata["format"] = "symma adapted 1";
  file.metadata["steps"] = std::to_string(steps[1]);
  if (!reading.labels.empty()) file.metadata["labels"] = Json(reading.labels).dump();
  write_safetensors(in_folder(folder, "adapted.safetensors"), file);
  fmt::print("adapted to {} examples in {} steps: loss on them {:.4g} before, {:.4g} after\n",
             reading.episode.support_x.size(1), steps[1], before, after);
  fmt::print("written: {}, {}\n", in_folder(folder, "predictions.csv"),
             in_folder(folder, "adapted.safetensors"));
}

}  // namespace

void add_adapt(CLI::App& app) {
  auto a = std::make_shared<AdaptArguments>();
  auto* c = app.add_subcommand("adapt", "adapt to a handful of examples of a new task, and predict");
  c->add_option("run", a->run, "folder of the run")->required();
  c->add_option("--data", a->data, "CSV of examples; rows with an empty target are predicted");
  c->add_option("--episodes", a->episodes,
                "adapt to every episode that a CSV file lists, or to Omniglot's one-shot runs");
  c->add_option("--steps", a->steps, "steps of adaptation; the most in the run's eval.steps unless given")
      ->check(CLI::Range(0, 1000000));
  c->add_option("--agent", a->agent, "which agent adapts");
  c->add_option("--out", a->out, "folder for the results; RUN/adapted unless given");
  c->callback([a] { run_adapt(*a); });
}

}  // namespace symma
