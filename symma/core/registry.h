// Parts register themselves: one file, one line at its end.
//
//   SYMMA_REGISTER(Learner, "maml", Maml, "learns an initial point ...", "Finn et al. 2017,
//   arXiv:1703.03400");
//
// A part `P` of a kind has a struct `P::Options` with `fields(Fields&)`, and a constructor P(Options,
// args...), where args are what the kind hands to all its parts. The library is shared, so no linker drops
// these lines.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

#include "symma/core/errors.h"
#include "symma/core/options.h"

namespace symma {

// A part that has been chosen but not built: its options can still be set.
template <class Part, class... Args>
class Draft {
 public:
  virtual ~Draft() = default;
  virtual void fields(Fields&) = 0;
  virtual std::unique_ptr<Part> build(Args...) const = 0;
  virtual std::unique_ptr<Draft> clone() const = 0;  // the same settings, in a place of their own
};

struct PartInfo {
  std::string name, summary, source;
  std::function<Json()> options;  // a list of {name, default, doc, range, schema}
  std::function<std::vector<std::string>()> option_names;
};

// Every part of every kind, for `symma list` and the docs: kind -> name -> what it is.
std::map<std::string, std::map<std::string, PartInfo>>& catalog();

Json describe(const Fields& fields);
std::vector<std::string> names_of(const Fields& fields);

// Enters a part into the catalog. `look_at` shows a draft's options, at their defaults, to who wants to see
// them.
using FieldsLook = std::function<void(const std::function<void(const Fields&)>&)>;
void enter(std::string_view kind, std::string_view name, std::string_view summary, std::string_view source,
           const FieldsLook& look_at);

// The one object of a type in the process, made where there is none yet. It is kept in the library, by the
// type's name, so a module that is built with hidden visibility, or loaded apart, meets the same registries.
void* only_one(const std::type_info&, void* (*make)());

template <class Part, class... Args>
class Registry {
 public:
  using DraftPtr = std::unique_ptr<Draft<Part, Args...>>;

  static Registry& instance() {
    static auto* one =
        static_cast<Registry*>(only_one(typeid(Registry), []() -> void* { return new Registry; }));
    return *one;
  }

  template <class P>
  bool add(std::string_view kind, std::string_view name, std::string_view summary, std::string_view source) {
    struct Of : Draft<Part, Args...> {
      typename P::Options options;
      void fields(Fields& f) override { options.fields(f); }
      std::unique_ptr<Part> build(Args... args) const override {
        return std::make_unique<P>(options, args...);
      }
      std::unique_ptr<Draft<Part, Args...>> clone() const override { return std::make_unique<Of>(*this); }
    };
    return add(kind, name, summary, source, [] { return std::make_unique<Of>(); });
  }

  // A part that is no class of its own: whose drafts `make` makes, such as one written in Python.
  bool add(std::string_view kind, std::string_view name, std::string_view summary, std::string_view source,
           std::function<DraftPtr()> make) {
    makers_[std::string(name)] = make;
    enter(kind, name, summary, source, [make](const std::function<void(const Fields&)>& look) {
      const DraftPtr draft = make();
      Fields f;
      draft->fields(f);
      look(f);
    });
    return true;
  }

  // The part called `name`, with default options. `place` names where the name was read.
  DraftPtr draft(const std::string& name, const std::string& place) const {
    const auto it = makers_.find(name);
    if (it == makers_.end())
      throw UserError(place, "\"" + name + "\" is not known", suggestion(name, names()));
    return it->second();
  }

  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& [name, make] : makers_) out.push_back(name);
    return out;
  }

 private:
  std::map<std::string, std::function<DraftPtr()>> makers_;
};

// The part called `name` of a registry, with settings given in place of an experiment file's section:
//
//   auto model = make<ModelRegistry>("mlp", {{"hidden", {32, 32}}}, shape);
//
// Throws UserError for a part or a setting that is not known, or out of range.
template <class R, class... Args>
auto make(const std::string& name, const Json& settings, Args&&... args) {
  const auto draft = R::instance().draft(name, "make");
  Fields fields;
  draft->fields(fields);
  Config::of(settings, name).read("", fields);
  return draft->build(std::forward<Args>(args)...);
}

// One part of a registry among another part's options: `f.add("world", world, "...")` reads `[task.world]`.
// A value: a copy has settings of its own.
template <class R>
class Choice : public Nested {
 public:
  explicit Choice(const std::string& kind) { choose(kind, kind); }
  ~Choice() override = default;
  Choice(const Choice& other) : kind_(other.kind_), draft_(other.draft_->clone()) {}
  Choice& operator=(const Choice& other) {
    kind_ = other.kind_, draft_ = other.draft_->clone();
    return *this;
  }
  std::string kind() const override { return kind_; }
  std::vector<std::string> kinds() const override { return R::instance().names(); }
  void choose(const std::string& kind, const std::string& place) override {
    draft_ = R::instance().draft(kind, place);
    kind_ = kind;
  }
  void fields(Fields& f) override { draft_->fields(f); }
  template <class... Args>
  auto build(Args&&... args) const {
    return draft_->build(std::forward<Args>(args)...);
  }
  typename R::DraftPtr draft() const { return draft_->clone(); }

 private:
  std::string kind_;
  typename R::DraftPtr draft_;
};

// An Options struct for parts that have nothing to set.
struct NoOptions {
  void fields(Fields&) {}
};

}  // namespace symma

#define SYMMA_JOIN2(a, b) a##b
#define SYMMA_JOIN(a, b) SYMMA_JOIN2(a, b)
// `Kind` is an interface `Kind` with a registry type `KindRegistry`.
#define SYMMA_REGISTER(Kind, name, Class, summary, source)                  \
  [[maybe_unused]] static const bool SYMMA_JOIN(registered_, __COUNTER__) = \
      ::symma::Kind##Registry::instance().add<Class>(#Kind, name, summary, source)
