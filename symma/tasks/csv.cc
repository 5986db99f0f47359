#include "symma/tasks/csv.h"

#include "symma/core/errors.h"

namespace symma {

FewShot::Reading read_points(const CsvFile& csv, const std::vector<std::string>& inputs,
                             const std::string& target) {
  std::vector<size_t> columns;
  columns.reserve(inputs.size());
  for (const auto& name : inputs) columns.push_back(csv.column(name));
  const size_t y = csv.column(target);
  std::vector<size_t> support, query;
  for (size_t r = 0; r < csv.rows.size(); ++r) {
    (csv.rows.view(r, y).find_first_not_of(" \t") == std::string::npos ? query : support).push_back(r);
  }
  if (support.empty())
    throw UserError(csv.path, "has no row with a " + target, "give at least one example to learn from");
  if (query.empty()) query = support;
  FewShot::Reading out;
  std::vector<std::string> cells;
  cells.reserve(inputs.size());
  for (const auto& name : inputs) cells.push_back(csv_cell(name));
  out.query_header = fmt::format("{}", fmt::join(cells, ","));
  const auto points = [&](const std::vector<size_t>& chosen, Tensor& x, Tensor* targets) {
    x = at::empty({1, static_cast<int64_t>(chosen.size()), static_cast<int64_t>(columns.size())},
                  at::kDouble);
    double* at_x = x.data_ptr<double>();
    for (size_t r : chosen) {
      for (size_t c : columns) *at_x++ = csv.number(r, c);
    }
    if (!targets) return;
    *targets = at::empty({1, static_cast<int64_t>(chosen.size()), 1}, at::kDouble);
    double* at_y = targets->data_ptr<double>();
    for (size_t r : chosen) *at_y++ = csv.number(r, y);
  };
  points(support, out.episode.support_x, &out.episode.support_y);
  points(query, out.episode.query_x, nullptr);
  out.episode.query_y = at::zeros({1, static_cast<int64_t>(query.size()), 1});
  for (size_t r : query) {
    cells.clear();
    for (size_t c : columns) cells.push_back(csv_cell(csv.rows[r][c]));
    out.query_names.push_back(fmt::format("{}", fmt::join(cells, ",")));
  }
  return out;
}

}  // namespace symma
