#include "symma/eval/listed.h"

#include <algorithm>

#include "symma/core/errors.h"
#include "symma/core/parallel.h"

namespace symma {

EvalResult evaluate_listed(const Subject& subject, const EpisodeList& list, const std::vector<int64_t>& steps,
                           Rng rng) {
  const auto& player = dynamic_cast<const PlaysEpisodes&>(subject.family);
  const int64_t agents = subject.state.size();
  const auto episodes = static_cast<int64_t>(list.episodes.size());
  const Kind kind = subject.family.spec().kind;
  std::vector<std::vector<Scores>> found(agents * episodes);  // [agent episode][step]
  parallel_for(episodes, 1, [&](int64_t i, int64_t) {
    const auto played = player.play(list, i);
    const auto unknown = std::find(played.known.begin(), played.known.end(), false);
    if (unknown != played.known.end())
      throw UserError(list.episodes[i].items[0].place,
                      "episode " + list.episodes[i].name + " has a query without a label",
                      "label it to be judged, or have it predicted (symma adapt --episodes)");
    const SupervisedBatch batch(subject.model, kind, played.reading.episode, Mode::kEval);
    for (int64_t a = 0; a < agents; ++a) {
      // An episode has a key of its own, whoever plays it.
      const Rng key = rng.split("episode", static_cast<uint64_t>(i));
      const auto rows = subject.learner.adapt(subject.state.rows(a, a + 1), batch, steps, key.split("adapt"));
      for (const Tensor& row : rows) {
        Scores scores = batch.score(row, key.split("score"));
        for (auto& [name, score] : scores) score = score.to(at::kCPU, at::kDouble).contiguous();
        found[a * episodes + i].push_back(std::move(scores));
      }
    }
  });
  const int64_t* id = subject.state.id.data_ptr<int64_t>();
  EvalResult result;
  result.split = Split::kTest, result.metric = subject.family.spec().metric, result.steps = steps;
  result.agents = {id, id + agents}, result.counted = subject.counted;
  for (int64_t at = 0; at < agents * episodes; ++at) {
    for (size_t s = 0; s < steps.size(); ++s) {
      for (const auto& [name, score] : found[at][s]) {
        ScoreTable& table = result.all[name];
        if (table.empty()) table.assign(agents, std::vector(steps.size(), std::vector<double>(episodes)));
        table[at / episodes][s][at % episodes] = score.item<double>();
      }
    }
  }
  return result;
}

}  // namespace symma
