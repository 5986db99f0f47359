#include "symma/tasks/image_split.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "symma/core/errors.h"
#include "symma/tasks/deal.h"

namespace symma {
namespace {

using Numbers = std::vector<int64_t>;

bool holds(const Numbers& list, int64_t x) {
  return std::find(list.begin(), list.end(), x) != list.end();
}

Numbers named(const char* key, const std::vector<std::string>& names,
              const std::vector<std::string>& alphabets) {
  Numbers out;
  for (const auto& name : names) {
    const auto it = std::find(alphabets.begin(), alphabets.end(), name);
    if (it == alphabets.end())
      throw UserError(std::string("[task] ") + key, "\"" + name + "\" is not among the images",
                      suggestion(name, alphabets));
    out.push_back(it - alphabets.begin());
  }
  return out;
}

}  // namespace

void ImageSplitOptions::fields(Fields& f) {
  f.add("split_by", split_by, "what is kept for validation and test").one_of({"alphabet", "class"});
  f.add("deal", deal, "what is dealt to agents in turn").one_of({"alphabet", "class"});
  f.add("train_alphabets", train_alphabets,
        "alphabets to train on, dealt in this order; empty: all that are not named otherwise");
  f.add("validation_alphabets", validation_alphabets,
        "alphabets for validation; empty: validation_fraction of those to train on");
  f.add("test_alphabets", test_alphabets,
        "alphabets for the test; empty: test_fraction of those to train on");
  f.add("ood_alphabets", ood_alphabets, "alphabets for the out-of-distribution test");
  f.add("validation_fraction", validation_fraction,
        "part of the alphabets or classes kept for validation; nobody learns from them")
      .above(0)
      .below(1);
  f.add("test_fraction", test_fraction, "part of the alphabets or classes kept for the test")
      .above(0)
      .below(1);
}

ImageSplit split_images(const Numbers& alphabet_of, const std::vector<std::string>& alphabets,
                        const ImageSplitOptions& o, int64_t agents, int64_t ways, bool has_test) {
  const Numbers train = named("train_alphabets", o.train_alphabets, alphabets),
                validation = named("validation_alphabets", o.validation_alphabets, alphabets),
                test = named("test_alphabets", o.test_alphabets, alphabets),
                ood = named("ood_alphabets", o.ood_alphabets, alphabets);
  std::map<int64_t, const char*> seen;
  for (const auto& [key, list] : {std::pair{"train_alphabets", &train},
                                  {"validation_alphabets", &validation},
                                  {"test_alphabets", &test},
                                  {"ood_alphabets", &ood}}) {
    for (int64_t a : *list) {
      const auto [it, fresh] = seen.emplace(a, key);
      if (!fresh)
        throw UserError(std::string("[task] ") + key,
                        fmt::format("\"{}\" is in {} too", alphabets[a], it->second), "keep splits apart");
    }
  }
  Numbers free = train;
  for (size_t a = 0; train.empty() && a < alphabets.size(); ++a)
    if (!seen.contains(static_cast<int64_t>(a))) free.push_back(static_cast<int64_t>(a));
  const auto classes_of = [&](const Numbers& some) {
    Numbers out;
    for (int64_t a : some) {
      for (size_t c = 0; c < alphabet_of.size(); ++c)
        if (alphabet_of[c] == a) out.push_back(static_cast<int64_t>(c));
    }
    return out;
  };
  // Where every class is an alphabet of its own, alphabets are classes.
  const bool by_alphabet = o.split_by == "alphabet",
             of_classes = !by_alphabet || alphabets.size() == alphabet_of.size();
  const Numbers pool = by_alphabet ? free : classes_of(free);
  const bool cut_validation = validation.empty(), cut_test = test.empty() && has_test;
  const int64_t least = of_classes ? ways : 1, n = static_cast<int64_t>(pool.size());
  if (n < least * (1 + cut_validation + cut_test)) {
    const std::string word = of_classes ? n == 1 ? "class" : "classes" : n == 1 ? "alphabet" : "alphabets";
    throw UserError(
        "[task] validation_fraction, test_fraction",
        fmt::format("there {} {} {}, and training{}{} need {} each at least", n == 1 ? "is" : "are", n, word,
                    cut_validation ? ", validation" : "", cut_test ? ", test" : "", least),
        of_classes ? fmt::format("give more classes, or set ways lower than {}", ways)
                   : "set split_by = \"class\", or name validation_alphabets and test_alphabets");
  }
  Fractions fractions;
  const auto enough = [&](double fraction) {
    return std::max(fraction, static_cast<double>(least) / static_cast<double>(n));
  };
  if (cut_validation) fractions.validation = enough(o.validation_fraction);
  if (cut_test) fractions.test = enough(o.test_fraction);
  const Parts cut = cut_validation || cut_test
                        ? part_items(pool, fractions, "images",
                                     fmt::format("there are {} {}", n, of_classes ? "classes" : "alphabets"))
                        : Parts{pool, {}, {}};
  const auto as_classes = [&](const Numbers& items) { return by_alphabet ? classes_of(items) : items; };
  ImageSplit out;
  out.train_all = as_classes(cut.train);
  out.validation = cut_validation ? as_classes(cut.validation) : classes_of(validation);
  out.test = cut_test ? as_classes(cut.test) : classes_of(test);
  out.ood = classes_of(ood);
  if (o.deal == "class") {
    out.train =
        deal_items(out.train_all, agents, fmt::format("there are {} training classes", out.train_all.size()));
    return out;
  }
  Numbers dealt;
  for (int64_t c : out.train_all)
    if (!holds(dealt, alphabet_of[c])) dealt.push_back(alphabet_of[c]);
  const auto hands = deal_items(
      dealt, agents,
      fmt::format("there are {} training alphabets{}; with deal = \"class\" each agent gets some "
                  "classes, and split_by = \"class\" keeps classes of them apart",
                  dealt.size(), cut_validation && by_alphabet ? " beside those of validation" : ""));
  for (const auto& hand : hands) {
    out.train.emplace_back();
    for (int64_t c : out.train_all)
      if (holds(hand, alphabet_of[c])) out.train.back().push_back(c);
  }
  return out;
}

}  // namespace symma
