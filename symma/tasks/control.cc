// Any registered world as a distribution over tasks.
//
// A task is a world with constants of its own: those named in `vary` are drawn from the world's training,
// test and out-of-distribution ranges, the others are as set. Agents hold equal parts of the first constant
// that varies. Without `vary` all tasks are one world, met with different random numbers.
#include "symma/tasks/control.h"

#include <fmt/format.h>

#include <cmath>

#include "symma/tasks/advantages.h"
#include "symma/tasks/supervised.h"

namespace symma {

void ControlOptions::fields(Fields& f) {
  f.add("world", world, "the world, as a table: its kind and options");
  f.add(
      "vary", vary,
      "constants of the world that differ from task to task; \"goal_*\" is all that begin with goal_; none: "
      "every task is the same world");
  f.add("copies", copies, "episodes a task that are played together, to learn from").at_least(1);
  f.add("test_copies", test_copies, "the same of tasks that are not for training; 0: as many").at_least(0);
  f.add("eval_copies", eval_copies, "episodes a task when judged").at_least(1);
  f.add("player_index", player_index, "players see which of the team they are, as a one-hot");
  f.add(
      "feedback", feedback,
      "players see what they did last, what it earned and whether the episode is over, which \"rl2\" needs");
  f.add("recall", recall, "with feedback, players also see what they saw when they did it");
  f.add("own_reward", own_reward, "a player is handed its own reward rather than the team's");
  f.add("greedy", greedy, "when judged, players take the best action rather than draw one");
  f.add("greedy_epsilon", greedy_epsilon, "and how often it draws an allowed action evenly all the same")
      .at_least(0)
      .at_most(1);
  f.add("gamma", gamma, "discount of the return in the task's own loss").above(0).at_most(1);
  f.add("baseline", baseline,
        "what returns are compared with in the task's own loss: the other episodes, or a linear function of "
        "what "
        "is seen (standardised advantages, and the mean over steps rather than episodes)")
      .one_of({"episodes", "linear"});
  f.add("gae_lambda", gae_lambda, "of generalised advantages, with the linear baseline")
      .at_least(0)
      .at_most(1);
  f.add("surrogate", surrogate,
        "which derivatives past the first the loss has, with the linear baseline: unbiased, or of low "
        "variance")
      .one_of({"dice", "low_variance"});
}

namespace {

// Options whose worlds stay as they are after their episode. Pieces of work build worlds of them at once, so
// nothing is set in them later.
ControlOptions staying(ControlOptions o) {
  Fields fields;
  o.world.fields(fields);
  for (const auto& f : fields.list()) {
    if (f.name == "auto_reset") *std::get<bool*>(f.target) = false;
  }
  return o;
}

// Steps of a fragment where episodes are looked through and nothing of them is kept.
constexpr int64_t kGlance = 128;

class Control : public TaskFamily, public Shares {
 public:
  using Options = ControlOptions;

  Control(const Options& o, int64_t agents)
      : o_(std::make_shared<Options>(staying(o))), agents_(agents), world_(o_->world.build(1)) {
    if (o.surrogate != "dice" && o.baseline != "linear") {
      throw UserError("[task] surrogate", "\"" + o.surrogate + "\" needs advantages",
                      "set baseline = \"linear\"");
    }
    Options judged = *o_;
    if (o.test_copies > 0) judged.copies = o.test_copies;
    judged_ = std::make_shared<Options>(judged);
    std::vector<std::string> names;
    if (const auto* tasks = dynamic_cast<const HasTasks*>(world_.get())) {
      for (const auto& p : tasks->task_parameters()) names.push_back(p.name);
    }
    for (const auto& name : o.vary) {
      if (name.ends_with('*')) {
        const size_t before = varied_.size();
        for (size_t j = 0; j < names.size(); ++j) {
          if (names[j].starts_with(name.substr(0, name.size() - 1)))
            varied_.push_back(static_cast<int64_t>(j));
        }
        if (varied_.size() > before) continue;
      }
      const auto at = std::find(names.begin(), names.end(), name);
      if (at == names.end()) {
        throw UserError("[task] vary", fmt::format("\"{}\" is no constant of {}", name, world_->spec().name),
                        suggestion(name, names));
      }
      varied_.push_back(at - names.begin());
    }
  }

  // Numbers by which a player is told of the step before.
  int64_t told(const EnvSpec& w) const { return o_->feedback ? w.actions + 2 + (o_->recall ? w.obs : 0) : 0; }

  TaskSpec spec() const override {
    const EnvSpec& w = world_->spec();
    return {.shape = {{w.obs + (o_->player_index ? w.agents : 0) + told(w)},
                      w.continuous ? 2 * w.actions : w.actions},
            .kind = Kind::kControl,
            .metric = "return",
            .higher_is_better = true,
            .players = w.agents,
            .seen = w.obs,
            .limit = w.limit,
            .copies = o_->copies,
            .continuous = w.continuous,
            .leaving = w.leaving};
  }

  std::unique_ptr<TaskBatch> sample(const Model& model, std::span<const Ask> asks,
                                    Split split) const override {
    std::vector<Rng> keys;
    const auto* tasks = dynamic_cast<const HasTasks*>(world_.get());
    const auto b = static_cast<int64_t>(asks.size());
    const auto k = static_cast<int64_t>(tasks ? tasks->task_parameters().size() : 0);
    Tensor constants = at::empty({b, k}, at::kDouble);
    for (int64_t i = 0; i < b; ++i) {
      const Rng own = asks[i].key.split(split_name(split));
      keys.push_back(own.split("world"));
      double* row = constants.data_ptr<double>() + i * k;
      for (int64_t j = 0; j < k; ++j) row[j] = tasks->task_parameters()[j].value;
      Draws d(own.split("constants"));
      for (int64_t j : varied_) row[j] = draw(j, range(j, asks[i].agent, split), d);
    }
    return std::make_unique<ControlBatch>(model, split == Split::kTrain ? o_ : judged_, std::move(keys),
                                          constants);
  }

  std::string share(int64_t agent) const override {
    if (varied_.empty()) return o_->world.kind();
    const auto [low, high] = range(varied_[0], agent, Split::kTrain);
    return fmt::format("{} {:.3g} to {:.3g}", o_->vary[0], low, high);
  }

 private:
  const TaskParameter& parameter(int64_t j) const {
    return dynamic_cast<const HasTasks&>(*world_).task_parameters()[j];
  }

  // An agent's equal part of the first constant that varies, all of the others; whole numbers in whole parts,
  // where there are enough of them.
  std::array<double, 2> range(int64_t j, int64_t agent, Split split) const {
    const TaskParameter& p = parameter(j);
    const auto [low, high] = split == Split::kOod ? p.ood : split == Split::kTest ? p.test : p.train;
    if (agent == kEveryone || j != varied_[0] || split == Split::kOod) return {low, high};
    const double n = static_cast<double>(agents_), a = static_cast<double>(agent);
    if (!p.whole) return {low + (high - low) * a / n, low + (high - low) * (a + 1) / n};
    const double count = high - low + 1;
    if (count < n) return {low, high};
    return {low + std::floor(count * a / n), low + std::floor(count * (a + 1) / n) - 1};
  }

  double draw(int64_t j, std::array<double, 2> range, Draws& d) const {
    if (!parameter(j).whole) return d.uniform(range[0], range[1]);
    return range[0] + static_cast<double>(d.below(static_cast<int64_t>(range[1] - range[0]) + 1));
  }

  std::shared_ptr<const Options> o_, judged_;  // of training tasks, and of the others
  int64_t agents_;
  std::unique_ptr<Env> world_;   // one copy, to ask
  std::vector<int64_t> varied_;  // numbers of the constants that vary
};

SYMMA_REGISTER(TaskFamily, "control", Control, "worlds of many agents, played by a team",
               "symma; worlds name their sources");

}  // namespace

ControlBatch::ControlBatch(const Model& model, std::shared_ptr<const ControlOptions> options,
                           std::vector<Rng> keys, Tensor constants)
    : model_(model), options_(std::move(options)), keys_(std::move(keys)), constants_(std::move(constants)) {}

std::unique_ptr<TaskBatch> ControlBatch::slice(int64_t begin, int64_t end) const {
  return std::make_unique<ControlBatch>(model_, options_,
                                        std::vector<Rng>(keys_.begin() + begin, keys_.begin() + end),
                                        constants_.slice(0, begin, end));
}

std::unique_ptr<Env> ControlBatch::world(int64_t task, int64_t copies) const {
  auto made = options_->world.build(copies);
  if (constants_.size(1) > 0)
    dynamic_cast<HasTasks&>(*made).set_tasks(
        constants_[task].expand({copies, constants_.size(1)}).contiguous());
  return made;
}

Rollout ControlBatch::roll_out(const TeamNet& net, const Tensor& theta, int64_t copies,
                               const Behaviour& behaviour, Rng rng, Tensor* memory) const {
  Rollouts all =
      rollouts(net, copies, behaviour, rng, memory != nullptr, memory != nullptr ? *memory : Tensor());
  Rollout out = all.next(world(0, 1)->spec().limit, theta);
  if (memory) *memory = all.memory(theta);
  return out;
}

Rollouts ControlBatch::rollouts(const TeamNet& net, int64_t copies, const Behaviour& behaviour, Rng rng,
                                bool remembers, Tensor memory) const {
  std::vector<std::unique_ptr<Env>> worlds;
  std::vector<Rng> keys;
  for (int64_t b = 0; b < size(); ++b) {
    worlds.push_back(world(b, copies));
    // The task's key and the caller's: a task in a slice draws as it does in the whole.
    keys.push_back(rng.split("task", keys_[b].key()));
  }
  return {std::move(worlds),
          net,
          {options_->player_index, options_->own_reward, options_->feedback, options_->recall},
          behaviour,
          std::move(keys),
          remembers,
          std::move(memory)};
}

TeamNet ControlBatch::team(const Tensor& theta) const {
  const auto players = world(0, 1)->spec().agents;
  const int64_t p = model_.layout().size();
  TORCH_CHECK(theta.size(1) == p || theta.size(1) == p * players, "a row of ", theta.size(1),
              " columns plays no team of ", players, " with networks of ", p);
  return {model_, players, theta.size(1) == p};
}

ControlBatch::Lesson ControlBatch::play(const Tensor& theta, Stage stage, Rng rng) const {
  at::NoGradGuard no_grad;
  Lesson l;
  l.episodes = roll_out(team(theta), theta.detach(), options_->copies, {},
                        rng.split(stage == Stage::kSupport ? "support" : "query"));
  const Rollout& o = l.episodes;
  l.drawn = o.log_p.sum(3);
  l.reward = o.team_reward(options_->own_reward);
  if (options_->baseline == "linear") {
    const Tensor value = linear_values(o, l.reward, world(0, 1)->spec().obs, options_->gamma);
    l.advantage = standardised(
        generalised_advantages(l.reward, o.alive, value, options_->gamma, options_->gae_lambda), o.alive);
  }
  return l;
}

Tensor ControlBatch::outputs(const Tensor& theta, const Lesson& l) const {
  return team(theta).forward(theta, l.episodes.input.narrow(2, 0, l.drawn.size(2)));
}

namespace {

// What players decide who are no longer there is nobody's doing.
Tensor of_present(const Tensor& x /*[B,E,T,A]*/, const ControlBatch::Lesson& l) {
  const Tensor& present = l.episodes.present;
  return present.defined() ? x * present.narrow(2, 0, x.size(2)).to(x.scalar_type()) : x;
}

}  // namespace

Tensor ControlBatch::log_p(const Tensor& outputs, const Lesson& l) {
  return of_present(
             log_probability(outputs, l.episodes.mask.narrow(2, 0, l.drawn.size(2)), l.episodes.action), l)
      .sum(3);
}

Tensor ControlBatch::apart(const Tensor& before, const Tensor& outputs, const Lesson& l) {
  return of_present(divergence(before, outputs, l.episodes.mask.narrow(2, 0, l.drawn.size(2)),
                               l.episodes.action.scalar_type() != at::kLong),
                    l)
      .sum(3);
}

Tensor ControlBatch::surrogate(const Tensor& log_p, const Lesson& l) const {
  const auto type = log_p.scalar_type();
  const Tensor alive = l.episodes.alive.to(type);
  if (!l.advantage.defined()) return dice(log_p, l.reward.to(type), alive, options_->gamma);
  return policy_surrogate(log_p, l.drawn.to(type), l.advantage.to(type), alive,
                          options_->surrogate == "low_variance");
}

Tensor ControlBatch::loss(const Tensor& theta, Stage stage, Rng rng) const {
  Lesson l = play(theta, stage, rng);
  const Tensor now = log_p(outputs(theta, l), l);
  if (!l.advantage.defined()) return surrogate(now, l);
  l.drawn = now.detach();  // the same, without the rounding of another path
  const Tensor s = surrogate(now, l);
  const Tensor discount = at::pow(options_->gamma, at::arange(l.reward.size(2), l.reward.options()));
  return s - s.detach() - (l.reward * l.episodes.alive * discount).sum(2).mean(1).to(s.scalar_type());
}

Tensor ControlBatch::losses(const Tensor& theta, Stage stage, Rng rng) const {
  at::NoGradGuard no_grad;
  const int64_t b = theta.size(0), l = theta.size(1), copies = options_->copies;
  const Tensor rows = theta.reshape({b * l, theta.size(2)});
  Rollouts play =
      rollouts(team(rows), l * copies, {}, rng.split(stage == Stage::kSupport ? "support" : "query"));
  std::vector<Tensor> paid;
  while (!play.over()) {
    const Rollout o = play.next(kGlance, rows);
    paid.push_back(o.team_reward(options_->own_reward) * o.alive);
  }
  Tensor reward = at::cat(paid, 2);  // padded, so that sums don't depend on when others' episodes ended
  reward = at::constant_pad_nd(reward, {0, world(0, 1)->spec().limit - reward.size(2)});
  const Tensor discount = at::pow(options_->gamma, at::arange(reward.size(2), reward.options()));
  return -reward.matmul(discount).view({b, l, copies}).mean(2).to(theta.scalar_type());
}

Behaviour ControlBatch::judged() const {
  if (!options_->greedy) return {Behaviour::Pick::kSample};
  if (options_->greedy_epsilon == 0 || world(0, 1)->spec().continuous) return {Behaviour::Pick::kGreedy};
  return {Behaviour::Pick::kGreedy, std::vector<double>(size(), options_->greedy_epsilon)};
}

Scores ControlBatch::score(const Tensor& theta, Rng rng) const {
  const TeamNet net = team(theta);
  Rollouts play = rollouts(net, options_->eval_copies, judged(), rng.split("score"));
  Rollout o;
  while (!play.over()) {
    o = {};
    o = play.next(kGlance, theta.detach());
  }
  Scores out{{"return", o.team.mean(1)}, {"length", o.length.mean(1)}};
  if (options_->own_reward) {
    for (int64_t a = 0; a < net.players(); ++a)
      out[fmt::format("return_{}", a)] = o.earned.select(2, a).mean(1);
  }
  return out;
}

std::vector<ControlBatch::Picture> ControlBatch::watch(int64_t task, const Tensor& theta, Rng rng) const {
  const auto one = slice(task, task + 1);
  const auto& batch = dynamic_cast<const ControlBatch&>(*one);
  const TeamNet net = batch.team(theta);
  Rollouts play = batch.rollouts(net, 1, batch.judged(), rng);
  // The same world with the same key and actions is the same episode.
  auto shown = batch.world(0, 1);
  const auto* drawing = dynamic_cast<const Drawable*>(shown.get());
  if (!drawing) return {};
  Frame frame;
  shown->reset(rng.split("task", batch.keys_[0].key()).split("world"), frame);
  std::vector<Picture> out{{drawing->svg(0), 0}};
  while (!play.over()) {
    const Rollout o = play.next(kGlance, theta.detach());
    for (int64_t t = 0; t < o.action.size(2) && o.alive[0][0][t].item<float>() > 0; ++t) {
      shown->step(o.action.select(2, t).select(0, 0), frame);
      out.push_back(
          {drawing->svg(0), out.back().earned + team_reward(shown->spec(), frame.reward).item<double>()});
    }
  }
  return out;
}

const ControlBatch& need_control(const TaskBatch& batch, const std::string& learner) {
  const auto* worlds = dynamic_cast<const ControlBatch*>(&batch);
  if (!worlds) {
    throw UserError("[learner] kind", "\"" + learner + "\" learns in worlds, and this task has none",
                    "set [task] kind = \"control\", or use \"maml\"");
  }
  return *worlds;
}

}  // namespace symma
