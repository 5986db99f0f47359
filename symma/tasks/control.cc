// Any registered world as a distribution over tasks.
//
// A task is a world with constants of its own: those named in `vary` are drawn from the world's training,
// test and out-of-distribution ranges, the others are as set. Agents hold equal parts of the first constant
// that varies. Without `vary` all tasks are one world, met with different random numbers.
#include "symma/tasks/control.h"

#include <fmt/format.h>

#include <cmath>
#include <set>

#include "symma/tasks/advantages.h"
#include "symma/tasks/has_directions.h"
#include "symma/tasks/signature.h"
#include "symma/tasks/supervised.h"

namespace symma {

void ControlOptions::fields(Fields& f) {
  f.add("world", world, "the world, as a table: its kind and options");
  f.add(
      "vary", vary,
      "constants of the world that differ from task to task; \"goal_*\" is all that begin with goal_; none: "
      "every task is the same world");
  f.add("oracle", oracle,
        "train on the range of tasks that one is judged on: a bound that no learner of new tasks passes")
      .tells_the_task();
  f.add("context", context,
        "players are told the constants that vary, each from -1 to 1 over its training range: what a policy "
        "that knows its task reaches bounds what adapting to it can")
      .tells_the_task();
  f.add("copies", copies, "episodes a task that are played together, to learn from").at_least(1);
  f.add("test_copies", test_copies, "the same of tasks that are not for training; 0: as many").at_least(0);
  f.add("eval_copies", eval_copies, "episodes a task when judged").at_least(1);
  f.add("player_index", player_index, "players see which of the team they are, as a one-hot")
      .of_what_is_seen();
  f.add("feedback", feedback,
        "players see what they did last, what it earned and whether the episode is over, which \"rl2\" needs")
      .of_what_is_seen();
  f.add("recall", recall, "with feedback, players also see what they saw when they did it").of_what_is_seen();
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
  f.add("head", head,
        "numbers that players set: as they are drawn, where what lies beyond a bound counts as the bound; or "
        "squashed into the bounds by tanh")
      .one_of({"clipped", "squashed"});
  f.add("teacher", teacher,
        "whose actions the task's own loss is the distance to, rather than minus the return: a script, which "
        "may know more than players see; \"idle\": none");
  f.add("metric", metric, "what tasks are judged by first: the return, or a score that the world gives");
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

class Control : public TaskFamily,
                public Shares,
                public MeetsRival,
                public HasSignature,
                public HasDirections {
 public:
  using Options = ControlOptions;

  Control(const Options& o, int64_t agents)
      : o_(std::make_shared<Options>(staying(o))), agents_(agents), world_(o_->world.build(1)) {
    if (o.surrogate != "dice" && o.baseline != "linear") {
      throw UserError("[task] surrogate", "\"" + o.surrogate + "\" needs advantages",
                      "set baseline = \"linear\"");
    }
    check_head();
    follow();
    judged_ = judged(*o_);
    check_metric();
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
    if (o.context && varied_.empty())
      throw UserError("[task] context", "no constant of the world varies, so there is nothing to be told",
                      "name some in vary");
  }

  void meet(const Rival& rival) override {
    rival.script->check(*world_);
    const EnvSpec& w = world_->spec();
    for (int64_t p : rival.players) {
      if (p < w.agents) continue;
      throw UserError("[rival] players", fmt::format("player {} is not there", p),
                      fmt::format("{} has players 0 to {}", w.name, w.agents - 1));
    }
    if (std::set<int64_t>(rival.players.begin(), rival.players.end()).size() != rival.players.size())
      throw UserError("[rival] players", "names a player twice", "name each once");
    if (static_cast<int64_t>(rival.players.size()) == w.agents)
      throw UserError("[rival] players", "are all of them, and nobody learns", "leave one out");
    Options met = *o_;
    met.rival = rival;
    std::sort(met.rival.players.begin(), met.rival.players.end());
    o_ = std::make_shared<Options>(met);
    judged_ = judged(met);
  }

  // Numbers by which a player is told of the step before.
  int64_t told(const EnvSpec& w) const {
    return o_->feedback ? w.actions + 2 + (o_->recall ? seen(w) : 0) : 0;
  }
  // The constants where it is told them, and what it sees.
  int64_t seen(const EnvSpec& w) const { return w.obs + (o_->context ? std::ssize(varied_) : 0); }

  TaskSpec spec() const override {
    const EnvSpec& w = world_->spec();
    return {.shape = {{seen(w) + (o_->player_index ? w.agents : 0) + told(w)},
                      w.continuous ? 2 * w.actions : w.actions},
            .kind = Kind::kControl,
            .metric = o_->metric,
            .higher_is_better = higher_,
            .players = w.agents,
            .seen = seen(w),
            .limit = w.limit,
            .copies = o_->copies,
            .continuous = w.continuous,
            .leaving = w.leaving,
            .scripted = o_->rival.players,
            .advantages = o_->baseline == "linear",
            .taught = o_->lead != nullptr,
            .feedback = o_->feedback,
            .labels = false};
  }

  // What a player sees, in the order of Rollouts::see and look.
  Signature signature() const override {
    const EnvSpec& w = world_->spec();
    Signature s;
    const auto part = [&](int64_t n, const std::string& what) {
      if (n > 0) s.form += fmt::format("{}{} {}", s.form.empty() ? "" : ", then ", n, what);
    };
    part(o_->context ? std::ssize(varied_) : 0, "constants of the task (-1 to 1 over their training ranges)");
    part(w.obs, "numbers seen");
    part(o_->player_index ? w.agents : 0, "for which player looks (one-hot)");
    if (o_->feedback) {
      part(w.actions, w.continuous ? "numbers set last, as output" : "for the action done last (one-hot)");
      part(2, "for what that earned and whether the episode was over (zeros at first)");
      part(o_->recall ? seen(w) : 0, "constants and numbers seen when it was done");
    }
    s.actions = w.action_names;
    if (!w.continuous) return s;
    s.head = o_->head;
    const auto of_one = [&](const std::vector<double>& all) {
      return std::vector<double>(all.begin(), all.begin() + w.actions);
    };
    s.low = of_one(w.action_low), s.high = of_one(w.action_high);
    for (size_t i = 0; i < w.action_low.size(); ++i) {
      const size_t k = i % s.low.size();
      if (w.action_low[i] == s.low[k] && w.action_high[i] == s.high[k]) continue;
      s.low.clear(), s.high.clear();
      break;
    }
    return s;
  }

  std::map<std::string, bool> directions() const override {
    std::map<std::string, bool> out{{"return", true}};
    for (int64_t a = 0; o_->own_reward && a < world_->spec().agents; ++a)
      out[fmt::format("return_{}", a)] = true;
    if (const auto* judge = dynamic_cast<const Judged*>(world_.get()))
      for (const auto& s : judge->score_names()) out[s.name] = s.higher_is_better;
    // One that plays apart is judged as the network is.
    if (o_->rival.script && o_->rival.players.empty())
      for (const auto& [name, higher] : std::map(out)) out["rival_" + name] = higher;
    return out;
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
                                          constants, o_->context ? context(constants) : Tensor());
  }

  std::string share(int64_t agent) const override {
    if (varied_.empty()) return o_->world.kind();
    const auto [low, high] = range(varied_[0], agent, Split::kTrain);
    return fmt::format("{} {:.3g} to {:.3g}", o_->vary[0], low, high);
  }

 private:
  // Options of tasks that are not for training.
  static std::shared_ptr<const Options> judged(Options o) {
    if (o.test_copies > 0) o.copies = o.test_copies;
    return std::make_shared<Options>(o);
  }

  void check_head() const {
    const EnvSpec& w = world_->spec();
    if (o_->head != "squashed") return;
    if (!w.continuous)
      throw UserError("[task] head", w.name + " has no numbers to squash",
                      "leave head out, or set levels = 0");
    for (size_t i = 0; i < w.action_low.size(); ++i) {
      if (std::isfinite(w.action_low[i]) && std::isfinite(w.action_high[i])) continue;
      throw UserError("[task] head",
                      fmt::format("{} of {} has no bounds", w.action_names[i % w.actions], w.name),
                      "set it to \"clipped\"");
    }
  }

  void follow() {
    if (o_->teacher.kind() == "idle") return;
    Options with = *o_;
    with.lead = with.teacher.build();
    try {
      with.lead->check(*world_);
    } catch (const UserError& e) {
      throw UserError("[task] teacher", e.wrong(), "name a script of this world, or leave it out");
    }
    o_ = std::make_shared<Options>(with);
  }

  void check_metric() {
    if (o_->metric == "return") return;
    std::vector<std::string> names{"return"};
    if (const auto* judge = dynamic_cast<const Judged*>(world_.get())) {
      for (const auto& s : judge->score_names()) {
        names.push_back(s.name);
        if (s.name != o_->metric) continue;
        higher_ = s.higher_is_better;
        return;
      }
    }
    throw UserError("[task] metric", fmt::format("\"{}\" is no score of {}", o_->metric, world_->spec().name),
                    suggestion(o_->metric, names));
  }

  const TaskParameter& parameter(int64_t j) const {
    return dynamic_cast<const HasTasks&>(*world_).task_parameters()[j];
  }

  // An agent's equal part of the first constant that varies, all of the others; whole numbers in whole parts,
  // where there are enough of them.
  std::array<double, 2> range(int64_t j, int64_t agent, Split split) const {
    const TaskParameter& p = parameter(j);
    const bool tested = split == Split::kTest || (o_->oracle && split != Split::kOod);
    const auto [low, high] = split == Split::kOod ? p.ood : tested ? p.test : p.train;
    if (agent == kEveryone || j != varied_[0] || split == Split::kOod) return {low, high};
    const double n = static_cast<double>(agents_), a = static_cast<double>(agent);
    if (!p.whole) return {low + (high - low) * a / n, low + (high - low) * (a + 1) / n};
    const double count = high - low + 1;
    if (count < n) return {low, high};
    return {low + std::floor(count * a / n), low + std::floor(count * (a + 1) / n) - 1};
  }

  // The constants that vary, [B, C] float, each from -1 to 1 over its training range.
  Tensor context(const Tensor& constants) const {
    std::vector<Tensor> columns;
    for (const int64_t j : varied_) {
      const auto [low, high] = parameter(j).train;
      const double half = high > low ? (high - low) / 2 : 1;
      columns.push_back((constants.select(1, j) - (low + high) / 2) / half);
    }
    return at::stack(columns, 1).to(at::kFloat).contiguous();
  }

  double draw(int64_t j, std::array<double, 2> range, Draws& d) const {
    if (!parameter(j).whole) return d.uniform(range[0], range[1]);
    return range[0] + static_cast<double>(d.below(static_cast<int64_t>(range[1] - range[0]) + 1));
  }

  std::shared_ptr<const Options> o_, judged_;  // of training tasks, and of the others
  int64_t agents_;
  bool higher_ = true;           // is better, of the metric
  std::unique_ptr<Env> world_;   // one copy, to ask
  std::vector<int64_t> varied_;  // numbers of the constants that vary
};

SYMMA_REGISTER(TaskFamily, "control", Control, "worlds of many agents, played by a team",
               "symma; worlds name their sources");

}  // namespace

ControlBatch::ControlBatch(const Model& model, std::shared_ptr<const ControlOptions> options,
                           std::vector<Rng> keys, Tensor constants, Tensor context)
    : model_(model),
      options_(std::move(options)),
      keys_(std::move(keys)),
      constants_(std::move(constants)),
      context_(std::move(context)) {}

std::unique_ptr<TaskBatch> ControlBatch::slice(int64_t begin, int64_t end) const {
  return std::make_unique<ControlBatch>(
      model_, options_, std::vector<Rng>(keys_.begin() + begin, keys_.begin() + end),
      constants_.slice(0, begin, end), context_.defined() ? context_.slice(0, begin, end) : context_);
}

std::unique_ptr<Env> ControlBatch::world(int64_t task, int64_t copies, bool judged) const {
  auto made = options_->world.build(copies);
  if (constants_.size(1) == 0) return made;
  auto& tasks = dynamic_cast<HasTasks&>(*made);
  const Tensor rows = constants_[task].expand({copies, constants_.size(1)}).contiguous();
  const std::vector<TaskParameter>& all = tasks.task_parameters();
  for (size_t j = 0; judged && j < all.size(); ++j)
    if (all[j].when_judged) rows.select(1, static_cast<int64_t>(j)).fill_(1);
  tasks.set_tasks(rows);
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

Rollouts ControlBatch::begun(bool judged, const TeamNet& net, int64_t copies, const Behaviour& behaviour,
                             Rng rng, bool remembers, Tensor memory) const {
  const ControlOptions& o = *options_;
  std::vector<std::unique_ptr<Env>> worlds;
  std::vector<Rng> keys;
  for (int64_t b = 0; b < size(); ++b) {
    worlds.push_back(world(b, copies, judged));
    // The task's key and the caller's: a task in a slice draws as it does in the whole.
    keys.push_back(rng.split("task", keys_[b].key()));
  }
  Behaviour with = behaviour;
  if (!o.rival.players.empty()) with.script = o.rival.script, with.scripted = o.rival.players;
  return {std::move(worlds),
          net,
          {.index = o.player_index,
           .own_reward = o.own_reward,
           .feedback = o.feedback,
           .recall = o.recall,
           .squash = o.head == "squashed",
           .teacher = o.lead,
           .context = context_},
          std::move(with),
          std::move(keys),
          remembers,
          std::move(memory)};
}

Rollouts ControlBatch::rollouts(const TeamNet& net, int64_t copies, const Behaviour& behaviour, Rng rng,
                                bool remembers, Tensor memory) const {
  return begun(false, net, copies, behaviour, rng, remembers, std::move(memory));
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
  l.scripted = options_->rival.players;
  l.reward = o.team_reward(options_->own_reward);
  if (options_->baseline == "linear") {
    const Tensor value = linear_values(o, l.reward, seen(), options_->gamma);
    l.advantage = standardised(
        generalised_advantages(l.reward, o.alive, value, options_->gamma, options_->gae_lambda), o.alive);
  }
  return l;
}

Tensor ControlBatch::outputs(const Tensor& theta, const Lesson& l) const {
  return team(theta).forward(theta, l.episodes.input.narrow(2, 0, l.drawn.size(2)));
}

namespace {

// What players decide who are no longer there, or whom a script plays, is nobody's doing.
Tensor of_present(const Tensor& x /*[B,E,T,A]*/, const ControlBatch::Lesson& l) {
  const Tensor& present = l.episodes.present;
  Tensor out = present.defined() ? x * present.narrow(2, 0, x.size(2)).to(x.scalar_type()) : x;
  for (int64_t p : l.scripted) out = out.index_fill(3, at::tensor({p}, at::kLong), 0);
  return out;
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

// Episodes of the query are those that one is judged by: who learns from a first week is to be good in
// others.
Tensor ControlBatch::imitation(const Tensor& theta, Stage stage, Rng rng) const {
  const bool query = stage == Stage::kQuery;
  Rollouts play = begun(query, team(theta), options_->copies, {Behaviour::Pick::kGreedy},
                        rng.split(query ? "query" : "support"));
  const EnvSpec& spec = play.world(0).spec();
  Lesson l;
  l.episodes = play.next(spec.limit, theta.detach());
  l.drawn = l.episodes.log_p.sum(3);
  l.scripted = options_->rival.players;
  const Rollout& o = l.episodes;
  const Tensor said = outputs(theta, l);  // [B, E, T, A, out]
  Tensor apart;                           // [B, E, T, A]
  if (o.taught.scalar_type() == at::kLong) {
    apart = -log_probability(said, o.mask.narrow(2, 0, l.drawn.size(2)), o.taught);
  } else {
    Tensor mean = said.narrow(4, 0, spec.actions);
    if (options_->head == "squashed") {
      const Tensor low = at::tensor(spec.action_low, at::kDouble).view({spec.agents, -1}).to(mean.options()),
                   high =
                       at::tensor(spec.action_high, at::kDouble).view({spec.agents, -1}).to(mean.options());
      mean = low + (high - low) * 0.5 * (mean.tanh() + 1);
    }
    apart = (mean - o.taught.to(mean.scalar_type())).square().sum(4);
  }
  const Tensor counts = of_present(o.alive.unsqueeze(3).expand_as(o.log_p), l).to(apart.scalar_type());
  return (apart * counts).sum({1, 2, 3}) / counts.sum({1, 2, 3}).clamp_min(1);
}

Tensor ControlBatch::loss(const Tensor& theta, Stage stage, Rng rng) const {
  if (options_->lead) return imitation(theta, stage, rng);
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
  if (options_->lead) {
    std::vector<Tensor> apart;
    for (int64_t k = 0; k < l; ++k) apart.push_back(imitation(theta.select(1, k), stage, rng));
    return at::stack(apart, 1);
  }
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

namespace {

// Puts the scores of task b's world, means over its copies, into [tasks] each.
void put_scores(const Env& env, int64_t b, int64_t tasks, const std::string& prefix, Scores& out) {
  const auto* judge = dynamic_cast<const Judged*>(&env);
  if (!judge) return;
  const auto& named = judge->score_names();
  std::vector<double> sum(named.size(), 0);
  for (int64_t e = 0; e < env.spec().copies; ++e) {
    const auto scores = judge->scores(e);
    for (size_t k = 0; k < sum.size(); ++k) sum[k] += scores[k];
  }
  for (size_t k = 0; k < sum.size(); ++k) {
    Tensor& of_tasks = out[prefix + named[k].name];
    if (!of_tasks.defined()) of_tasks = at::zeros({tasks}, at::kDouble);
    of_tasks[b] = sum[k] / static_cast<double>(env.spec().copies);
  }
}

}  // namespace

Scores ControlBatch::score(const Tensor& theta, Rng rng) const {
  const TeamNet net = team(theta);
  Rollouts play = begun(true, net, options_->eval_copies, judged(), rng.split("score"));
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
  Scores judged_by;
  for (int64_t b = 0; b < size(); ++b) put_scores(play.world(b), b, size(), "", judged_by);
  for (const auto& [name, x] : judged_by) out[name] = x;
  if (options_->rival.script && options_->rival.players.empty()) judge_rival(out, rng.split("score"));
  return out;
}

void ControlBatch::judge_rival(Scores& out, Rng rng) const {
  const int64_t copies = options_->eval_copies;
  Tensor earned = at::zeros({size()}, at::kDouble);
  Scores scores;
  for (int64_t b = 0; b < size(); ++b) {
    const auto env = world(b, copies, true);
    const Rng own = rng.split("task", keys_[b].key());
    Frame frame;
    env->reset(own.split("world"), frame);
    for (int64_t t = 0; t < env->spec().limit; ++t) {
      // Rewards of copies that have ended are zero.
      env->step(scripted(*options_->rival.script, *env, frame, own.split("script", t)), frame);
      earned[b] += team_reward(env->spec(), frame.reward).to(at::kDouble).mean();
      if ((frame.terminated | frame.truncated).all().item<bool>()) break;
    }
    put_scores(*env, b, size(), "rival_", scores);
  }
  out["rival_return"] = earned;
  for (const auto& [name, x] : scores) out[name] = x;
}

std::vector<ControlBatch::Picture> ControlBatch::watch(int64_t task, const Tensor& theta, Rng rng) const {
  const auto one = slice(task, task + 1);
  const auto& batch = dynamic_cast<const ControlBatch&>(*one);
  const TeamNet net = batch.team(theta);
  Rollouts play = batch.begun(true, net, 1, batch.judged(), rng);
  // The same world with the same key and actions is the same episode.
  auto shown = batch.world(0, 1, true);
  const auto* drawing = dynamic_cast<const Drawable*>(shown.get());
  if (!drawing) return {};
  Frame frame;
  shown->reset(rng.split("task", batch.keys_[0].key()).split("world"), frame);
  std::vector<Picture> out{{drawing->svg(0), 0}};
  while (!play.over()) {
    const Rollout o = play.next(kGlance, theta.detach());
    for (int64_t t = 0; t < o.action.size(2) && o.alive[0][0][t].item<float>() > 0; ++t) {
      Tensor told =
          for_world(shown->spec(), o.action.select(2, t).select(0, 0), options_->head == "squashed");
      for (int64_t p : options_->rival.players)
        told.select(1, p).copy_(o.action.select(2, t).select(0, 0).select(1, p));
      shown->step(told, frame);
      const Tensor paid = team_reward(shown->spec(), frame.reward, options_->rival.players);
      out.push_back({drawing->svg(0), out.back().earned + paid.item<double>()});
    }
  }
  return out;
}

}  // namespace symma
