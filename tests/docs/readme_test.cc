// The README in two languages says the same commands under the same headings; and no page of the docs links
// to a file that is not there.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
const fs::path kRoot = SYMMA_SOURCE_DIR;

std::vector<std::string> lines_of(const fs::path& file) {
  std::vector<std::string> out;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

// Levels of the headings, and what stands in blocks of code, without remarks.
struct Bones {
  std::vector<std::string> headings, code;
};

Bones bones(const fs::path& file) {
  Bones out;
  bool fenced = false;
  for (const std::string& line : lines_of(file)) {
    if (line.starts_with("```")) {
      fenced = !fenced;
      out.code.push_back(line);
    } else if (fenced || line.starts_with("    ")) {
      out.code.push_back(line.substr(0, line.find("  # ")));
    } else if (line.starts_with("#")) {
      out.headings.push_back(line.substr(0, line.find(' ')));
    }
  }
  return out;
}

TEST(Readme, IsTheSameInChinese) {
  const Bones english = bones(kRoot / "README.md"), chinese = bones(kRoot / "README.zh.md");
  EXPECT_GT(english.headings.size(), 5u);
  EXPECT_GT(english.code.size(), 50u);
  EXPECT_EQ(chinese.headings, english.headings);
  EXPECT_EQ(chinese.code, english.code);
}

TEST(Readme, ChineseTablesNameTheSameFiles) {
  const auto files = [](const fs::path& file) {
    std::set<std::string> out;
    for (const std::string& line : lines_of(file)) {
      static const std::regex kFile("`[a-z_/.*]*\\.(toml|jsonl?|safetensors|html|ipynb)`");
      if (line.starts_with("<!-- results")) break;  // the tables of results stand in the README alone
      if (!line.starts_with("|")) continue;
      for (std::sregex_iterator i(line.begin(), line.end(), kFile), end; i != end; ++i) out.insert(i->str());
    }
    return out;
  };
  const auto chinese = files(kRoot / "README.zh.md");
  for (const auto& file : files(kRoot / "README.md")) EXPECT_TRUE(chinese.contains(file)) << file;
}

TEST(Pages, LinkToWhatIsThere) {
  static const std::regex kLink("\\]\\(([^)#: ]+)(#[^)]*)?\\)");
  std::vector<fs::path> pages{kRoot / "README.md", kRoot / "README.zh.md", kRoot / "CONTRIBUTING.md",
                              kRoot / "CHANGELOG.md", kRoot / "SECURITY.md"};
  for (const auto& entry : fs::directory_iterator(kRoot / "docs"))
    if (entry.path().extension() == ".md") pages.push_back(entry.path());
  int links = 0;
  for (const auto& page : pages)
    for (const std::string& line : lines_of(page))
      for (std::sregex_iterator i(line.begin(), line.end(), kLink), end; i != end; ++i, ++links)
        EXPECT_TRUE(fs::exists(page.parent_path() / i->str(1))) << page << " links to " << i->str(1);
  EXPECT_GT(links, 100);
}

// Every page of the docs is found from docs/README.md.
TEST(Pages, AreListed) {
  std::string list;
  for (const std::string& line : lines_of(kRoot / "docs/README.md")) list += line + "\n";
  for (const auto& entry : fs::directory_iterator(kRoot / "docs")) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".md") || name == "README.md") continue;
    EXPECT_NE(list.find("(" + name + ")"), std::string::npos) << "docs/README.md does not list " << name;
  }
}

}  // namespace
