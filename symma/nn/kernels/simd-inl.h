// What is done with vectors (core/simd.h) in one instruction set. Included inside the namespace of a target,
// with that target's options in force; the target file defines BIG_BYTES, SMALL_BYTES (0: none) and TILE_ROWS
// first. Nothing of std may be instantiated here: the linker could pick that copy for code that runs on any
// processor.

template <class T, int Bytes>
SYMMA_INLINE inline Vec<T, Bytes> load(const T* p) {
  return *reinterpret_cast<const LooseVec<T, Bytes>*>(p);
}
template <class T, int Bytes>
SYMMA_INLINE inline void store(T* p, Vec<T, Bytes> v) {
  *reinterpret_cast<LooseVec<T, Bytes>*>(p) = v;
}
template <class T, int Bytes>
SYMMA_INLINE inline Vec<T, Bytes> broadcast(T s) {
  return s - Vec<T, Bytes>{};
}

// a b + c. Fused where the target has it, which -ffp-contract=off would otherwise forbid.
template <class V>
SYMMA_INLINE inline V fma(V a, V b, V c) {
  return a * b + c;
}
#ifdef HAS_FMA
SYMMA_INLINE inline float fma(float a, float b, float c) {
  return __builtin_fmaf(a, b, c);
}
SYMMA_INLINE inline double fma(double a, double b, double c) {
  return __builtin_fma(a, b, c);
}
SYMMA_INLINE inline Vec<float, 32> fma(Vec<float, 32> a, Vec<float, 32> b, Vec<float, 32> c) {
  return _mm256_fmadd_ps(a, b, c);
}
SYMMA_INLINE inline Vec<double, 32> fma(Vec<double, 32> a, Vec<double, 32> b, Vec<double, 32> c) {
  return _mm256_fmadd_pd(a, b, c);
}
#endif
#ifdef HAS_AVX512
SYMMA_INLINE inline Vec<float, 64> fma(Vec<float, 64> a, Vec<float, 64> b, Vec<float, 64> c) {
  return _mm512_fmadd_ps(a, b, c);
}
SYMMA_INLINE inline Vec<double, 64> fma(Vec<double, 64> a, Vec<double, 64> b, Vec<double, 64> c) {
  return _mm512_fmadd_pd(a, b, c);
}
#endif

template <class V>
SYMMA_INLINE inline auto sum_lanes(V v) {
  auto total = v[0];
  for (unsigned i = 1; i < sizeof(V) / sizeof(total); ++i) total += v[i];
  return total;
}
