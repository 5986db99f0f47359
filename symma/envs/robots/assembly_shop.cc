#include "symma/envs/robots/assembly_shop.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/kept.h"

namespace symma {
namespace {

constexpr int64_t kMostOfShop = 1000;      // jobs, and machines
constexpr int64_t kLongestJob = 10000000;  // duration

bool whole(const std::string& word, int64_t* to) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), *to);
  return error == std::errc() && end == word.data() + word.size();
}

// Lines that say something, as words.
class Lines {
 public:
  explicit Lines(const std::string& path) : path_(path), text_(read_file(path)) {}
  bool next(std::vector<std::string>& words) {
    for (std::string line; std::getline(text_, line);) {
      ++number_;
      line = line.substr(0, line.find('#'));
      std::istringstream in(line);
      words.assign(std::istream_iterator<std::string>(in), {});
      if (!words.empty() && words[0][0] != '+') return true;
    }
    return false;
  }
  std::string place() const { return fmt::format("{}:{}", path_, number_); }

 private:
  std::string path_;
  std::istringstream text_;
  int64_t number_ = 0;
};

// "[name] jobs machines [optimum]"
bool header(const std::vector<std::string>& words, Shop& s) {
  int64_t ignored = 0;
  const size_t first = whole(words[0], &ignored) ? 0 : 1, numbers = words.size() - first;
  if (numbers != 2 && numbers != 3) return false;
  if (!whole(words[first], &s.jobs) || !whole(words[first + 1], &s.machines)) return false;
  if (numbers == 3 && !whole(words[first + 2], &s.optimum)) return false;
  if (first == 1) s.name = words[0];
  return true;
}

void read_job(const Lines& lines, const std::vector<std::string>& words, int64_t job, Shop& s,
              std::vector<std::vector<int32_t>>& rows) {
  const std::string place = lines.place();
  if (words.size() % 2 != 0)
    throw UserError(place, fmt::format("job {} has {} numbers", job, words.size()),
                    "give pairs: a machine and a duration for each operation");
  std::vector<int32_t> row;
  for (size_t k = 0; k < words.size(); ++k) {
    int64_t x = 0;
    if (!whole(words[k], &x))
      throw UserError(place, fmt::format("\"{}\" of job {} is no whole number", words[k], job),
                      "give pairs: a machine and a duration for each operation");
    if (k % 2 == 0 && (x < 0 || x >= s.machines))
      throw UserError(place, fmt::format("job {} wants machine {}", job, x),
                      fmt::format("machines count from 0, so 0 to {} are there", s.machines - 1));
    if (k % 2 == 1 && (x < 1 || x > kLongestJob))
      throw UserError(place, fmt::format("an operation of job {} takes {}", job, x),
                      fmt::format("1 to {} would be right", kLongestJob));
    row.push_back(static_cast<int32_t>(x));
  }
  s.operations = std::max(s.operations, static_cast<int64_t>(row.size() / 2));
  rows.push_back(std::move(row));
}

void read_join(const std::string& place, const std::vector<std::string>& words, Shop& s) {
  Shop::Join j{};
  if (words.size() != 4 || !whole(words[1], &j.job) || !whole(words[2], &j.operation) ||
      !whole(words[3], &j.part))
    throw UserError(place, "is no join", "write \"join J K I\": operation K of job J waits for job I");
  for (int64_t job : {j.job, j.part}) {
    if (job < 0 || job >= s.jobs)
      throw UserError(place, fmt::format("job {} is not there", job), fmt::format("0 to {} are", s.jobs - 1));
  }
  if (j.operation < 0 || j.operation >= s.count[j.job])
    throw UserError(place, fmt::format("job {} has no operation {}", j.job, j.operation),
                    fmt::format("0 to {} are there", s.count[j.job] - 1));
  s.joins.push_back(j);
}

// When each job is made at the earliest, were there machines enough; -1 where joins go round in a circle.
int64_t longest_chain(const Shop& s) {
  std::vector<int64_t> done(s.jobs, 0);
  for (int64_t round = 0; round <= s.jobs; ++round) {
    bool changed = false;
    for (int64_t j = 0; j < s.jobs; ++j) {
      int64_t t = 0;
      for (int64_t k = 0; k < s.count[j]; ++k) {
        for (const Shop::Join& join : s.joins)
          if (join.job == j && join.operation == k) t = std::max(t, done[join.part]);
        t += s.duration[j * s.operations + k];
      }
      changed |= t != done[j];
      done[j] = t;
    }
    if (!changed) return *std::max_element(done.begin(), done.end());
  }
  return -1;
}

std::vector<Shop> shops_of(const std::string& path) {
  Lines lines(path);
  std::vector<Shop> out;
  std::vector<std::string> words;
  bool more = lines.next(words), told = false;
  while (more) {
    Shop s;
    if (words[0] == "instance" && words.size() == 2) {  // as Beasley's OR-Library writes it
      s.name = words[1], told = true;
      more = lines.next(words);
      continue;
    }
    const std::string place = lines.place();
    if (!header(words, s)) {
      if (told) {  // its line of description
        more = lines.next(words);
        continue;
      }
      throw UserError(place, fmt::format("\"{}\" begins no shop", fmt::format("{:.40}", words[0])),
                      "write \"jobs machines\", then a line of pairs \"machine duration\" for each job");
    }
    told = false;
    if (s.jobs < 1 || s.machines < 1 || s.jobs > kMostOfShop || s.machines > kMostOfShop || s.optimum < 0)
      throw UserError(place, fmt::format("a shop of {} jobs and {} machines", s.jobs, s.machines),
                      fmt::format("1 to {} of each would be right", kMostOfShop));
    if (s.name.empty()) s.name = fmt::format("shop {}", out.size() + 1);
    std::vector<std::vector<int32_t>> rows;
    for (int64_t j = 0; j < s.jobs; ++j) {
      if (!lines.next(words))
        throw UserError(place, fmt::format("{} of {} jobs are there", j, s.jobs), "give each a line");
      read_job(lines, words, j, s, rows);
    }
    s.machine.assign(s.jobs * s.operations, -1), s.duration.assign(s.jobs * s.operations, 0);
    for (int64_t j = 0; j < s.jobs; ++j) {
      s.count.push_back(static_cast<int32_t>(rows[j].size() / 2));
      for (int64_t k = 0; k < s.count[j]; ++k) {
        s.machine[j * s.operations + k] = rows[j][2 * k];
        s.duration[j * s.operations + k] = rows[j][2 * k + 1];
      }
    }
    while ((more = lines.next(words)) && words[0] == "join") read_join(lines.place(), words, s);
    if (longest_chain(s) < 0)
      throw UserError(place, "the joins go round in a circle, so nothing could be begun",
                      "no job may wait for itself, by way of others either");
    if (s.optimum > 0 && s.optimum < s.lower_bound())
      throw UserError(place,
                      fmt::format("a makespan of {} cannot be: {} is needed", s.optimum, s.lower_bound()),
                      "mend it, or leave it out");
    out.push_back(std::move(s));
  }
  if (out.empty())
    throw UserError(path, "holds no shop",
                    "write \"jobs machines\", then a line of pairs \"machine duration\" for each job");
  return out;
}

}  // namespace

int64_t Shop::lower_bound() const {
  std::vector<int64_t> load(machines, 0);
  for (int64_t i = 0; i < jobs * operations; ++i)
    if (machine[i] >= 0) load[machine[i]] += duration[i];
  return std::max(longest_chain(*this), *std::max_element(load.begin(), load.end()));
}

std::vector<Shop::Join> made_joins(int64_t jobs, int64_t joins) {
  std::vector<Shop::Join> out;
  for (int64_t i = 0; i < joins; ++i) {
    const int64_t job = jobs - joins + i;
    for (int64_t part : {2 * i, 2 * i + 1}) {
      if (part < job) out.push_back({job, 0, part});
    }
  }
  return out;
}

Shop make_shop(const ShopKind& kind, Rng rng) {
  Draws d(rng);
  Shop s;
  s.name = "made up";
  s.jobs = kind.jobs, s.machines = kind.machines;
  s.operations = kind.permutation ? std::min(kind.operations, kind.machines) : kind.operations;
  s.machine.assign(s.jobs * s.operations, -1), s.duration.assign(s.jobs * s.operations, 0);
  for (int64_t j = 0; j < s.jobs; ++j) {
    const int64_t n = kind.permutation ? s.operations : 1 + d.below(s.operations);
    std::vector<int64_t> route;
    if (kind.permutation) route = d.choose(s.machines, n);
    s.count.push_back(static_cast<int32_t>(n));
    for (int64_t k = 0; k < n; ++k) {
      s.machine[j * s.operations + k] =
          static_cast<int32_t>(kind.permutation ? route[k] : d.below(s.machines));
      s.duration[j * s.operations + k] =
          static_cast<int32_t>(kind.shortest + d.below(kind.longest - kind.shortest + 1));
    }
  }
  s.joins = made_joins(s.jobs, std::min(kind.joins, s.jobs / 2));
  return s;
}

std::shared_ptr<const std::vector<Shop>> read_shops(const std::string& path) {
  return kept<std::vector<Shop>>(path, {path},
                                 [&] { return std::make_shared<const std::vector<Shop>>(shops_of(path)); });
}

}  // namespace symma
