// The kernels of this instruction set.

template <class T>
const RowKernels<T>& table() {
#ifdef SYMMA_FOR_DEVICES  // runtime/ adapts and predicts, and needs nothing that differentiates twice
  static constexpr RowKernels<T> kTable{
      pack<T>, unpack<T>, transpose_weights<T>, forward<T>, backward<T>, nullptr, nullptr, adapt<T>, {}};
#else
  static constexpr RowKernels<T> kTable{
      pack<T>,       unpack<T>,   transpose_weights<T>,
      forward<T>,    backward<T>, forward_r<T>,
      backward_r<T>, adapt<T>,    {through_steps<T>, through_heads<T>, from_solution<T>, to_the_end<T>}};
#endif
  return kTable;
}
