// The functions that activations are made of, on one number each and without a branch or a call, so that
// loops over them become vectors. Within five units in the last place; NaN stays NaN.
//
// e^x = 2^n e^r with n the whole number nearest to x / log 2 (Cody & Waite 1980; the coefficients in float
// are of the Cephes library, Moshier 1992, expf.c; those in double are Taylor's).

template <class T>
struct Split {
  T r, power;  // x = n log 2 + r, and 2^n
};

// 2^n is made of the bits of `shifted`, whose last ones are n.
SYMMA_INLINE inline Split<float> split_power(float x) {
  const float shifted = fma(x, 1.44269504f, 0x1.8p23f), n = shifted - 0x1.8p23f;
  const float r = fma(n, 2.12194440e-4f, fma(n, -0.693359375f, x));
  return {r, __builtin_bit_cast(float, (__builtin_bit_cast(uint32_t, shifted) << 23) + 0x3f800000u)};
}
SYMMA_INLINE inline Split<double> split_power(double x) {
  const double shifted = fma(x, 1.4426950408889634, 0x1.8p52), n = shifted - 0x1.8p52;
  const double r = fma(n, -1.42860682030941723e-6, fma(n, -0.693145751953125, x));
  return {r, __builtin_bit_cast(double, (__builtin_bit_cast(uint64_t, shifted) << 52) + 0x3ff0000000000000u)};
}

// c_0 + x (c_1 + x (...)).
template <class T>
SYMMA_INLINE inline T horner(T, T last) {
  return last;
}
template <class T, class... Rest>
SYMMA_INLINE inline T horner(T x, T first, Rest... rest) {
  return fma(x, horner(x, rest...), first);
}

// e^r - 1 for |r| <= log(2) / 2.
SYMMA_INLINE inline float small_expm1(float r) {
  const float q = horner(r, 5.0000001201e-1f, 1.6666665459e-1f, 4.1665795894e-2f, 8.3334519073e-3f,
                         1.3981999507e-3f, 1.9875691500e-4f);
  return fma(r * r, q, r);
}
SYMMA_INLINE inline double small_expm1(double r) {
  const double q = horner(r, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
                          1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0);
  return fma(r * r, q, r);
}

template <class T>
SYMMA_INLINE inline T clamped(T x, T least, T most) {
  x = x < least ? least : x;
  return x > most ? most : x;
}

template <class T>
SYMMA_INLINE inline T with_sign(T size, T sign) {
  return sizeof(T) == 4 ? __builtin_copysignf(size, sign) : __builtin_copysign(size, sign);
}

// Between the least and the largest normal number.
template <class T>
SYMMA_INLINE inline T exp_of(T x) {
  const T most = sizeof(T) == 4 ? 87 : 708;
  const Split<T> s = split_power(clamped(x, -most, most));
  return fma(s.power, small_expm1(s.r), s.power);
}

template <class T>
SYMMA_INLINE inline T logistic_of(T x) {
  return 1 / (1 + exp_of(-x));
}

// With m = e^(-2|x|) - 1: -m / (2 + m), and the sign.
template <class T>
SYMMA_INLINE inline T tanh_of(T x) {
  const Split<T> s = split_power(clamped<T>(-2 * with_sign<T>(x, 1), -50, 0));
  const T m = fma(s.power, small_expm1(s.r), s.power - 1);
  return with_sign(-m / (2 + m), x);
}

template <class T>
struct Normal {
  T density, below;  // of the standard normal distribution at x, and the chance of less than x
};

// (z + k) (1 - Phi(z)) / phi(z) for z >= 0 in t = (z - k) / (z + k), fitted at Chebyshev's points after
// Shepherd & Laframboise 1981, doi:10.1090/S0025-5718-1981-0595058-X: 1e-8 in float with k = 4, 4e-17 in
// double with k = 5.
SYMMA_INLINE inline float mills(float t) {
  return horner(t, 1.893219083f, -1.523770851f, 0.9704077585f, -0.4675430359f, 0.1514171139f, -0.0188730327f,
                -0.008838831765f, 0.003941216453f, 0.0005044883437f, -0.000301257618f);
}
SYMMA_INLINE inline double mills(double t) {
  return horner(t, 1.92808104715315766, -1.66786659518895975, 1.2415470615738612, -0.78591107554658463,
                0.41364471573293808, -0.173254734085666997, 0.0521255024076289342, -0.00750328284603579719,
                -0.00199996193456442684, 0.00136585939737335301, -0.000148833224965812571,
                -0.000124736974769775312, 0.0000418148299372702244, 9.97934522639852106e-6,
                -6.94416480840119931e-6, -8.45978320505061153e-7, 1.08897726307799411e-6,
                1.09686082755691302e-7, -1.67130175636395826e-7, -2.66160662729325596e-8,
                1.91266025004798666e-8, 5.57709442448069265e-9);
}

template <class T>
SYMMA_INLINE inline Normal<T> normal_of(T x) {
  // Past `far` the density is less than a normal number, and cut to 0.
  const T k = sizeof(T) == 4 ? 4 : 5, far = sizeof(T) == 4 ? 13 : 37;
  const T z = with_sign<T>(x, 1), over = 1 / (z + k), scale = static_cast<T>(0.39894228040143267794);
  const T density = exp_of(static_cast<T>(-0.5) * z * z) * (z < far ? scale : 0);
  const T above = density * over * mills(fma(-2 * k, over, T{1}));
  // 1 - above, or above, without a choice that the compiler makes a branch of.
  return {density, static_cast<T>(0.5) + with_sign<T>(0.5, x) - with_sign(above, x)};
}
