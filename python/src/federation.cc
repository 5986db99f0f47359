// A federation in which each agent, and the server alone, is a program of its own, and letters are carried by
// somebody else: Flower, from Python. What is said is what processes of one fleet say (exchange/messages.h),
// so the rows are those of one process, whatever the rule, compression, privacy or optimiser of the server.
#include <numeric>

#include "bind.h"
#include "symma/core/errors.h"
#include "symma/eval/evaluate.h"
#include "symma/exchange/messages.h"
#include "symma/fleet/account.h"
#include "symma/fleet/round.h"

namespace symma::python {
namespace {

using SharedExperiment = std::shared_ptr<Experiment>;

// An agent asked for an answer that is not there yet.
struct NotYet {};

// What was said here, and what has come for here.
class Mailbox final : public Transport {
 public:
  Roster roster() override { return {}; }
  void send(Letter letter) override { sent.push_back(std::move(letter)); }
  Post collect(Letter::Kind kind, int64_t round, std::span<const int64_t> from) override {
    if (waits && come.empty()) throw NotYet{};
    Post out;
    for (const int64_t f : from) {
      const auto it = come.find(f);
      if (it == come.end())
        out.missing.push_back(f);
      else
        out.came.push_back({f, {0}, round, kind, it->second});
    }
    return out;
  }
  std::vector<Letter> sent;
  std::map<int64_t, Bytes> come;  // by sender
  bool waits = false;
};

// Throws UserError for what makes no sense of programs apart.
void check(const Experiment& e) {
  const auto no = [](const char* place, const std::string& wrong, const char* remedy) {
    throw UserError(place, wrong, remedy);
  };
  const Exchange& x = e.exchange;
  if (!x.graph.server)
    no("[exchange] topology", "\"" + x.options.topology + "\" has no server", "set it to star");
  if (x.graph.agents < 2) no("agents", "a federation of one", "give 2 or more");
  if (x.options.strategy != "adapt-then-combine")
    no("[exchange] strategy", "\"" + x.options.strategy + "\" is not for a federation",
       "use adapt-then-combine");
  if (x.attack || x.faults.gaps() || x.faults.doubled > 0)
    no("[faults]", "are played, and in a federation they are real", "leave them out");
  if (x.server.secure) no("[server] secure", "secure aggregation is within one process", "set it to false");
  if (e.population.on()) no("[population]", "copies agents whole", "leave it out");
}

// What an agent and the server see: neither lives where the other does, not even agent 0.
std::shared_ptr<const Reach> reach_of_agent(int64_t agents, int64_t id) {
  Reach r;
  r.agents = agents, r.ids = {id}, r.halo = {agents}, r.own = {0}, r.heard = {1};
  return std::make_shared<const Reach>(std::move(r));
}
std::shared_ptr<const Reach> reach_of_server(int64_t agents) {
  Reach r;
  r.agents = agents, r.server = true;
  r.halo.resize(agents);
  std::iota(r.halo.begin(), r.halo.end(), int64_t{0});
  r.heard = r.halo;
  return std::make_shared<const Reach>(std::move(r));
}

nb::bytes bytes_of(const Bytes& b) {
  return nb::bytes(reinterpret_cast<const char*>(b.data()), b.size());
}
Bytes bytes_from(const nb::bytes& b) {
  const auto* at = reinterpret_cast<const uint8_t*>(b.data());
  return Bytes(at, at + b.size());
}

class Server {
 public:
  explicit Server(SharedExperiment e) : e_(std::move(e)) {
    check(*e_);
    const RunState whole = start_run(*e_);
    s_ = part_of(e_->exchange, whole.exchange, {0});
    for (Tensor* t : {&s_.reference, &s_.sender.known, &s_.sender.residual})
      if (t->defined()) *t = t->narrow(0, 0, 0);
    s_.reach = reach_of_server(e_->fleet.agents);
    if (whole.exchange.receiver.known.defined()) s_.receiver.known = whole.exchange.sender.known;
    row_ = whole.learner.theta.to(at::kDouble).mean(0).to(whole.learner.theta.options());
  }

  int64_t exchanges() const { return s_.rounds; }
  int64_t rounds() const { return s_.rounds * e_->exchange.options.every; }
  std::vector<int64_t> asked() const { return participants(e_->exchange, s_, s_.rounds, e_->exchange_key()); }

  // One exchange with what has come: {agent: letter}. Who is missing is missing.
  void combine(const std::map<int64_t, Bytes>& letters) {
    at::NoGradGuard no_grad;
    Mailbox mail;
    for (const auto& [agent, letter] : letters)
      if (unpack(letter, 1, row_.size(0), s_.type)) mail.come[agent] = letter;
    // A plain mean of nobody's rows is none: the server stands still.
    if (mail.come.empty() && e_->exchange.plain()) {
      ++s_.rounds;
      answer_ = whole();
      return;
    }
    exchange(e_->exchange, s_, row_.unsqueeze(0).narrow(0, 0, 0), e_->exchange_key(), &mail);
    for (const Letter& letter : mail.sent) answer_ = letter.bytes;
    const auto said = answer_.empty()
                          ? std::nullopt
                          : unpack(answer_, static_cast<size_t>(e_->fleet.agents), row_.size(0), s_.type);
    if (s_.server.row.defined())
      row_ = (s_.server.known.defined() ? s_.server.known : s_.rounded(s_.server.row)).to(row_.options());
    else if (said && said->row.defined())
      row_ = said->row.to(row_.options());
  }

  // What the last exchange answered, to one who heard the one before; and to one who did not.
  const Bytes& answer() const { return answer_; }
  Bytes whole() const {
    return pack({.form = Form::kWhole, .clip = s_.clip, .row = row_.to(at::kDouble)}, s_.type);
  }
  Tensor row() const { return row_; }
  Json privacy() const {
    const Account account(*e_);
    return account.open() ? account.summary(rounds()) : Json();
  }
  int64_t last_round() const { return Account(*e_).last_round(e_->fleet.rounds); }

  // A checkpoint as of a fleet whose agents all have the server's row.
  void save(const std::string& path) const {
    RunState run = start_run(*e_);
    run.learner.theta = row_.unsqueeze(0).repeat({e_->fleet.agents, 1});
    run.round = rounds();
    run.exchange.rounds = s_.rounds;
    save_checkpoint(path, *e_, run);
  }

 private:
  SharedExperiment e_;
  ExchangeState s_;
  Tensor row_;  // [Q], as agents have it
  Bytes answer_;
};

class Agent {
 public:
  Agent(SharedExperiment e, int64_t id) : e_(std::move(e)) {
    check(*e_);
    const int64_t n = e_->fleet.agents;
    if (id < 0 || id >= n)
      throw UserError("agent", "there is no agent " + std::to_string(id),
                      "agents are 0 to " + std::to_string(n - 1));
    const RunState whole = start_run(*e_);
    run_ = part_of(*e_, whole, {id});
    ExchangeState& s = run_.exchange;
    s.reach = reach_of_agent(n, id);
    if (whole.exchange.receiver.known.defined())
      s.receiver.known =
          whole.exchange.server.known.defined() ? whole.exchange.server.known.unsqueeze(0) : Tensor();
    s.server = {};
    fresh_ = run_;
    // Where coins are secret who takes part is the server's to say: whoever is asked does.
    if (e_->exchange.hides_who()) e_->exchange.server.share = 1;
  }

  int64_t exchanges() const { return run_.exchange.rounds; }

  // The server's answer in exchange number `number`, counted from 1. A difference is of use to one who heard
  // the answer before it; false for one who did not.
  bool hear(const Bytes& letter, int64_t number) {
    at::NoGradGuard no_grad;
    ExchangeState& s = run_.exchange;
    const int64_t columns = run_.learner.theta.size(1);
    const auto content = unpack(letter, 1, columns, s.type);
    if (!content) throw UserError("the server's letter", "cannot be read", "is it of the same experiment?");
    if (!content->row.defined() && s.rounds != number - 1) return false;
    s.rounds = number - 1;
    Mailbox mail;
    mail.come[e_->fleet.agents] = letter;
    const Tensor theta = run_.learner.theta;
    const Tensor out =
        from_server(e_->exchange, s, theta.to(at::kDouble), e_->exchange_key(), mail).to(theta.options());
    ++s.rounds;
    if (s.reference.defined()) s.reference = out;
    run_.learner.theta = out;
    if (run_.learner.own.contains("anchor")) run_.learner.own["anchor"] = out;
    return true;
  }

  // Learns up to exchange number `exchanges` (counted from 0) and says what it has to. `heard`: whether the
  // server has what was said before, which differences are counted from.
  std::pair<Bytes, Scores> play(int64_t exchanges, bool heard) {
    ExchangeState& s = run_.exchange;
    if (!heard && s.sender.known.defined()) s.sender.known = at::zeros_like(s.sender.known);
    s.rounds = exchanges;
    run_.round = exchanges * e_->exchange.options.every;
    Scores sums;
    for (bool due = false; !due; ++run_.round) {
      due = e_->exchange.due(run_.round);
      for (const auto& [name, score] : learn(*e_, run_, draw(*e_, run_)))
        sums[name] = sums.contains(name) ? sums[name] + score : score;
    }
    for (auto& [name, sum] : sums) sum = sum / static_cast<double>(e_->exchange.options.every);
    Mailbox mail;
    mail.waits = true;
    try {
      exchange(e_->exchange, s, run_.learner.theta, e_->exchange_key(), &mail);
    } catch (const NotYet&) {
      // What it said is said; the rest follows once it hears the answer.
    }
    TORCH_CHECK(mail.sent.size() == 1, "an agent says one thing");
    return {mail.sent[0].bytes, sums};
  }

  nb::dict judge(const std::string& split, int64_t tasks) {
    EvalResult r;
    {
      nb::gil_scoped_release free;
      r = evaluate({*e_->learner, *e_->model, *e_->family, run_.learner, {}}, split_of(split),
                   tasks > 0 ? tasks : e_->eval.tasks, e_->eval.steps, e_->eval.from == "own",
                   Rng(e_->fleet.seed).split("test"));
    }
    nb::dict out;
    for (const auto& [name, table] : r.all) {
      nb::list means;
      for (const auto& step : table[0])
        means.append(std::accumulate(step.begin(), step.end(), 0.0) / static_cast<double>(step.size()));
      out[name.c_str()] = means;
    }
    return out;
  }

  std::string state() const { return to_safetensors(file_of(*e_, run_)); }
  void load(const std::string& state) {
    run_ = run_of(*e_, fresh_, of_safetensors(state, "the agent's state"), "the agent's state");
  }
  Tensor row() const { return run_.learner.theta[0]; }
  int64_t tasks() const { return run_.tasks; }

 private:
  SharedExperiment e_;
  RunState run_, fresh_;
};

}  // namespace

void bind_federation(nb::module_& m) {
  using Free = nb::call_guard<nb::gil_scoped_release>;
  nb::class_<Server>(m, "Server", "The server of a federation, without agents.")
      .def(nb::init<SharedExperiment>(), "experiment"_a, Free())
      .def_prop_ro("exchanges", &Server::exchanges)
      .def_prop_ro("rounds", &Server::rounds)
      .def_prop_ro("last_round", &Server::last_round)
      .def_prop_ro("asked", &Server::asked, "Who is to take part in the next exchange.")
      .def_prop_ro("answer", [](const Server& s) { return bytes_of(s.answer()); })
      .def_prop_ro("whole", [](const Server& s) { return bytes_of(s.whole()); })
      .def_prop_ro("row", &Server::row)
      .def_prop_ro("privacy", [](const Server& s) { return to_python(s.privacy()); })
      .def("save", &Server::save, "path"_a, Free())
      .def(
          "combine",
          [](Server& s, const std::map<int64_t, nb::bytes>& letters) {
            std::map<int64_t, Bytes> read;
            for (const auto& [agent, letter] : letters) read[agent] = bytes_from(letter);
            nb::gil_scoped_release free;
            s.combine(read);
          },
          "letters"_a);
  nb::class_<Agent>(m, "Agent", "One agent of a federation.")
      .def(nb::init<SharedExperiment, int64_t>(), "experiment"_a, "agent"_a, Free())
      .def_prop_ro("exchanges", &Agent::exchanges,
                   "The exchange whose answer it heard last, from 1; 0: none.")
      .def_prop_ro("row", &Agent::row)
      .def_prop_ro("tasks", &Agent::tasks)
      .def(
          "hear",
          [](Agent& a, const nb::bytes& letter, int64_t number) {
            const Bytes read = bytes_from(letter);
            nb::gil_scoped_release free;
            return a.hear(read, number);
          },
          "letter"_a, "number"_a)
      .def(
          "play",
          [](Agent& a, int64_t exchanges, bool heard) {
            const auto [letter, scores] = [&] {
              nb::gil_scoped_release free;
              return a.play(exchanges, heard);
            }();
            return nb::make_tuple(bytes_of(letter), to_python(scores));
          },
          "exchanges"_a, "heard"_a)
      .def("judge", &Agent::judge, "split"_a, "tasks"_a)
      .def("state",
           [](const Agent& a) {
             const std::string s = a.state();
             return nb::bytes(s.data(), s.size());
           })
      .def("load", [](Agent& a, const nb::bytes& s) { a.load(std::string(s.c_str(), s.size())); });
  m.def(
      "combine",
      [](const Experiment& e, const Tensor& rows, const std::optional<Tensor>& centre, const Rng& key) {
        if (rows.dim() != 2 || rows.size(0) < 1)
          throw UserError("rows", "are no matrix of one row or more", "give [n, P]");
        std::vector<Tensor> each;
        const Tensor of = rows.to(at::kCPU, at::kDouble).contiguous();
        for (int64_t i = 0; i < of.size(0); ++i) each.push_back(of[i]);
        return combine(e.exchange, each, centre ? centre->to(at::kCPU, at::kDouble) : of.mean(0), key);
      },
      "experiment"_a, "rows"_a, "centre"_a.none(), "key"_a, Free(),
      "rows [n, P] to one, [P] float64, by the experiment's rule and what comes before it.");
}

}  // namespace symma::python
