// N-way K-shot episodes of images: Omniglot, what is arranged like it, and folders of classes. Lake et al.
// 2015; Vinyals et al. 2016 (episodes, 28x28, rotations by 90 degrees as new training classes).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <mutex>
#include <set>

#include "symma/core/files.h"
#include "symma/core/record.h"
#include "symma/tasks/csv.h"
#include "symma/tasks/drawings.h"
#include "symma/tasks/episodes.h"
#include "symma/tasks/image_split.h"
#include "symma/tasks/jitter.h"
#include "symma/tasks/known.h"
#include "symma/tasks/named.h"
#include "symma/tasks/pictures.h"
#include "symma/tasks/signature.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

class Images : public TaskFamily,
               public FewShot,
               public Shares,
               public KeepsData,
               public HasSignature,
               public PlaysEpisodes,
               public OtherTests,
               public Remembers {
 public:
  struct Options {
    std::vector<std::string> path, test_path;
    std::string known;
    int64_t ways = 5, train_ways = 0, shots = 1, queries = 5, test_queries = 15, side = 28, channels = 1;
    bool rotations = true, within_alphabet = false;
    double jitter = 0;
    ImageSplitOptions split;
    void fields(Fields& f) {
      f.add("path", path, "folders alphabet/character/*.png or class/*.png (or .jpg), or zips of them");
      f.add("test_path", test_path,
            "folders or zips whose classes, all of them, are the test in place of any in path");
      f.add("known", known,
            "a run's data.json, in place of reading path before tasks are drawn; set by symma");
      f.add("ways", ways, "classes in an episode").at_least(2);
      f.add("train_ways", train_ways,
            "classes in an episode while training; more than when judged helps prototypes; 0: as many")
          .at_least(0);
      f.add("shots", shots, "images of each class to learn from").at_least(1);
      f.add("queries", queries, "images of each class to be judged on, while training").at_least(1);
      f.add("test_queries", test_queries, "images of each class to be judged on when evaluated").at_least(1);
      f.add("side", side, "images are shrunk to side x side").at_least(8).at_most(256);
      f.add("channels", channels, "1: ink, dark on light; 3: red, green and blue").at_least(1).at_most(3);
      f.add("rotations", rotations, "training classes turned by 90, 180 and 270 degrees are new classes");
      f.add("jitter", jitter,
            "training images are shifted (share of the side), turned (radians) and scaled at random by up to "
            "this")
          .at_least(0)
          .below(1);
      f.add("within_alphabet", within_alphabet,
            "the classes of an episode come from one alphabet, the harder task");
      split.fields(f);
    }
  };

  Images(const Options& o, int64_t agents) : o_(o), agents_(agents) {
    if (o.train_ways != 0 && o.train_ways < o.ways)
      throw UserError("[task] train_ways", fmt::format("is {}, fewer than ways = {}", o.train_ways, o.ways),
                      "train on at least as many classes as are judged, or set 0");
    if (o.channels == 2)
      throw UserError("[task] channels", "is 2", "set 1 for ink, 3 for red, green and blue");
    if (o.path.empty())
      throw UserError("[task] path", "is missing",
                      "name folders of alphabet/character/*.png or class/*.png, or zips of them");
    if (o.known.empty())
      load(o.path, o.test_path);
    else
      recall(parse_json(read_file(o.known)));
  }

  TaskSpec spec() const override {
    return {.shape = {{o_.side, o_.side, o_.channels}, ways(Split::kTrain)},
            .kind = Kind::kClassification,
            .metric = "accuracy",
            .higher_is_better = true,
            .classes = static_cast<int64_t>(split_.train_all.size()) * turns(Split::kTrain)};
  }

  std::unique_ptr<TaskBatch> sample(const Model& model, std::span<const Ask> asks,
                                    Split split) const override {
    // Judged on other data, a run needs its own no more.
    if (!o_.known.empty() && !(elsewhere_ && split == Split::kTest)) std::call_once(loaded_, [&] { find(); });
    const bool train = split == Split::kTrain;
    const auto b = static_cast<int64_t>(asks.size());
    const int64_t queries = train ? o_.queries : o_.test_queries, ways = this->ways(split);
    Episodes e;
    e.support_x = at::empty({b, ways * o_.shots, o_.side, o_.side, o_.channels});
    e.query_x = at::empty({b, ways * queries, o_.side, o_.side, o_.channels});
    e.support_class = at::empty({b, ways * o_.shots}, at::kLong);
    e.query_class = at::empty({b, ways * queries}, at::kLong);
    float *support_x = e.support_x.data_ptr<float>(), *query_x = e.query_x.data_ptr<float>();
    int64_t *support_class = e.support_class.data_ptr<int64_t>(),
            *query_class = e.query_class.data_ptr<int64_t>();
    const int64_t pixels = o_.side * o_.side * o_.channels;
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
          turn_image(c.images.data_ptr<uint8_t>() + shots[s] * pixels, o_.side, o_.channels, chosen[w].turn,
                     image);
          if (train && o_.jitter > 0) jitter_image(d, o_.jitter, o_.side, o_.channels, image);
          (support ? support_class : query_class)[at_point] = global;
        }
      }
      e.titles.push_back(fmt::format("{}", fmt::join(from, ", ")));
      e.names.push_back(name(chosen, split));
    }
    if (!train) e.support_class = e.query_class = Tensor();
    const Tensor labels = at::arange(ways, at::kLong);
    e.support_y = labels.repeat({b, o_.shots});
    e.query_y = labels.repeat({b, queries});
    e.keys = keys_of(asks);
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
      const Tensor x = picture(read_file(name), name);
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

  Json known() const override {
    std::vector<std::string> paths = o_.path;
    paths.insert(paths.end(), o_.test_path.begin(), o_.test_path.end());
    std::vector<Source> sources;
    for (const auto& path : paths) sources.push_back(source_of(path));
    Json classes = Json::array();
    for (const Class& c : classes_) classes.push_back({alphabets_[c.alphabet], c.character, hash(c)});
    return {{"sources", to_json(sources)},
            {"classes", classes},
            {"train", split_.train},
            {"train_all", split_.train_all},
            {"validation", split_.validation},
            {"test", split_.test},
            {"ood", split_.ood}};
  }

  void test_on(const std::string& path) override {
    const size_t before = classes_.size();
    add(Drawings::load({path}, o_.side, o_.channels));
    split_.test.clear();
    for (size_t c = before; c < classes_.size(); ++c) split_.test.push_back(static_cast<int64_t>(c));
    elsewhere_ = true;
    class_index_.resize(classes_.size());
    check(split_.test, Split::kTest, path + " has");
    know_again();
  }

  bool trained_on(const std::string& name) const override { return name.ends_with(kTrainedOn); }

  Signature signature() const override {
    Signature s;
    s.form = fmt::format("{0} x {0} x {1} (row, column, channel), each 0 to 1: {2}", o_.side, o_.channels,
                         o_.channels == 1 ? "ink, 0 white paper to 1 black" : "red, green, blue");
    return s;
  }

  Played play(const EpisodeList& list, size_t i) const override {
    if (list.rows)
      throw UserError(list.path, "lists rows, and this task is of images", "name a column \"file\"");
    Played out;
    Reading& r = out.reading;
    r.query_header = "file";
    std::vector<Tensor> support, query;
    std::vector<int64_t> support_y, query_y;
    const auto number = [&](const std::string& label) {
      return std::find(r.labels.begin(), r.labels.end(), label) - r.labels.begin();
    };
    const EpisodeList::Episode& e = list.episodes[i];
    for (const auto& item : e.items) {
      if (!item.support) continue;
      if (item.label.empty()) throw UserError(item.place, "has no label", "label what is to be learned from");
      if (number(item.label) == static_cast<int64_t>(r.labels.size())) r.labels.push_back(item.label);
      support.push_back(picture(list.file(item), item.what));
      support_y.push_back(number(item.label));
    }
    const auto n = static_cast<int64_t>(r.labels.size());
    if (n < 2 || n > o_.ways)
      throw UserError(e.items[0].place,
                      fmt::format("episode {} has {} label{}", e.name, n, n == 1 ? "" : "s"),
                      fmt::format("the run was trained for 2 to {} ways", o_.ways));
    for (const auto& item : e.items) {
      if (item.support) continue;
      const int64_t label = item.label.empty() ? 0 : number(item.label);
      if (label == n)
        throw UserError(item.place, "\"" + item.label + "\" is no label of the episode's support",
                        suggestion(item.label, r.labels));
      query.push_back(picture(list.file(item), item.what));
      query_y.push_back(label);
      out.known.push_back(!item.label.empty());
      r.query_names.push_back(csv_cell(item.what));
    }
    r.episode.support_x = at::stack(support).unsqueeze(0);
    r.episode.support_y = at::tensor(support_y, at::kLong).unsqueeze(0);
    r.episode.query_x = at::stack(query).unsqueeze(0);
    r.episode.query_y = at::tensor(query_y, at::kLong).unsqueeze(0);
    r.episode.titles = {e.name};
    return out;
  }

  std::string share(int64_t agent) const override {
    std::map<std::string, int> counts;
    for (int64_t c : split_.train[agent]) ++counts[alphabets_[classes_[c].alphabet]];
    std::vector<std::string> words;
    for (const auto& [name, n] : counts)
      words.push_back(n == 1 ? name : fmt::format("{} ({} characters)", name, n));
    if (const size_t n = words.size(); n > 12) {
      words.resize(11);
      words.push_back(fmt::format("... ({} in all)", n));
    }
    return fmt::format("{}", fmt::join(words, ", "));
  }

 private:
  struct Class {
    int64_t alphabet;
    std::string character;
    Tensor images;     // [n, side, side, channels] bytes
    std::string hash;  // of them; only where they are recalled and not read
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

  Tensor picture(const std::string& bytes, const std::string& place) const {
    return read_picture(bytes, place, o_.side, o_.channels).to(at::kFloat).div_(255);
  }

  void load(const std::vector<std::string>& path, const std::vector<std::string>& test_path) {
    add(Drawings::load(path, o_.side, o_.channels));
    if (o_.split.split_by == "alphabet" && alphabets_.size() == 1 && !o_.within_alphabet) no_alphabets();
    std::vector<int64_t> alphabet_of;
    for (const Class& c : classes_) alphabet_of.push_back(c.alphabet);
    split_ = split_images(alphabet_of, alphabets_, o_.split, agents_, o_.ways, test_path.empty());
    class_index_.assign(classes_.size(), 0);
    for (size_t i = 0; i < split_.train_all.size(); ++i)
      class_index_[split_.train_all[i]] = static_cast<int64_t>(i);
    if (!test_path.empty()) {
      const size_t before = classes_.size();
      add(Drawings::load(test_path, o_.side, o_.channels));
      split_.test.clear();  // test_path is in place of any in path
      for (size_t c = before; c < classes_.size(); ++c) split_.test.push_back(static_cast<int64_t>(c));
      class_index_.resize(classes_.size());
      know_again();
    }
    check();
  }

  // What known() says, without the images.
  void recall(const Json& known) {
    try {
      sources_ = sources_in(known, o_.known);
      for (const Json& c : known.at("classes"))
        classes_.push_back(
            {alphabet_number(c.at(0)), c.at(1).get<std::string>(), {}, c.at(2).get<std::string>()});
      known.at("train").get_to(split_.train);
      for (const auto& [part, list] : {std::pair{"train_all", &split_.train_all},
                                       {"validation", &split_.validation},
                                       {"test", &split_.test},
                                       {"ood", &split_.ood}})
        known.at(part).get_to(*list);
      auto lists = split_.train;
      lists.insert(lists.end(), {split_.train_all, split_.validation, split_.test, split_.ood});
      for (const auto& list : lists) {
        for (const int64_t c : list) known.at("classes").at(static_cast<size_t>(c));  // throws for none
      }
      known.at("train").at(static_cast<size_t>(agents_ - 1));
    } catch (const nlohmann::json::exception&) {
      throw UserError(o_.known, "is not what symma train wrote there", "restore it, or train again");
    }
  }

  // Reads what a run recalled, once tasks of it are wanted.
  void find() const {
    auto* self = const_cast<Images*>(this);
    const auto at = locate(sources_);
    const auto test = at.begin() + static_cast<std::ptrdiff_t>(o_.path.size());
    self->alphabets_.clear();
    self->classes_.clear();
    self->load({at.begin(), test}, {test, at.end()});
  }

  void add(const Drawings& drawings) {
    for (const auto& c : drawings.classes)
      classes_.push_back({alphabet_number(c.alphabet), c.character, c.images, {}});
  }

  // A zip of one folder of classes: each class is an alphabet of its own, as if the folder had been named.
  void no_alphabets() {
    alphabets_.clear();
    for (Class& c : classes_) c.alphabet = alphabet_number(c.character);
  }

  // Which classes of a test on other data were trained on: by their names, or by images that are the same
  // under whatever name.
  void know_again() {
    std::set<std::string> learned;
    for (int64_t c : split_.train_all) learned.insert({name(classes_[c]), hash(classes_[c])});
    again_.clear(), fresh_.clear();
    for (int64_t c : split_.test) {
      const bool known = learned.contains(name(classes_[c])) || learned.contains(hash(classes_[c]));
      (known ? again_ : fresh_).push_back(c);
    }
    // Too few of one kind for episodes: all are drawn from together, and none of that is called new.
    for (auto* list : {&again_, &fresh_})
      if (!list->empty() && !fills(*list) && again_.size() < split_.test.size())
        again_ = split_.test, fresh_.clear();
  }

  // Only of what is in a split: other classes may be as small as they are.
  void check() const {
    for (size_t a = 0; a < split_.train.size(); ++a)
      check(split_.train[a], Split::kTrain, fmt::format("agent {} has", a));
    check(split_.validation, Split::kValidation, "validation has");
    check(split_.test, Split::kTest, "the test has");
    check(split_.ood, Split::kOod, "the out-of-distribution test has");
  }

  // How many classes an episode can choose from: of each alphabet, or of all together.
  std::map<int64_t, int64_t> choices(const std::vector<int64_t>& pool, Split split) const {
    std::map<int64_t, int64_t> out;
    for (int64_t c : pool) out[o_.within_alphabet ? classes_[c].alphabet : 0] += turns(split);
    return out;
  }
  bool fills(const std::vector<int64_t>& pool) const {
    const auto all = choices(pool, Split::kTest);
    return std::all_of(all.begin(), all.end(),
                       [&](const auto& one) { return one.second >= ways(Split::kTest); });
  }

  void check(const std::vector<int64_t>& pool, Split split, const std::string& whose) const {
    for (const auto& [a, n] : choices(pool, split)) {
      if (n >= ways(split)) continue;
      const char* key = split == Split::kTrain && o_.train_ways > 0 ? "train_ways" : "ways";
      throw UserError(std::string("[task] ") + key,
                      fmt::format("{} ways, but {} {} class{}{}", ways(split), whose, n, n == 1 ? "" : "es",
                                  o_.within_alphabet ? " in " + alphabets_[a] : ""),
                      n < 2 ? "give more classes, or keep more of them for it"
                            : fmt::format("set {} = {} or fewer, or give more classes", key, n));
    }
    const int64_t need = o_.shots + (split == Split::kTrain ? o_.queries : o_.test_queries);
    for (int64_t c : pool) {
      if (const int64_t n = classes_[c].images.size(0); n < need)
        throw UserError(split == Split::kTrain ? "[task] shots, queries" : "[task] shots, test_queries",
                        fmt::format("need {} images of a class, and {} has {}", need, name(classes_[c]), n),
                        "lower them, or leave the class out");
    }
  }

  static std::string hash(const Class& c) {
    return c.images.defined() ? hash_of(c.images.data_ptr(), c.images.nbytes()) : c.hash;
  }

  // What an episode is made of: its alphabet, where that is one, or its classes.
  std::string name(const std::vector<Chosen>& chosen, Split split) const {
    const bool again =
        split == Split::kTest && std::find(again_.begin(), again_.end(), chosen[0].number) != again_.end();
    std::string out = alphabets_[classes_[chosen[0].number].alphabet];
    if (again) out += kTrainedOn;
    if (!o_.within_alphabet) {
      std::set<std::string> names;
      for (const Chosen& c : chosen) names.insert(name(classes_[c.number]) + (again ? kTrainedOn : ""));
      out = fmt::format("{}", fmt::join(names, " | "));  // as tasks/named.h has it
    }
    return out;
  }

  std::string name(const Class& c) const {
    const std::string& alphabet = alphabets_[c.alphabet];
    return alphabet == c.character ? alphabet : alphabet + "/" + c.character;
  }

  int64_t ways(Split split) const {
    return split == Split::kTrain && o_.train_ways > 0 ? o_.train_ways : o_.ways;
  }

  // Rotations make new classes of training tasks only: the test is on drawings as they were drawn.
  int64_t turns(Split split) const { return split == Split::kTrain && o_.rotations ? 4 : 1; }

  const std::vector<int64_t>& pool_for(int64_t agent, Split split) const {
    const auto& pool = split == Split::kTrain ? (agent == kEveryone ? split_.train_all : split_.train[agent])
                       : split == Split::kValidation ? split_.validation
                       : split == Split::kTest       ? split_.test
                                                     : split_.ood;
    if (pool.empty()) {
      throw UserError(split == Split::kOod ? "[task] ood_alphabets" : "[task] test_alphabets",
                      fmt::format("leaves no class for the {} tasks", split_name(split)), "name some");
    }
    return pool;
  }

  std::vector<Chosen> choose(Draws& d, int64_t agent, Split split) const {
    const auto* pool = &pool_for(agent, split);
    // Of other data: classes that were trained on make episodes of their own, as often as there are such.
    if (split == Split::kTest && !again_.empty() && !fresh_.empty())
      pool = d.below(static_cast<int64_t>(pool->size())) < static_cast<int64_t>(again_.size()) ? &again_
                                                                                               : &fresh_;
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

  static constexpr const char* kTrainedOn = " (trained on)";

  Options o_;
  int64_t agents_;
  bool elsewhere_ = false;              // judged on other data
  std::vector<int64_t> again_, fresh_;  // its classes that were trained on, and others
  std::vector<Source> sources_;         // of what is recalled and not read yet
  mutable std::once_flag loaded_;
  std::vector<std::string> alphabets_;
  std::vector<Class> classes_;
  std::vector<int64_t> class_index_;  // a training class's number among them
  ImageSplit split_;
};

SYMMA_REGISTER(TaskFamily, "images", Images,
               "N-way K-shot episodes of images in alphabet/character/*.png or class/*.png",
               "Lake et al. 2015 (Omniglot); Vinyals et al. 2016, arXiv:1606.04080");

}  // namespace
}  // namespace symma
