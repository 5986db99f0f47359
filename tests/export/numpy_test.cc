// docs/files.md says how adapted.safetensors is read: its own lines reproduce predictions.csv.
#include "export/exports.h"

namespace symma {
namespace {

using program::TempDir;

std::string block(const std::string& page, const std::string& after) {
  const size_t said = page.find(after);
  if (said == std::string::npos) throw std::runtime_error("docs/files.md no longer says: " + after);
  const size_t from = page.find("```python\n", said) + 10;
  return page.substr(from, page.find("```", from) - from);
}

TEST(FilesPage, ItsLinesReproducePredictions) {
  const char* named = std::getenv("SYMMA_PYTHON");
  const std::string python = named ? named : "python3";
  if (std::system((python + " -c 'import numpy' 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "no python3 with numpy (or set SYMMA_PYTHON)";
  const std::string lines = block(program::slurp(std::string(SYMMA_SOURCE_DIR) + "/docs/files.md"),
                                  "`predictions.csv` of a perceptron to 1e-6:");
  EXPECT_LT(program::lines(lines).size(), 40u);
  struct Case {
    const char *name, *toml, *few;
  };
  const std::vector<Case> cases{
      {"sinusoid", "[task]\nkind = \"sinusoid\"\n", "x,y\n1,2\n-3,0.5\n2,\n-1,\n0.25,\n"},
      {"double",
       "precision = \"float64\"\n[task]\nkind = \"sinusoid\"\n[model]\nkind = \"mlp\"\nactivation = "
       "\"gelu\"\n",
       "x,y\n1,2\n-3,0.5\n"},
      {"numbers",
       "[task]\nkind = \"table\"\npath = \"numbers.csv\"\ngroup = \"home\"\ntarget = "
       "\"label\"\n[model]\nkind = \"mlp\"\nactivation = \"tanh\"\n",
       "time,label,size\n1700000000,310,41\n1700050000,280,38\n1700020000,,44\n1699900000,,35.5\n"},
      {"words",
       "[task]\nkind = \"table\"\npath = \"words.csv\"\ngroup = \"home\"\ntarget = \"label\"\npredict = "
       "\"classification\"\nshots = 5\n[learner]\nkind = \"maml\"\ninner_lr = 0.1\n",
       "size,time,label\n41,1700000000,low\n38,1700050000,\"high, very\"\n44,1700020000,\n35,1699900000,\n"},
  };
  const TempDir at;
  write_table(at / "numbers.csv", false);
  write_table(at / "words.csv", true);
  program::spill(at / "read.py", lines);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const std::string name = c.name;
    program::spill(at / (name + ".toml"), std::string("agents = 2\nrounds = 20\n") + c.toml +
                                              "[eval]\ntasks = 2\nvalidation_tasks = 2\n");
    program::spill(at / (name + "_few.csv"), c.few);
    program::run_well({"train", name + ".toml", "--out", name}, at.path());
    program::run_well({"adapt", name, "--data", name + "_few.csv", "--agent", "1"}, at.path());
    const auto predicted = program::lines(program::slurp(at / (name + "/adapted/predictions.csv")));
    const std::string command = "cd " + at.path().string() + " && " + python + " read.py " + name +
                                "/adapted/adapted.safetensors " + name + "_few.csv > out.txt 2> err.txt";
    ASSERT_EQ(std::system(command.c_str()), 0) << program::slurp(at / "err.txt");
    const auto read = program::lines(program::slurp(at / "out.txt"));
    ASSERT_EQ(read.size() + 1, predicted.size());
    for (size_t i = 0; i < read.size(); ++i) {
      const std::string& row = predicted[i + 1];
      const size_t tab = read[i].find('\t');
      const double ours = std::stod(row.substr(row.rfind(',') + 1)),
                   theirs = std::stod(read[i].substr(tab == std::string::npos ? 0 : tab + 1));
      EXPECT_NEAR(ours, theirs, 1e-6 * std::max(1.0, std::abs(ours))) << row;
      if (tab != std::string::npos) {
        EXPECT_TRUE(program::holds(row, read[i].substr(0, tab))) << row << " " << read[i];
      }
    }
  }
}

}  // namespace
}  // namespace symma
