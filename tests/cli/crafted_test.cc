// Files made to hurt: each is refused in one line of ours, in no time and little memory, and changes nothing.
#include <sys/stat.h>

#include "cli/program.h"

namespace {

using namespace program;

// A checkpoint taken apart, to be put together otherwise.
struct Parts {
  Json header;
  std::string data;

  static Parts of(const std::string& bytes) {
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    return {Json::parse(bytes.substr(8, length)), bytes.substr(8 + length)};
  }
  std::string bytes() const {
    const std::string text = header.dump();
    const uint64_t length = text.size();
    return std::string(reinterpret_cast<const char*>(&length), 8) + text + data;
  }
  template <class T>
  void set(const std::string& tensor, T value, size_t place = 0) {
    const size_t at = header.at(tensor).at("data_offsets")[0].get<size_t>() + place * sizeof(T);
    std::memcpy(data.data() + at, &value, sizeof(T));
  }
};

class Crafted : public BadInput {
 protected:
  void train(const std::string& experiment) {
    spill(at / "e.toml", experiment);
    run_well({"train", "e.toml", "--out", "run"}, at.path());
    whole = slurp(at / "run/checkpoint.safetensors");
  }
  void expect_refused(const std::string& checkpoint, const Words& words, bool eval = true) {
    spill(at / "run/checkpoint.safetensors", checkpoint);
    Words all{"run/checkpoint.safetensors"};
    all.insert(all.end(), words.begin(), words.end());
    if (eval) expect_refusal(run({"eval", "run", "--set", "eval.tasks=2"}, at.path()), all);
    expect_refusal(run({"train", "--resume", "--quiet", "--out", "run", "--set", "rounds=50"}, at.path()),
                   all);
    EXPECT_EQ(slurp(at / "run/checkpoint.safetensors"), checkpoint);
  }
  // Each tensor of the checkpoint whose name begins so, left out, and in another shape.
  void expect_shapes_matter(const std::string& prefix) {
    int64_t found = 0;
    const Parts parts = Parts::of(whole);
    for (const auto& [name, entry] : parts.header.items()) {
      if (!name.starts_with(prefix)) continue;
      SCOPED_TRACE(name);
      ++found;
      Parts other = parts;
      other.header[name]["shape"].push_back(1);
      expect_refused(other.bytes(), {name});
      if (name.starts_with("exchange.memory.")) continue;  // one may not have spoken yet
      other = parts;
      other.header.erase(name);
      expect_refused(other.bytes(), {name});
    }
    EXPECT_GT(found, 0);
  }

  std::string whole;
};

const std::string kEval = "[eval]\ntasks = 2\nsteps = [0, 1]\nvalidation_tasks = 2\n";

TEST_F(Crafted, CountsOfReplay) {
  train(
      "agents = 2\nrounds = 2\ntasks = 1\n[task]\nkind = \"control\"\ncopies = 2\n[learner]\nkind = "
      "\"iql\"\nbuffer = 8\nbatch = 8\n" +
      kEval);
  for (const int64_t count : {int64_t{-1}, int64_t{-9}, INT64_MIN, INT64_MAX}) {
    Parts parts = Parts::of(whole);
    parts.set<int64_t>("own.replay.count", count);
    expect_refused(parts.bytes(), {"own.replay.count"});
  }
  for (const int64_t action : {int64_t{-1}, int64_t{1000}}) {
    Parts parts = Parts::of(whole);
    parts.set<int64_t>("own.replay.action", action);
    expect_refused(parts.bytes(), {action < 0 ? "own.replay.action" : "an action that the world has not"});
  }
  expect_shapes_matter("own.replay.");
}

TEST_F(Crafted, TasksThatAreKept) {
  train(
      "agents = 2\nrounds = 2\ntasks = 2\n[task]\nkind = \"blobs\"\n[model]\nhidden = [4]\n[learner]\nkind = "
      "\"mlp_optimizer\"\nsteps = 6\nunroll = 2\n" +
      kEval);
  expect_shapes_matter("own.kept.");
  for (const int64_t label : {int64_t{-1}, int64_t{3}}) {
    Parts parts = Parts::of(whole);
    parts.set<int64_t>("own.kept.task.y", label);
    expect_refused(parts.bytes(), {label < 0 ? "own.kept.task.y" : "a label that is none of its classes"});
  }
}

TEST_F(Crafted, WhatCompressorsRemember) {
  train(
      "agents = 3\nrounds = 2\ntasks = 1\n[task]\nkind = \"sinusoid\"\n[model]\nhidden = "
      "[4]\n[exchange]\ntopology = "
      "\"ring\"\n[compression]\nkind = \"power_sgd\"\n" +
      kEval);
  expect_shapes_matter("exchange.memory.");
  for (const std::string& name : {std::string("exchange.memory.3"), std::string("exchange.memory.-1"),
                                  std::string("exchange.memory.x"), std::string("exchange.memory.")}) {
    Parts parts = Parts::of(whole);
    parts.header[name] = parts.header["exchange.memory.0"];
    parts.header.erase("exchange.memory.0");
    expect_refused(parts.bytes(), {"nobody remembers"});
  }
}

// Messages under way: which edge they are on was an index, unlooked at.
TEST_F(Crafted, MessagesUnderWay) {
  for (const char* exchange :
       {"topology = \"ring\"", "topology = \"ring\"\nstrategy = \"push-sum\"", "topology = \"star\""}) {
    SCOPED_TRACE(exchange);
    fs::remove_all(at / "run");
    train(fmt::format("agents = 3\nrounds = 2\ntasks = 1\n[task]\nkind = \"sinusoid\"\n[model]\nhidden = "
                      "[4]\n[exchange]\n{}\n[faults]\nlate = 1.0\n",
                      exchange) +
          kEval);
    run_well({"train", "--resume", "--out", "run", "--set", "rounds=3"}, at.path());  // as it is, it goes on
    whole = slurp(at / "run/checkpoint.safetensors");
    expect_shapes_matter("exchange.late");
    for (const auto& [place, value] :
         {std::pair<size_t, int64_t>{0, -1}, {0, int64_t{1} << 40}, {1, 0}, {2, 2}}) {
      Parts parts = Parts::of(whole);
      parts.set<int64_t>("exchange.late.message", value, place);
      expect_refused(parts.bytes(), {"exchange.late.message"}, false);
    }
  }
}

// A bound of nothing was an internal error once a row was clipped to it.
TEST_F(Crafted, TheBoundOfUpdates) {
  train(
      "agents = 3\nrounds = 2\ntasks = 1\n[task]\nkind = \"sinusoid\"\n[model]\nhidden = "
      "[4]\n[exchange]\ntopology "
      "= \"star\"\npayload = \"updates\"\n[privacy]\nunit = \"agent\"\nwhere = \"server\"\n" +
      kEval);
  for (const double bound : {0., -1., std::nan(""), HUGE_VAL}) {
    Parts parts = Parts::of(whole);
    parts.set<double>("exchange.clip", bound);
    expect_refused(parts.bytes(), {"exchange.clip"}, false);
  }
}

TEST_F(Crafted, Counters) {
  train(kSines);
  for (size_t place = 0; place < 3; ++place) {
    for (const int64_t count : {int64_t{-1}, INT64_MIN, INT64_MAX}) {
      Parts parts = Parts::of(whole);
      parts.set<int64_t>("counters", count, place);
      expect_refused(parts.bytes(), {"counters"});
    }
  }
  for (const char* name : {"steps", "id"}) {
    Parts parts = Parts::of(whole);
    parts.set<int64_t>(name, -1);
    expect_refused(parts.bytes(), {});
  }
  for (const double seconds : {-1.0, std::nan(""), HUGE_VAL}) {
    Parts parts = Parts::of(whole);
    parts.set<double>("seconds", seconds);
    expect_refused(parts.bytes(), {"seconds"});
    parts = Parts::of(whole);
    parts.set<double>("log.rounds", seconds);
    expect_refused(parts.bytes(), {"log.rounds"});
  }
}

TEST_F(Crafted, TensorsUponEachOther) {
  train(kSines);
  // Eight megabytes that would be 2.4 GB.
  Json header{{"__metadata__", {{"format", "symma run 2"}}}};
  for (int i = 0; i < 300; ++i)
    header["t" + std::to_string(i)] = {
        {"dtype", "F32"}, {"shape", {2000000}}, {"data_offsets", {0, 8000000}}};
  expect_refused(Parts{header, std::string(8000000, '\0')}.bytes(), {"lie upon each other"});
  for (const Json& shape : {Json{0, int64_t{1} << 62, int64_t{1} << 62}, Json{-1, -2}, Json{2.5}, Json{1e300},
                            Json("x"), Json{uint64_t{1} << 63, 2}}) {
    SCOPED_TRACE(shape.dump());
    header = {{"__metadata__", {{"format", "symma run 2"}}},
              {"t", {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {0, 8}}}}};
    expect_refused(Parts{header, std::string(8, '\0')}.bytes(), {"t"});
  }
}

TEST_F(Crafted, DeepFiles) {
  for (const int parts : {17, 50000, 1000000}) {
    std::string key = "a";
    for (int i = 1; i < parts; ++i) key += ".a";
    refused(kSines + "\n" + key + " = 1\n", {"e.toml:13", "a key of very many parts"});
    refused("[" + key + "]\n", {"e.toml:1", "a key of very many parts"});
    refused("x = { " + key + " = 1 }\n", {"e.toml:1", "a key of very many parts"});
    if (parts > 100000) continue;  // a command line is shorter
    refused(kSines, {"a key of very many parts"}, {"--set", key + "=1"});
    refused(kSines, {"a key of very many parts"}, {"--set", "x={" + key + "=1}"});
  }
  for (const std::string& text : {std::string(1000000, '['), "x = " + std::string(1000000, '[')})
    refused(text, {"e.toml:1"});
  // Dots that are no key are none.
  spill(at / "e.toml",
        "description = \"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t\" # a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r\n" +
            kSines);
  run_well({"train", "e.toml", "--out", "dots"}, at.path());
  train(kSines);
  const std::string metrics = slurp(at / "run/metrics.jsonl"), summary = slurp(at / "run/summary.json");
  for (const std::string& deep :
       {std::string(1000000, '['), std::string(100000, '[') + std::string(100000, ']'), [] {
          std::string out;
          for (int i = 0; i < 100000; ++i) out += "{\"a\":";
          return out + "1" + std::string(100000, '}');
        }()}) {
    spill(at / "run/summary.json", deep);
    expect_refusal(run({"report", "run"}, at.path()), {"run/summary.json", "is not JSON"});
    expect_refusal(run({"compare", "run", "dots"}, at.path()), {"run/summary.json", "is not JSON"});
    spill(at / "run/summary.json", summary);
    spill(at / "run/metrics.jsonl", deep + "\n" + metrics);
    expect_refusal(run({"report", "run"}, at.path()), {"run/metrics.jsonl:1"});
    expect_refusal(run({"train", "--resume", "--out", "run"}, at.path()), {"run/metrics.jsonl:1"}, true);
    spill(at / "run/metrics.jsonl", metrics);
  }
}

TEST_F(Crafted, LongWords) {
  refused(std::string(8000000, 'k') + " = 1\n" + kSines, {"unknown key"});
  refused("name = \"" + std::string(8000000, 'n') + "\"\nagents = -1\n" + kSines, {"agents"});
  refused(kSines + "[learner]\nkind = \"" + std::string(3000000, 'k') + "\"\n", {"[learner] kind"});
  refused(kSines + "[learner]\ninner_lr = \"" + std::string(3000000, 'k') + "\"\n", {"[learner] inner_lr"});
  refused(kSines + "[learner]\ninner_lr = [" + std::string(3000000, ' ') + "1]\n", {"[learner] inner_lr"});
  const Result r = run({"train", std::string(100000, 'f')}, at.path());
  expect_refusal(r, {"fff"});
  EXPECT_LT(r.err.size(), 700u);
  refused(kSines + "[learner]\nkind = \"ma\\u001b[31mml\\nx\"\n", {"[learner] kind"});
}

TEST_F(Crafted, WholeNumbersBeyondUse) {
  for (const char* key : {"task.shots", "task.queries", "task.test_queries", "rounds", "agents", "tasks",
                          "eval.tasks", "eval.validation_tasks", "learner.inner_steps"})
    for (const char* value :
         {"9223372036854775807", "-9223372036854775808", "2147483648", "9223372036854775808"})
      refused_set(std::string(key) + "=" + value, {key[0] == 'r' || key[0] == 'a' ? key : "--set"});
  refused_set("model.hidden=[9223372036854775807]", {"[model] hidden"});
  // A seed is any.
  spill(at / "e.toml", "seed = 9223372036854775807\n" + kSines);
  run_well({"train", "e.toml", "--out", "seeded"}, at.path());
}

TEST_F(Crafted, WhatIsNoFile) {
  ASSERT_EQ(::mkfifo((at / "pipe.toml").c_str(), 0600), 0);
  expect_refusal(run({"train", "pipe.toml"}, at.path()),
                 {"pipe.toml", "is a pipe that nothing is written to"});
  fs::create_symlink("b.toml", at / "a.toml");
  fs::create_symlink("a.toml", at / "b.toml");
  expect_refusal(run({"train", "a.toml"}, at.path()), {"a.toml", "circle"});
  expect_refusal(run({"train", "/dev/zero"}, at.path()), {"/dev/zero", "is a device"});
  spill(at / "e.toml", kSines);
  expect_refusal(run({"train", "e.toml", "--out", "a.toml"}, at.path()), {"a.toml"}, true);
  train(kSines);
  for (const char* file : {"checkpoint.safetensors", "summary.json", "metrics.jsonl"}) {
    fs::rename(at.path() / "run" / file, at / "kept");
    ASSERT_EQ(::mkfifo((at.path() / "run" / file).c_str(), 0600), 0);
    const bool records = std::string(file) != "checkpoint.safetensors";
    expect_refusal(run(records ? Words{"report", "run"} : Words{"eval", "run"}, at.path()),
                   {file, "is a pipe"});
    fs::remove(at.path() / "run" / file);
    fs::rename(at / "kept", at.path() / "run" / file);
  }
  // A pipe that somebody writes to is a file: <(command).
  const Result r =
      Process({"bash", "-c", std::string("'") + SYMMA_PROGRAM + "' train <(sleep 1; cat e.toml) --out piped"},
              at.path())
          .wait();
  EXPECT_EQ(r.code, 0) << r.err;
}

TEST_F(Crafted, SummariesOfTheWorld) {
  train(kSines);
  const std::string summary = slurp(at / "run/summary.json");
  for (const int64_t agents : {int64_t{1} << 31, int64_t{1} << 40, INT64_MAX, int64_t{-1}, int64_t{0}}) {
    SCOPED_TRACE(agents);
    Json s = Json::parse(summary);
    s["agents"] = agents;
    for (const bool lists : {true, false}) {
      if (!lists) s["eval"].erase("per_agent"), s.erase("agent_share");
      spill(at / "run/summary.json", s.dump());
      const auto start = std::chrono::steady_clock::now();
      const Result r = run({"report", "run"}, at.path());
      EXPECT_TRUE(r.code == 0 || r.code == 2) << r.err;
      EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 10);
      EXPECT_LT(fs::file_size(at / "run/report.html"), 2000000u);
    }
  }
}

// Each value of a summary, of another kind or gone, under each command that reads it.
TEST_F(Crafted, SummariesOfAnotherKind) {
  train(kSines);
  fs::copy(at / "run", at / "other", fs::copy_options::recursive);
  const Json summary = Json::parse(slurp(at / "run/summary.json"));
  const auto expect_told = [&](const Json& s, const std::string& what) {
    spill(at / "run/summary.json", s.dump());
    for (const Words& words : {Words{"compare", "run", "other"},
                               {"compare", "run", "other", "--paired"},
                               {"compare", "--columns", "run", "other"},
                               {"report", "run"}}) {
      const Result r = run(words, at.path());
      EXPECT_TRUE(r.code == 0 || r.code == 2) << what << " " << words.back() << " " << r.code << " " << r.err;
      EXPECT_FALSE(holds(r.err, "internal error")) << what << " " << r.err;
    }
  };
  const auto spoil = [&](const std::string& within) {
    const Json& of = within.empty() ? summary : summary.at(within);
    for (const auto& item : of.items()) {
      const std::string& key = item.key();
      const auto with = [&](auto&& change) {
        Json s = summary;
        change(within.empty() ? s : s[within]);
        expect_told(s, within + "." + key);
      };
      with([&](Json& x) { x.erase(key); });
      for (const Json& other : {Json::object(), Json("text"), Json::array(), Json(-3)})
        if (other.type() != item.value().type()) with([&](Json& x) { x[key] = other; });
    }
  };
  spoil("");
  spoil("eval");
  spoil("exchange");
}

// What a run writes of itself, it reads again.
TEST_F(Crafted, NamesOfAllKinds) {
  for (const std::string& name :
       {std::string("a\\u007Fb"), std::string("\\u0001"), std::string("\\\"quoted\\\" \\\\ # no comment"),
        std::string("\xc3\xa4\xe2\x82\xac"), std::string("a\\nb"), std::string("\\u009f")}) {
    SCOPED_TRACE(name);
    spill(at / "e.toml", "name = \"" + name + "\"\ndescription = \"" + name + "\"\n" + kSines);
    run_well({"train", "e.toml", "--out", "run", "--force"}, at.path());
    run_well({"eval", "run"}, at.path());
    run_well({"report", "run"}, at.path());
    run_well({"train", "--resume", "--out", "run", "--set", "rounds=21"}, at.path());
    run_well({"train", "run/experiment.toml", "--out", "again", "--force"}, at.path());
    EXPECT_EQ(slurp(at / "run/experiment.toml"), slurp(at / "again/experiment.toml"));
  }
  fs::remove_all(at / "run");
  refused("name = \"a\\u0000b\"\n" + kSines, {"name", "zero"});
  refused(kSines, {"--set", "UTF-8"}, {"--set", "name=\xff"});
  spill(at / "caf\xe9.toml", kSines);
  const Result r = run({"train", "caf\xe9.toml", "--out", "latin"}, at.path());
  EXPECT_TRUE(r.code == 0 || r.code == 2) << r.err;
}

}  // namespace
