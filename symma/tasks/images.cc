// N-way K-shot episodes of drawings: Omniglot and what is arranged like it. Lake et al. 2015; Vinyals et al.
// 2016 (episodes, 28x28, rotations by 90 degrees as new training classes).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "symma/core/files.h"
#include "symma/tasks/csv.h"
#include "symma/tasks/deal.h"
#include "symma/tasks/drawings.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

class Images : public TaskFamily, public FewShot, public Shares {
 public:
  struct Options {
    std::vector<std::string> path, test_path;
    int64_t ways = 5, train_ways = 0, shots = 1, queries = 5, test_queries = 15, side = 28;
    bool rotations = true, within_alphabet = false;
    double jitter = 0;
    std::string split_by = "alphabet", deal = "alphabet";
    std::vector<std::string> train_alphabets, validation_alphabets, test_alphabets, ood_alphabets;
    double validation_fraction = 0.0, test_fraction = 0.2;
    void fields(Fields& f) {
      f.add("path", path, "folders alphabet/character/*.png, or zips of them");
      f.add("test_path", test_path,
            "folders or zips whose classes, all of them, are the test in place of any in path");
      f.add("ways", ways, "classes in an episode").at_least(2);
      f.add("train_ways", train_ways,
            "classes in an episode while training; more than when judged helps prototypes; 0: as many")
          .at_least(0);
      f.add("shots", shots, "images of each class to learn from").at_least(1);
      f.add("queries", queries, "images of each class to be judged on, while training").at_least(1);
      f.add("test_queries", test_queries, "images of each class to be judged on when evaluated").at_least(1);
      f.add("side", side, "images are shrunk to side x side").at_least(8).at_most(256);
      f.add("rotations", rotations, "training classes turned by 90, 180 and 270 degrees are new classes");
      f.add("jitter", jitter,
            "training images are shifted (share of the side), turned (radians) and scaled at random by up to "
            "this")
          .at_least(0)
          .below(1);
      f.add("within_alphabet", within_alphabet,
            "the classes of an episode come from one alphabet, the harder task");
      f.add("split_by", split_by, "what is kept for the test").one_of({"alphabet", "class"});
      f.add("deal", deal, "what is dealt to agents in turn").one_of({"alphabet", "class"});
      f.add("train_alphabets", train_alphabets,
            "alphabets to train on, dealt in this order; empty: all that are not named otherwise");
      f.add("validation_alphabets", validation_alphabets, "alphabets for validation");
      f.add("test_alphabets", test_alphabets, "alphabets for the test; empty: test_fraction of them");
      f.add("ood_alphabets", ood_alphabets, "alphabets for the out-of-distribution test");
      f.add("validation_fraction", validation_fraction,
            "part of the alphabets or classes kept for validation")
          .at_least(0)
          .below(1);
      f.add("test_fraction", test_fraction, "part of the alphabets or classes kept for the test")
          .at_least(0)
          .below(1);
    }
  };

  Images(const Options& o, int64_t agents) : o_(o), agents_(agents) {
    if (o.train_ways != 0 && o.train_ways < o.ways)
      throw UserError("[task] train_ways", fmt::format("is {}, fewer than ways = {}", o.train_ways, o.ways),
                      "train on at least as many classes as are judged, or set 0");
    if (o.path.empty())
      throw UserError("[task] path", "is missing",
                      "name folders of alphabet/character/*.png, or zips of them");
    Drawings drawings = Drawings::load(o.path, o.side);
    for (auto& c : drawings.classes) {
      const int64_t a = alphabet_number(c.alphabet);
      classes_.push_back({a, c.character, c.images});
    }
    divide();
    if (!o.test_path.empty()) {
      test_.clear();
      for (auto& c : Drawings::load(o.test_path, o.side).classes) {
        test_.push_back(static_cast<int64_t>(classes_.size()));
        const int64_t a = alphabet_number(c.alphabet);
        classes_.push_back({a, c.character, c.images});
        class_index_.push_back(0);
      }
    }
    check();
  }

  TaskSpec spec() const override {
    return {.shape = {{o_.side, o_.side, 1}, ways(Split::kTrain)},
            .kind = Kind::kClassification,
            .metric = "accuracy",
            .higher_is_better = true,
            .classes = static_cast<int64_t>(train_all_.size()) * turns(Split::kTrain)};
  }

  std::unique_ptr<TaskBatch> sample(const Model& model, std::span<const Ask> asks,
                                    Split split) const override {
    const bool train = split == Split::kTrain;
    const auto b = static_cast<int64_t>(asks.size());
    const int64_t queries = train ? o_.queries : o_.test_queries, ways = this->ways(split);
    Episodes e;
    e.support_x = at::empty({b, ways * o_.shots, o_.side, o_.side, 1});
    e.query_x = at::empty({b, ways * queries, o_.side, o_.side, 1});
    e.support_class = at::empty({b, ways * o_.shots}, at::kLong);
    e.query_class = at::empty({b, ways * queries}, at::kLong);
    float *support_x = e.support_x.data_ptr<float>(), *query_x = e.query_x.data_ptr<float>();
    int64_t *support_class = e.support_class.data_ptr<int64_t>(),
            *query_class = e.query_class.data_ptr<int64_t>();
    const int64_t pixels = o_.side * o_.side;
    for (int64_t i = 0; i < b; ++i) {
      Draws d(asks[i].key.split(split_name(split)));
      const auto chosen = choose(d, asks[i].agent, split);
      std::set<std::string> from;
      for (int64_t w = 0; w < ways; ++w) {
        const Class& c = classes_[chosen[w].number];
        from.insert(alphabets_[c.alphabet]);
        const auto shots = d.choose(c.images.size(0), o_.shots + queries);
        const int64_t global = class_index_[chosen[w].number] * turns(Split::kTrain) + chosen[w].turn;
        for (size_t s = 0; s < shots.size(); ++s) {
          const auto at = static_cast<int64_t>(s);
          // Points stand shot by shot, one of each class in turn.
          const bool support = at < o_.shots;
          const int64_t place = (support ? at : at - o_.shots) * ways + w;
          const int64_t points = ways * (support ? o_.shots : queries), at_point = i * points + place;
          float* image = (support ? support_x : query_x) + at_point * pixels;
          draw(c.images.data_ptr<uint8_t>() + shots[s] * pixels, chosen[w].turn, image);
          if (train && o_.jitter > 0) jitter(d, image);
          (support ? support_class : query_class)[at_point] = global;
        }
      }
      e.titles.push_back(fmt::format("{}", fmt::join(from, ", ")));
    }
    if (!train) e.support_class = e.query_class = Tensor();
    const Tensor labels = at::arange(ways, at::kLong);
    e.support_y = labels.repeat({b, o_.shots});
    e.query_y = labels.repeat({b, queries});
    return std::make_unique<SupervisedBatch>(model, Kind::kClassification, std::move(e),
                                             train ? Mode::kTrain : Mode::kEval);
  }

  // Columns `file`, relative to the CSV, and `label`; rows with an empty label are predicted.
  Reading read(const std::string& path) const override {
    const CsvFile csv = CsvFile::load(path);
    const size_t file = csv.column("file"), label = csv.column("label");
    Reading out;
    out.query_header = "file";
    std::vector<Tensor> support, query;
    std::vector<int64_t> labels;
    for (size_t r = 0; r < csv.rows.size(); ++r) {
      const auto name = std::filesystem::path(path).parent_path() / csv.rows[r][file];
      const Tensor x = read_drawing(read_file(name), name, o_.side).to(at::kFloat).div_(255).unsqueeze(2);
      const std::string& word = csv.rows[r][label];
      if (word.empty()) {
        query.push_back(x);
        out.query_names.push_back(csv_cell(csv.rows[r][file]));
        continue;
      }
      auto it = std::find(out.labels.begin(), out.labels.end(), word);
      if (it == out.labels.end()) it = out.labels.insert(it, word);
      labels.push_back(it - out.labels.begin());
      support.push_back(x);
    }
    const auto n = static_cast<int64_t>(out.labels.size());
    if (n > o_.ways)
      throw UserError(path, fmt::format("has {} labels", n),
                      fmt::format("the run was trained for {} ways: use at most as many", o_.ways));
    if (n < 2)
      throw UserError(path, fmt::format("has {} label{}", n, n == 1 ? "" : "s"),
                      "give examples of at least two");
    if (query.empty()) throw UserError(path, "has no image to predict", "add rows with an empty label");
    out.episode.support_x = at::stack(support).unsqueeze(0);
    out.episode.support_y = at::tensor(labels, at::kLong).unsqueeze(0);
    out.episode.query_x = at::stack(query).unsqueeze(0);
    out.episode.query_y = at::zeros({1, static_cast<int64_t>(query.size())}, at::kLong);
    return out;
  }

  std::string share(int64_t agent) const override {
    std::map<std::string, int> counts;
    for (int64_t c : train_[agent]) ++counts[alphabets_[classes_[c].alphabet]];
    std::vector<std::string> words;
    for (const auto& [name, n] : counts) words.push_back(fmt::format("{} ({} characters)", name, n));
    return fmt::format("{}", fmt::join(words, ", "));
  }

 private:
  struct Class {
    int64_t alphabet;
    std::string character;
    Tensor images;
  };
  struct Chosen {
    int64_t number, turn;
  };

  int64_t alphabet_number(const std::string& name) {
    const auto it = std::find(alphabets_.begin(), alphabets_.end(), name);
    if (it != alphabets_.end()) return it - alphabets_.begin();
    alphabets_.push_back(name);
    return static_cast<int64_t>(alphabets_.size()) - 1;
  }

  std::vector<int64_t> alphabets_named(const char* key, const std::vector<std::string>& names) const {
    std::vector<int64_t> out;
    for (const auto& name : names) {
      const auto it = std::find(alphabets_.begin(), alphabets_.end(), name);
      if (it == alphabets_.end())
        throw UserError(std::string("[task] ") + key, "\"" + name + "\" is not among the drawings",
                        suggestion(name, alphabets_));
      out.push_back(it - alphabets_.begin());
    }
    return out;
  }

  std::vector<int64_t> classes_of(const std::vector<int64_t>& alphabets) const {
    std::vector<int64_t> out;
    for (int64_t a : alphabets) {
      for (size_t c = 0; c < classes_.size(); ++c) {
        if (classes_[c].alphabet == a) out.push_back(static_cast<int64_t>(c));
      }
    }
    return out;
  }

  void divide() {
    const auto train_named = alphabets_named("train_alphabets", o_.train_alphabets);
    const auto validation_named = alphabets_named("validation_alphabets", o_.validation_alphabets);
    const auto test_named = alphabets_named("test_alphabets", o_.test_alphabets);
    const auto ood_named = alphabets_named("ood_alphabets", o_.ood_alphabets);
    std::map<int64_t, const char*> seen;
    for (const auto& [key, list] : {std::pair{"train_alphabets", &train_named},
                                    {"validation_alphabets", &validation_named},
                                    {"test_alphabets", &test_named},
                                    {"ood_alphabets", &ood_named}}) {
      for (int64_t a : *list) {
        const auto [it, fresh] = seen.emplace(a, key);
        if (!fresh)
          throw UserError(std::string("[task] ") + key,
                          fmt::format("\"{}\" is in {} too", alphabets_[a], it->second), "keep splits apart");
      }
    }
    std::vector<int64_t> free = train_named;
    if (free.empty()) {
      for (size_t a = 0; a < alphabets_.size(); ++a) {
        if (!seen.contains(static_cast<int64_t>(a))) free.push_back(static_cast<int64_t>(a));
      }
    }
    const double validation = validation_named.empty() ? o_.validation_fraction : 0,
                 test = test_named.empty() ? o_.test_fraction : 0;
    const bool by_alphabet = o_.split_by == "alphabet";
    const auto pool = by_alphabet ? free : classes_of(free);
    Parts parts = validation + test > 0 ? part_items(pool, validation, test, "images") : Parts{pool, {}, {}};
    const auto as_classes = [&](const std::vector<int64_t>& items) {
      return by_alphabet ? classes_of(items) : items;
    };
    train_all_ = as_classes(parts.train);
    validation_ = validation_named.empty() ? as_classes(parts.validation) : classes_of(validation_named);
    test_ = test_named.empty() ? as_classes(parts.test) : classes_of(test_named);
    ood_ = classes_of(ood_named);
    class_index_.assign(classes_.size(), 0);
    for (size_t i = 0; i < train_all_.size(); ++i) class_index_[train_all_[i]] = static_cast<int64_t>(i);
    if (o_.deal == "class") {
      train_ =
          deal_items(train_all_, agents_, fmt::format("there are {} training classes", train_all_.size()));
      return;
    }
    std::vector<int64_t> alphabets;
    for (int64_t c : train_all_) {
      if (std::find(alphabets.begin(), alphabets.end(), classes_[c].alphabet) == alphabets.end())
        alphabets.push_back(classes_[c].alphabet);
    }
    const auto hands = deal_items(
        alphabets, agents_,
        fmt::format("there are {} training alphabets; with deal = \"class\" each agent gets some classes",
                    alphabets.size()));
    for (const auto& hand : hands) {
      train_.emplace_back();
      for (int64_t c : train_all_) {
        if (std::find(hand.begin(), hand.end(), classes_[c].alphabet) != hand.end())
          train_.back().push_back(c);
      }
    }
  }

  void check() const {
    const auto enough = [&](const std::vector<int64_t>& pool, Split split, const std::string& whose) {
      std::map<int64_t, int64_t> by_alphabet;
      for (int64_t c : pool) by_alphabet[o_.within_alphabet ? classes_[c].alphabet : 0] += turns(split);
      for (const auto& [a, n] : by_alphabet) {
        if (n >= ways(split)) continue;
        const char* key = split == Split::kTrain && o_.train_ways > 0 ? "train_ways" : "ways";
        throw UserError(
            std::string("[task] ") + key,
            fmt::format("{} ways, but {} {} classes{}", ways(split), whose, n,
                        o_.within_alphabet ? " in " + alphabets_[a] : ""),
            fmt::format("set {} = {} or fewer, or give more classes", key, std::max<int64_t>(2, n)));
      }
    };
    for (size_t a = 0; a < train_.size(); ++a)
      enough(train_[a], Split::kTrain, fmt::format("agent {} has", a));
    if (!validation_.empty()) enough(validation_, Split::kValidation, "validation has");
    if (!test_.empty()) enough(test_, Split::kTest, "the test has");
    if (!ood_.empty()) enough(ood_, Split::kOod, "the out-of-distribution test has");
    for (const auto& c : classes_) {
      const int64_t need = o_.shots + std::max(o_.queries, o_.test_queries);
      if (c.images.size(0) >= need) continue;
      throw UserError("[task] shots, queries, test_queries",
                      fmt::format("need {} images of a class, and {}/{} has {}", need, alphabets_[c.alphabet],
                                  c.character, c.images.size(0)),
                      "lower them");
    }
  }

  int64_t ways(Split split) const {
    return split == Split::kTrain && o_.train_ways > 0 ? o_.train_ways : o_.ways;
  }

  // Rotations make new classes of training tasks only: the test is on drawings as they were drawn.
  int64_t turns(Split split) const { return split == Split::kTrain && o_.rotations ? 4 : 1; }

  const std::vector<int64_t>& pool_for(int64_t agent, Split split) const {
    const auto& pool = split == Split::kTrain        ? (agent == kEveryone ? train_all_ : train_[agent])
                       : split == Split::kValidation ? (validation_.empty() ? train_all_ : validation_)
                       : split == Split::kTest       ? test_
                                                     : ood_;
    if (pool.empty()) {
      throw UserError(split == Split::kOod ? "[task] ood_alphabets" : "[task] test_alphabets",
                      fmt::format("leaves no class for the {} tasks", split_name(split)), "name some");
    }
    return pool;
  }

  std::vector<Chosen> choose(Draws& d, int64_t agent, Split split) const {
    const auto* pool = &pool_for(agent, split);
    std::vector<int64_t> one;
    if (o_.within_alphabet) {
      // An alphabet, each as likely as any other, then classes of it.
      std::set<int64_t> there;
      for (int64_t c : *pool) there.insert(classes_[c].alphabet);
      const int64_t a = *std::next(there.begin(), d.below(static_cast<int64_t>(there.size())));
      for (int64_t c : *pool) {
        if (classes_[c].alphabet == a) one.push_back(c);
      }
      pool = &one;
    }
    const int64_t n = turns(split);
    std::vector<Chosen> out;
    for (int64_t i : d.choose(static_cast<int64_t>(pool->size()) * n, ways(split)))
      out.push_back({(*pool)[i / n], i % n});
    return out;
  }

  // Ink 0..255 to 0..1, turned counter-clockwise by quarters.
  void draw(const uint8_t* ink, int64_t turn, float* to) const {
    const int64_t n = o_.side;
    for (int64_t y = 0; y < n; ++y) {
      for (int64_t x = 0; x < n; ++x) {
        const int64_t from = turn == 0   ? y * n + x
                             : turn == 1 ? x * n + (n - 1 - y)
                             : turn == 2 ? (n - 1 - y) * n + (n - 1 - x)
                                         : (n - 1 - x) * n + y;
        *to++ = static_cast<float>(ink[from]) / 255.0f;
      }
    }
  }

  // Another hand's drawing of the same: turned, scaled and shifted a little, read between pixels.
  void jitter(Draws& d, float* image) const {
    const int64_t n = o_.side;
    const double j = o_.jitter, side = static_cast<double>(n), middle = (side - 1) / 2;
    const double angle = d.uniform(-j, j), scale = 1 + d.uniform(-j, j), dx = side * d.uniform(-j, j),
                 dy = side * d.uniform(-j, j);
    const double c = std::cos(angle) / scale, s = std::sin(angle) / scale;
    const std::vector<float> old(image, image + n * n);
    const auto ink = [&](int64_t y, int64_t x) {
      return x >= 0 && x < n && y >= 0 && y < n ? static_cast<double>(old[y * n + x]) : 0.0;
    };
    for (int64_t y = 0; y < n; ++y) {
      for (int64_t x = 0; x < n; ++x) {
        const double u = static_cast<double>(x) - middle - dx, v = static_cast<double>(y) - middle - dy;
        const double fx = middle + c * u - s * v, fy = middle + s * u + c * v;
        const double bx = std::floor(fx), by = std::floor(fy), rx = fx - bx, ry = fy - by;
        const auto x0 = static_cast<int64_t>(bx), y0 = static_cast<int64_t>(by);
        *image++ = static_cast<float>((1 - ry) * ((1 - rx) * ink(y0, x0) + rx * ink(y0, x0 + 1)) +
                                      ry * ((1 - rx) * ink(y0 + 1, x0) + rx * ink(y0 + 1, x0 + 1)));
      }
    }
  }

  Options o_;
  int64_t agents_;
  std::vector<std::string> alphabets_;
  std::vector<Class> classes_;
  std::vector<int64_t> class_index_;         // a training class's number among them
  std::vector<std::vector<int64_t>> train_;  // by agent
  std::vector<int64_t> train_all_, validation_, test_, ood_;
};

SYMMA_REGISTER(TaskFamily, "images", Images, "N-way K-shot episodes of drawings in alphabet/character/*.png",
               "Lake et al. 2015 (Omniglot); Vinyals et al. 2016, arXiv:1606.04080");

}  // namespace
}  // namespace symma
