// Bad tables, drawings and examples: exit code 2, one line that names the place and the remedy, nothing left
// behind.
#include <sys/stat.h>

#include "cli/program.h"

namespace {

using namespace program;

// ---- tables

// Six groups of five rows: y = slope * x.
std::string table() {
  std::string out = "task,x,y\n";
  for (int g = 0; g < 6; ++g) {
    for (int i = 0; i < 5; ++i)
      out += "g" + std::to_string(g) + "," + std::to_string(i) + "," + std::to_string(i * (g + 1)) + "\n";
  }
  return out;
}

const char* const kTable =
    "rounds = 20\nagents = 2\n[task]\nkind = \"table\"\npath = \"t.csv\"\nshots = 2\nqueries = "
    "2\n[model]\nhidden = [8]\n[eval]\ntasks = 4\nsteps = [0, 1]\n";

class BadTable : public BadInput {
 protected:
  void refused_table(const std::string& csv, const Words& words, const Words& more = {}) {
    spill(at / "t.csv", csv);
    refused(kTable, words, more);
  }
};

TEST_F(BadTable, IsRefused) {
  spill(at / "e.toml", kTable);
  expect_refusal(run({"train", "e.toml", "--out", "run"}, at.path()), {"t.csv", "no such file", "path"});
  spill(at / "t.csv", table());
  run_well({"train", "e.toml", "--out", "run"}, at.path());  // what is spoiled below is good
  fs::remove_all(at / "run");

  refused_table(table() + "g0,1\n", {"t.csv:32", "2 cells where the header has 3", "every row"});
  refused_table(table() + "g0,1,2,3\n", {"t.csv:32", "4 cells where the header has 3", "every row"});
  refused_table(table() + "g0,one,2\n",
                {"t.csv:32", "column x", "\"one\"", "not a finite number", "write a number"});
  refused_table(table() + "g0,1,inf\n", {"t.csv:32", "column y", "\"inf\"", "not a finite number"});
  refused_table(table() + "g0,,2\n", {"t.csv:32", "column x", "not a finite number"});
  refused_table(table() + "g0,\"1,2\n", {"t.csv:32", "quote that is not closed", "close it"});
  refused_table("", {"t.csv", "is empty", "header"});
  refused_table("task,x,z\ng0,1,2\n", {"t.csv:1", "no column \"y\""});
  refused_table(table(), {"t.csv:1", "no column \"tsak\"", "did you mean task?"},
                {"--set", "task.group=tsak"});
  refused_table(table(), {"t.csv", "group \"g0\" has 5 rows", "shots = 5", "lower [task] shots"},
                {"--set", "task.shots=5"});
  refused_table(table(), {"agents", "9 agents", "training groups"}, {"--set", "agents=9"});
  refused_table("task,x,y\n", {"[task]"});
  fs::create_directory(at / "f.csv");
  refused_table(table(), {"f.csv", "is a folder", "name a CSV file"}, {"--set", "task.path=f.csv"});
  refused_table(std::string("\x1f\x8b\x08\x00", 4) + "not gzip at all", {"t.csv"});
}

TEST_F(BadTable, IsNoFile) {
  spill(at / "t.csv", table());
  ASSERT_EQ(::mkfifo((at / "pipe.csv").c_str(), 0600), 0);
  fs::create_symlink("b.csv", at / "a.csv");
  fs::create_symlink("a.csv", at / "b.csv");
  for (const std::string key : {"path", "test_path"}) {
    refused_table(table(), {"pipe.csv", "is a pipe"}, {"--set", "task." + key + "=pipe.csv"});
    refused_table(table(), {"a.csv", "check"}, {"--set", "task." + key + "=a.csv"});
    refused_table(table(), {"/dev/zero", "device"}, {"--set", "task." + key + "=/dev/zero"});
  }
}

// ---- drawings

// A zip whose files are stored as they are.
std::string zip(const std::map<std::string, std::string>& files) {
  std::string body, directory;
  const auto put = [](std::string& to, uint64_t x, int bytes) {
    for (int i = 0; i < bytes; ++i) to += static_cast<char>(x >> (8 * i));
  };
  for (const auto& [name, bytes] : files) {
    const size_t at = body.size();
    std::string common;
    put(common, 20, 2);  // version needed
    put(common, 0, 8);   // flags, method, time, date
    put(common, crc32(bytes), 4);
    put(common, bytes.size(), 4);
    put(common, bytes.size(), 4);
    put(common, name.size(), 2);
    put(common, 0, 2);
    body += "PK\x03\x04" + common + name + bytes;
    directory += "PK\x01\x02";
    put(directory, 20, 2);
    directory += common;
    put(directory, 0, 2);
    put(directory, 0, 8);  // disk, attributes
    put(directory, at, 4);
    directory += name;
  }
  std::string end = "PK\x05\x06";
  put(end, 0, 4);
  put(end, files.size(), 2);
  put(end, files.size(), 2);
  put(end, directory.size(), 4);
  put(end, body.size(), 4);
  put(end, 0, 2);
  return body + directory + end;
}

const char* const kDrawings =
    "agents = 2\nrounds = 4\ntasks = 2\n[task]\nkind = \"images\"\npath = [\"drawings\"]\nways = 3\nqueries "
    "= 2\ntest_queries = 2\nside = 16\n"
    "[model]\nkind = \"conv\"\nchannels = 4\nblocks = 2\n[learner]\nkind = \"maml\"\n[eval]\ntasks = "
    "4\nsteps = [0, 1]\nvalidation_tasks = 2\n";

TEST_F(BadInput, Drawings) {
  write_drawings(at / "drawings", 4, 3, 3);
  spill(at / "drawings/alphabet1/notes.txt", "not a drawing, and not read\n");
  spill(at / "e.toml", kDrawings);
  run_well({"train", "e.toml", "--out", "good"}, at.path());  // what is spoiled below is good

  refused(kDrawings, {"[task] ways", "5 ways, but", "3 classes", "ways = 3"},
          {"--set", "task.ways=5", "--set", "task.rotations=false"});
  refused(kDrawings, {"shots", "need 11 images of a class", "has 3", "lower them"},
          {"--set", "task.shots=9"});
  refused(kDrawings, {"agents", "7 agents", "training alphabets", "deal"}, {"--set", "agents=7"});
  refused(kDrawings, {"[task] test_alphabets", "alphabet_1", "did you mean alphabet1?"},
          {"--set", "task.test_alphabets=[\"alphabet_1\"]"});
  refused(kDrawings, {"nowhere", "no such file or folder", "a zip"}, {"--set", "task.path=[\"nowhere\"]"});
  fs::create_directory(at / "empty");
  refused(kDrawings, {"empty", "holds no images", "alphabet/character"}, {"--set", "task.path=[\"empty\"]"});
  refused(kDrawings, {"[task] path", "is missing", "name folders"}, {"--set", "task.path=[]"});

  const std::string whole = slurp(at / "drawings/alphabet2/character1/0.png"),
                    place = "drawings/alphabet2/character1/0.png";
  for (const std::string& bad : {std::string("I am a text\n"), std::string(), whole.substr(0, 150)}) {
    SCOPED_TRACE(bad.size());
    spill(at / place, bad);
    refused(kDrawings, {place, "is not a readable PNG image", "replace or remove the file"});
  }
}

TEST_F(BadInput, Zips) {
  const std::string whole = zip(drawings(4, 3, 3));
  spill(at / "e.toml", kDrawings);
  spill(at / "d.zip", whole);
  const Words set{"--set", "task.path=[\"d.zip\"]"};
  run_well({"train", "e.toml", "--out", "good", set[0], set[1]}, at.path());
  refused(kDrawings, {"gone.zip", "no such file or folder", "zip"}, {"--set", "task.path=[\"gone.zip\"]"});
  // Cut in the middle of a drawing, at the end of one, and early.
  const size_t middle = whole.size() / 2, between = whole.find("PK\x03\x04", middle);
  for (const size_t keep : {middle, between, size_t{10}}) {
    SCOPED_TRACE(keep);
    spill(at / "d.zip", whole.substr(0, keep));
    refused(kDrawings, {"d.zip", "is not a readable archive", "whole zip file"}, set);
  }
  spill(at / "d.zip", "not a zip at all, but some words that go on for a while\n");
  refused(kDrawings, {"d.zip", "is not a readable archive", "name a folder or a whole zip file"}, set);
  auto files = drawings(4, 3, 3);
  files["alphabet0/character0/0.png"] = "I am a text\n";
  spill(at / "d.zip", zip(files));
  refused(kDrawings, {"d.zip/alphabet0/character0/0.png", "is not a readable PNG image"}, set);
}

TEST_F(BadRun, ExamplesToAdaptTo) {
  const auto refused_examples = [&](const std::string& csv, const Words& words) {
    spill(at / "few.csv", csv);
    expect_refusal(run({"adapt", "run", "--data", "few.csv"}, at.path()), words);
  };
  expect_refusal(run({"adapt", "run", "--data", "gone.csv"}, at.path()),
                 {"gone.csv", "no such file", "path"});
  refused_examples("", {"few.csv", "is empty", "header"});
  refused_examples("x,y\n1,2\n1\n", {"few.csv:3", "1 cells where the header has 2"});
  refused_examples("x,y\n1,2\nzwei,2\n", {"few.csv:3", "column x", "\"zwei\"", "write a number"});
  refused_examples("x,z\n1,2\n", {"few.csv:1", "no column \"y\""});
  refused_examples("x,y\n1,\n", {"few.csv", "no row with a y", "at least one example"});
  refused_examples("x,y\n1,\"2\n", {"few.csv:2", "quote that is not closed"});
  refused_examples("x,y\n1,1e30\n2,-1e30\n3,\n", {"few.csv", "diverged", "scale"});
  spill(at / "few.csv", "x,y\n1,2\n2,\n");
  expect_refusal(run({"adapt", "run", "--data", "few.csv", "--agent", "2"}, at.path()),
                 {"--agent", "no agent 2", "0 to 1"});
  expect_refusal(run({"adapt", "run", "--data", "few.csv", "--steps", "-3"}, at.path()), {"--steps"});
  EXPECT_FALSE(fs::exists(at / "run/adapted"));
  expect_refusal(run({"eval", "run", "--data", "few.csv"}, at.path()),
                 {"--data", "sinusoid", "leave it out"});
}

}  // namespace
