// A full disk: exit code 2, one line that names the file and the remedy, nothing half-written, earlier files
// as they were.
#include <sys/mount.h>

#include "cli/program.h"

namespace {

using namespace program;

// No file may grow beyond some bytes: first none may be written at all, at last only the page is too large.
TEST_F(BadRun, WhenFilesCannotGrow) {
  const std::string before = slurp(at / "run/metrics.jsonl");
  for (const rlim_t most : {rlim_t{0}, rlim_t{500}}) {
    SCOPED_TRACE(most);
    // What the program says must fit: it goes to files here.
    const Result r = run({"train", "e.toml", "--out", "fresh"}, at.path(), most);
    EXPECT_EQ(r.code, 2);
    expect_nothing_half_written(at.path());
    EXPECT_FALSE(fs::exists(at / "fresh/experiment.toml"));
    EXPECT_FALSE(fs::exists(at / "fresh/checkpoint.safetensors"));
  }
  const rlim_t settings = fs::file_size(at / "run/experiment.toml");
  // The settings fit; rows do for a while; then they don't.
  {
    const Result r = run({"train", "e.toml", "--out", "fresh", "--set", "rounds=400", "--set", "log_every=1"},
                         at.path(), 2 * settings);
    expect_refusal(r, {"fresh/metrics.jsonl", "cannot be written", "--resume"}, true);
    expect_nothing_half_written(at.path());
    for (const auto& row : lines(slurp(at / "fresh/metrics.jsonl")))
      EXPECT_TRUE(Json::parse(row, nullptr, false).is_object()) << "half a row: " << row;
    run_well({"train", "--resume", "--out", "fresh"}, at.path());  // the remedy works
    EXPECT_EQ(lines(slurp(at / "fresh/metrics.jsonl")).size(), 400u);
  }
  // A checkpoint, the second, does not fit: the run goes on from where it was once there is room.
  {
    const Words wide{"train", "e.toml",        "--out", "wide", "--set", "model.hidden=[3000]",
                     "--set", "log_every=1000"};
    const Result r = run(wide, at.path(), 2 * settings);
    expect_refusal(r, {"wide/checkpoint.safetensors", "cannot be written"}, true);
    EXPECT_FALSE(fs::exists(at / "wide/checkpoint.safetensors"));
    expect_nothing_half_written(at.path());
  }
  // An old checkpoint stays as it was when a new one does not fit.
  {
    const std::string kept = slurp(at / "run/checkpoint.safetensors");
    const Result r = run(
        {"train", "e.toml", "--out", "run", "--resume", "--set", "rounds=40", "--set", "checkpoint_every=0"},
        at.path(), 1000);
    EXPECT_EQ(r.code, 2) << r.err;
    EXPECT_EQ(slurp(at / "run/checkpoint.safetensors"), kept);
    EXPECT_EQ(slurp(at / "run/metrics.jsonl"), before);
    expect_nothing_half_written(at.path());
  }
  // The report, the largest file.
  {
    const std::string page = slurp(at / "run/report.html");
    expect_refusal(run({"report", "run"}, at.path(), 20000), {"run/report.html", "cannot be written"});
    EXPECT_EQ(slurp(at / "run/report.html"), page);
    expect_nothing_half_written(at.path());
  }
}

// A real one, where this process may mount a small file system.
TEST_F(BadRun, AFullDisk) {
  fs::create_directory(at / "small");
  if (::mount("none", (at / "small").c_str(), "tmpfs", 0, "size=64k") != 0)
    GTEST_SKIP() << "this needs to mount a small tmpfs: " << std::strerror(errno);
  struct Unmount {
    std::string path;
    ~Unmount() { ::umount(path.c_str()); }
  } unmount{at / "small"};
  const Result r = run({"train", "e.toml", "--out", "small/run", "--set", "model.hidden=[3000]", "--set",
                        "rounds=2000", "--set", "log_every=1"},
                       at.path());
  expect_refusal(r, {"small/run/", "cannot be written", "No space left", "free some space"}, true);
  expect_nothing_half_written(at / "small");
}

}  // namespace
