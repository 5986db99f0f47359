// An experiment file as text: what is set, why, and every other option at its default, commented out.
#pragma once

#include <string>
#include <vector>

namespace symma {

// A setting: its value in TOML, and why it is what it is; without a reason, the option's own words stand
// there.
struct Setting {
  std::string name, value, why = {};
};

struct SectionText {
  std::string name;             // "task", "task.world"; "" is the top
  std::string part_kind, part;  // "Learner", "maml"; of the top and of sections without a part, empty
  std::string note;             // a line about it
  std::vector<Setting> set;
  std::vector<std::string> apart = {};  // options that stand elsewhere, or mean nothing to a person
};

// Words as lines of comment.
std::string comment(const std::string& words);

// A string of TOML. Throws UserError where `text` is no UTF-8.
std::string toml_string(const std::string& text);
std::string toml_list(const std::vector<std::string>& texts);  // over several lines where it is long

std::string file_text(const std::string& title, const std::vector<SectionText>&);

}  // namespace symma
