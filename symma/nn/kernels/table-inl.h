// The kernels of this instruction set.

template <class T>
const RowKernels<T>& table() {
#ifdef SYMMA_FOR_DEVICES  // runtime/ adapts and predicts, and needs nothing that differentiates twice
  static constexpr RowKernels<T> kTable{.pack = pack<T>,
                                        .unpack = unpack<T>,
                                        .transpose = transpose_weights<T>,
                                        .forward = forward<T>,
                                        .backward = backward<T>,
                                        .adapt = adapt<T>};
#else
  static constexpr RowKernels<T> kTable{
      .pack = pack<T>,
      .unpack = unpack<T>,
      .transpose = transpose_weights<T>,
      .forward = forward<T>,
      .backward = backward<T>,
      .forward_features = forward_features<T>,
      .backward_features = backward_features<T>,
      .forward_r = forward_r<T>,
      .backward_r = backward_r<T>,
      .adapt = adapt<T>,
      .meta = {through_steps<T>, through_heads<T>, from_solution<T>, to_the_end<T>, pooled<T>}};
#endif
  return kTable;
}
