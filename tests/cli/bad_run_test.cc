// Damaged and foreign run folders: exit code 2, one line that names the file and the remedy, the run left as
// it was.
#include "cli/program.h"

namespace {

using namespace program;

TEST_F(BadRun, AFolderWithoutOne) {
  spill(at / "few.csv", "x,y\n1,2\n2,\n");
  fs::create_directory(at / "empty");
  for (const char* folder : {"empty", "gone"}) {
    expect_refusal(run({"eval", folder}, at.path()), {folder, "holds no run", "symma train"});
    expect_refusal(run({"adapt", folder, "--data", "few.csv"}, at.path()),
                   {folder, "holds no run", "symma train"});
    expect_refusal(run({"report", folder}, at.path()), {folder, "symma train"});
    expect_refusal(run({"compare", "run", folder}, at.path()), {folder, "symma train"});
  }
  EXPECT_TRUE(fs::is_empty(at / "empty"));
  EXPECT_FALSE(fs::exists(at / "gone"));
  fs::remove(at / "run/checkpoint.safetensors");
  expect_refusal(run({"eval", "run"}, at.path()), {"run/checkpoint.safetensors", "no such file"});
}

TEST_F(BadRun, ATruncatedCheckpoint) {
  uint64_t header = 0;
  std::memcpy(&header, whole.data(), 8);
  for (const size_t keep : {size_t{0}, size_t{8 + header / 2}, size_t{8 + header}, whole.size() - 1}) {
    SCOPED_TRACE(keep);
    refused_checkpoint(whole.substr(0, keep), {"cut short or from another program", "symma wrote"},
                       keep == 8 + header);
  }
}

std::string tensors(const Json& header, const std::string& data) {
  const std::string text = header.dump();
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + text + data;
}

TEST_F(BadRun, AForeignCheckpoint) {
  refused_checkpoint("dear diary, today I trained a fleet of agents\n", {"another program"});
  refused_checkpoint(tensors({{"weight", {{"dtype", "F32"}, {"shape", {2}}, {"data_offsets", {0, 8}}}}},
                             std::string(8, '\0')),
                     {"safetensors file of another program", "folder of a symma run"});
  refused_checkpoint(tensors({{"weight", {{"dtype", "BF16"}, {"shape", {2}}, {"data_offsets", {0, 4}}}}},
                             std::string(4, '\0')),
                     {"BF16", "another program"});
  refused_checkpoint(
      tensors({{"weight",
                {{"dtype", "F32"}, {"shape", {1099511627776, 1099511627776}}, {"data_offsets", {0, 8}}}}},
              std::string(8, '\0')),
      {"weight", "another program"});
  refused_checkpoint(tensors(Json::array({1, 2}), ""), {"another program"});
  refused_checkpoint(tensors({{"weight", 3}}, ""), {"another program"});
  Json header{{"__metadata__", {{"format", "symma run 2"}}}};
  refused_checkpoint(tensors(header, ""), {"has no tensor \"theta\"", "checkpoint of this experiment"});
}

TEST_F(BadRun, ACheckpointWhoseNumbersAreOfAnotherType) {
  uint64_t length = 0;
  std::memcpy(&length, whole.data(), 8);
  Json header = Json::parse(whole.substr(8, length));
  ASSERT_EQ(header["theta"]["dtype"], "F32");
  header["theta"]["dtype"] = "I32";
  refused_checkpoint(tensors(header, whole.substr(8 + length)), {}, true);
}

TEST_F(BadRun, TheCheckpointOfAnotherExperiment) {
  run_well({"train", "e.toml", "--out", "wide", "--set", "model.hidden=[12]"}, at.path());
  refused_checkpoint(slurp(at / "wide/checkpoint.safetensors"),
                     {"tensor \"theta\" has shape [2, 37]", "needs [2, 25]", "another experiment"}, true);
  run_well({"train", "e.toml", "--out", "many", "--set", "agents=3"}, at.path());
  refused_checkpoint(slurp(at / "many/checkpoint.safetensors"),
                     {"theta", "[3, 25]", "[2, 25]", "another experiment"});
}

TEST_F(BadRun, DamagedRecords) {
  const std::string rows = slurp(at / "run/metrics.jsonl");
  const size_t second = rows.find('\n') + 1;
  for (const std::string& damage :
       {std::string("#!$%\n"), std::string("3\n"), std::string("{\"round\": \"two\"}\n")}) {
    SCOPED_TRACE(damage);
    const std::string bad = rows.substr(0, second) + damage + rows.substr(second);
    spill(at / "run/metrics.jsonl", bad);
    expect_refusal(run({"report", "run"}, at.path()), {"run/metrics.jsonl"});
    expect_refusal(run({"train", "--resume", "--out", "run"}, at.path()), {"run/metrics.jsonl"}, true);
    EXPECT_EQ(slurp(at / "run/metrics.jsonl"), bad);
  }
  spill(at / "run/metrics.jsonl", rows);
  for (const std::string& bad : {summary.substr(0, summary.size() / 2), std::string("{}\n")}) {
    SCOPED_TRACE(bad);
    spill(at / "run/summary.json", bad);
    expect_refusal(run({"report", "run"}, at.path()), {"run/summary.json", "damaged"});
    expect_refusal(run({"compare", "run"}, at.path()), {"run/summary.json", "damaged"});
  }
}

}  // namespace
