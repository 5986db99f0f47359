// Task families written in Python: a task is a function from a key to four arrays.
#include "foreign.h"
#include "numbers.h"
#include "symma/core/errors.h"
#include "symma/tasks/supervised.h"

namespace symma::python {
namespace {

class Family : public TaskFamily {
 public:
  Family(const nb::object& o, std::string name) : name_(std::move(name)), sample_(keep(o.attr("sample"))) {
    const Json s = told(o, "spec");
    spec_.shape = {s["in"].get<std::vector<int64_t>>(), s["out"].get<int64_t>()};
    const bool classes = s["classes"].get<int64_t>() > 0;
    spec_.kind = classes ? Kind::kClassification : Kind::kRegression;
    spec_.metric = classes ? "accuracy" : "mse";
    spec_.higher_is_better = classes;
    for (Split split : {Split::kTrain, Split::kValidation, Split::kTest, Split::kOod})
      splits_.push_back(keep(nb::str(split_name(split))));
  }
  TaskSpec spec() const override { return spec_; }

  std::unique_ptr<TaskBatch> sample(const Model& model, std::span<const Ask> asks,
                                    Split split) const override {
    Episodes e;
    in_python([&] {
      for (size_t i = 0; i < asks.size(); ++i) {
        const nb::object task = (*sample_)(asks[i].agent, asks[i].key.split(split_name(split)),
                                           *splits_[static_cast<int>(split)]);
        if (!PyTuple_Check(task.ptr()) || PyTuple_GET_SIZE(task.ptr()) != 4)
          throw UserError(name_, "returned no tuple of four arrays",
                          "return support_x, support_y, query_x, query_y");
        fill(task, 0, "support_x", e.support_x, asks.size(), i);
        fill(task, 1, "support_y", e.support_y, asks.size(), i);
        fill(task, 2, "query_x", e.query_x, asks.size(), i);
        fill(task, 3, "query_y", e.query_y, asks.size(), i);
        for (const auto& [x, y, what] :
             {std::tuple{&e.support_x, &e.support_y, "support"}, {&e.query_x, &e.query_y, "query"}})
          if (x->size(1) != y->size(1))
            throw UserError(
                name_,
                fmt::format("returned {} points and {} targets of the {}", x->size(1), y->size(1), what),
                "return a target for each point");
      }
    });
    e.keys = keys_of(asks);
    return std::make_unique<SupervisedBatch>(model, spec_.kind, std::move(e),
                                             split == Split::kTrain ? Mode::kTrain : Mode::kEval);
  }

 private:
  void fill(const nb::object& task, int at, const char* what, Tensor& all, size_t b, size_t i) const {
    const std::string place = name_ + ", " + what;
    const Numbers numbers(PyTuple_GET_ITEM(task.ptr(), at), place);
    const bool x = at % 2 == 0, labels = !x && spec_.kind == Kind::kClassification;
    std::vector<int64_t> point;  // the sizes of one
    if (x)
      point = spec_.shape.in;
    else if (!labels)
      point = {spec_.shape.out};
    std::vector<int64_t> shape = numbers.shape();
    if (!shape.empty() && shape.size() == 1 && point == std::vector<int64_t>{1}) shape.push_back(1);
    std::vector<int64_t> right = point;
    right.insert(right.begin(), shape.empty() ? 1 : shape[0]);
    if (shape != right)
      throw UserError(
          place, "has shape " + words(numbers.shape()),
          fmt::format("[K{}{}] would be right", point.empty() ? "" : ", ", fmt::join(point, ", ")));
    if (right[0] == 0) throw UserError(place, "is empty", "give one point or more");
    if (labels && !numbers.whole())
      throw UserError(place, "holds numbers that are not whole", "labels are 0 to classes - 1");
    right.insert(right.begin(), static_cast<int64_t>(b));
    if (!all.defined()) all = at::empty(right, labels ? at::kLong : at::kFloat);
    if (all.size(1) != right[1])
      throw UserError(place, fmt::format("has {} points, and the task before it {}", right[1], all.size(1)),
                      "give all tasks as many");
    const int64_t each = all.numel() / static_cast<int64_t>(b), from = static_cast<int64_t>(i) * each;
    if (!labels) return numbers.copy(all.data_ptr<float>() + from);
    int64_t* to = all.data_ptr<int64_t>() + from;
    numbers.copy(to);
    for (int64_t j = 0; j < each; ++j)
      if (to[j] < 0 || to[j] >= spec_.shape.out)
        throw UserError(place, fmt::format("holds label {}", to[j]),
                        fmt::format("labels are 0 to {}", spec_.shape.out - 1));
  }

  std::string name_;
  TaskSpec spec_;
  Object sample_;
  std::vector<Object> splits_;
};

}  // namespace

std::unique_ptr<TaskFamily> foreign_family(const nb::object& o, const std::string& name) {
  return std::make_unique<Family>(o, name);
}

Tensor tensor_from(nb::handle h, const std::string& place) {
  if (THPVariable_Check(h.ptr())) return THPVariable_Unpack(h.ptr());
  const Numbers numbers(h, place);
  Tensor out = at::empty(numbers.shape(), numbers.whole() ? at::kLong : at::kFloat);
  if (numbers.whole())
    numbers.copy(out.data_ptr<int64_t>());
  else
    numbers.copy(out.data_ptr<float>());
  return out;
}

}  // namespace symma::python
