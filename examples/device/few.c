/* Few-shot learning on a device, by symma_runtime: reads a model and a CSV file, learns from the rows that have a
 * target, and predicts those that have none, as `symma adapt` does.
 *
 *   few MODEL.symma FEW.csv [STEPS]
 *
 * The CSV's header has the model's inputs, under their names, and its target; a classifier's target is one of the
 * model's labels. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "symma/runtime/symma_runtime.h"

enum { kRows = 1000, kColumns = 256 };

static int fail(const char* why) {
  fprintf(stderr, "few: %s\n", why);
  return 2;
}

/* Cells of a line, in place; plain ones, without quotes. */
static int split(char* line, char** cells) {
  int n = 0;
  line[strcspn(line, "\r\n")] = 0;
  for (char* at = line; n < kColumns; ++n) {
    cells[n] = at;
    at = strchr(at, ',');
    if (!at) return n + 1;
    *at++ = 0;
  }
  return n;
}

int main(int argc, char** argv) {
  char why[200], line[4096], *cells[kColumns];
  if (argc < 3) return fail("usage: few MODEL.symma FEW.csv [STEPS]");
  symma_model* model = symma_open(argv[1], kRows, kRows, why, sizeof why);
  if (!model) return fail(why);
  FILE* csv = fopen(argv[2], "r");
  if (!csv || !fgets(line, sizeof line, csv)) return fail("the CSV file cannot be read");

  const int64_t inputs = symma_inputs(model), outputs = symma_outputs(model);
  const int classifier = symma_is_classifier(model);
  int place[kColumns], target = -1;
  const int columns = split(line, cells);
  if (inputs > kColumns) return fail("more inputs than this example has columns");
  for (int64_t i = 0; i < inputs; ++i) {
    place[i] = -1;
    for (int c = 0; c < columns; ++c)
      if (strcmp(cells[c], symma_input_name(model, i)) == 0) place[i] = c;
    if (place[i] < 0) return fail("a column of the model's inputs is missing");
  }
  const char* name = symma_about(model, "output.name");
  for (int c = 0; c < columns; ++c)
    if (strcmp(cells[c], name) == 0) target = c;
  if (target < 0) return fail("the column of the target is missing");

  double* x = malloc(sizeof(double) * (size_t)(2 * kRows * inputs));
  double* y = malloc(sizeof(double) * kRows);
  double* p = malloc(sizeof(double) * (size_t)(kRows * outputs));
  if (!x || !y || !p) return fail("not enough memory");
  double* query = x + kRows * inputs;
  int examples = 0, queries = 0;
  while (examples < kRows && queries < kRows && fgets(line, sizeof line, csv)) {
    if (split(line, cells) != columns) return fail("a row has more or fewer cells than the header");
    const int known = cells[target][0] != 0;
    double* to = known ? x + examples * inputs : query + queries * inputs;
    for (int64_t i = 0; i < inputs; ++i) to[i] = strtod(cells[place[i]], NULL);
    if (!known) {
      ++queries;
      continue;
    }
    y[examples] = -1;
    for (int64_t k = 0; classifier && k < outputs; ++k)
      if (strcmp(cells[target], symma_output_name(model, k)) == 0) y[examples] = (double)k;
    if (!classifier) y[examples] = strtod(cells[target], NULL);
    ++examples;
  }
  fclose(csv);

  const int64_t steps = argc > 3 ? strtol(argv[3], NULL, 10) : 10;
  int status = symma_adapt(model, examples, x, y, steps);
  if (!status) status = symma_predict(model, queries, query, p);
  if (status) return fail(symma_words(status));
  for (int i = 0; i < queries; ++i) {
    int64_t best = 0;
    for (int64_t k = 1; k < outputs; ++k)
      if (p[i * outputs + k] > p[i * outputs + best]) best = k;
    if (classifier)
      printf("%s,%.7f\n", symma_output_name(model, best), p[i * outputs + best]);
    else
      printf("%.7g\n", p[i]);
  }
  free(x), free(y), free(p);
  symma_close(model);
  return 0;
}
