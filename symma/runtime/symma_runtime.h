/* Few-shot learning on a device: reads a model that `symma export RUN --to bin` wrote, adapts it to a handful
 * of examples and predicts, with the engine's own kernels and without libtorch. After symma_open nothing is
 * allocated. For C99 and C++; one model is for one thread at a time.
 *
 *   symma_model* m = symma_open("model.symma", 10, 100, why, sizeof why);
 *   symma_adapt(m, 10, x, y, 5);                      five steps on ten examples, from the start that was
 * learned symma_predict(m, 100, queries, predictions); symma_close(m);
 */
#ifndef SYMMA_RUNTIME_H
#define SYMMA_RUNTIME_H

#include <stdint.h>

#if defined(__GNUC__)
#define SYMMA_API __attribute__((visibility("default")))
#else
#define SYMMA_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct symma_model symma_model;

/* What went wrong, as a number; symma_words says it. */
enum {
  SYMMA_OK = 0,
  SYMMA_TOO_MANY = 1,   /* more examples or queries than symma_open was told, or fewer than one */
  SYMMA_BAD_LABEL = 2,  /* a class that is none of 0 .. outputs - 1 */
  SYMMA_NOT_FINITE = 3, /* an input or a target that is no finite number, or adapting diverged */
  SYMMA_NO_RULE = 4     /* the run adapts in a way that is not plain gradient descent */
};
SYMMA_API const char* symma_words(int status);

/* A model with room for `most_examples` to adapt to and `most_queries` to predict at once. NULL where the
 * file is missing, damaged, or of a model that is not run here (only perceptrons are); `why` then says so. */
SYMMA_API symma_model* symma_open(const char* path, int64_t most_examples, int64_t most_queries, char* why,
                                  int64_t why_size);
SYMMA_API void symma_close(symma_model*);

SYMMA_API int64_t symma_inputs(const symma_model*); /* numbers in one input */
SYMMA_API int64_t
symma_outputs(const symma_model*); /* numbers in one prediction: targets, or a class's probability each */
SYMMA_API int symma_is_classifier(const symma_model*);
SYMMA_API int64_t symma_memory(const symma_model*); /* bytes held */
/* Names, "" where there are none: of input i, of target or class i. */
SYMMA_API const char* symma_input_name(const symma_model*, int64_t i);
SYMMA_API const char* symma_output_name(const symma_model*, int64_t i);
/* A line of what the file says of itself ("model", "learner", "experiment", ...), "" where it says nothing.
 */
SYMMA_API const char* symma_about(const symma_model*, const char* key);

/* From the start that was learned, `steps` steps of gradient descent on n examples: x [n, inputs], and y [n,
 * outputs] targets, or [n] numbers of classes, all in the units of the data. On failure the model is as it
 * was. */
SYMMA_API int symma_adapt(symma_model*, int64_t n, const double* x, const double* y, int64_t steps);
/* Predictions [n, outputs] for x [n, inputs], in the units of the data, or probabilities. */
SYMMA_API int symma_predict(symma_model*, int64_t n, const double* x, double* predictions);
/* Back to the start that was learned. */
SYMMA_API void symma_reset(symma_model*);

#ifdef __cplusplus
}
#endif
#endif
