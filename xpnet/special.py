"""Functions that the array API standard lacks, or that would overflow as books write them."""

from math import pi, sqrt

from xpnet.arrays import Array, device_of, namespace


def sigmoid(x: Array) -> Array:
    """σ(x) = 1 / (1 + e^-x), element by element.

    With e = e^-|x| <= 1, which cannot overflow:  σ(x) = 1 / (1 + e) for x >= 0, and
    e / (1 + e) for x < 0.  The greater of e and [x >= 0] is what a choice would give, and faster.
    """
    xp = namespace(x)
    e = xp.exp(-xp.abs(x))
    return xp.maximum(e, xp.astype(x >= 0, e.dtype)) / (1 + e)


def softplus(x: Array) -> Array:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), which cannot overflow."""
    xp = namespace(x)
    return xp.maximum(x, xp.zeros_like(x)) + xp.log1p(xp.exp(-xp.abs(x)))


def within(x: Array, bound: float) -> Array:
    """min(max(x, -bound), bound), element by element."""
    xp = namespace(x)
    high = xp.full_like(x, bound)
    return xp.minimum(xp.maximum(x, -high), high)


def one_hot(t: Array, columns: int, axis: int = 1) -> Array:
    """For integer labels t (n,) a row each, 1 in the label's column and 0 elsewhere, in int32.

    With `axis` 0 a column each, (columns, n): sums over the samples run along memory.
    """
    xp = namespace(t)
    every = xp.arange(columns, dtype=xp.int32, device=device_of(t))
    t = xp.astype(t, xp.int32)
    if axis == 1:
        return xp.astype(xp.reshape(t, (-1, 1)) == every, xp.int32)
    return xp.astype(t == xp.reshape(every, (-1, 1)), xp.int32)


# Cody's coefficients: erf x = x N/D of x² for |x| <= 15/32; e^x² erfc x = N/D of x up to 4, and
# (1/√π - z N/D) / x beyond, of z = 1/x².  Each (numerator, denominator), highest power first.
_ERF_SMALL = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2,
     3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
     2.84423683343917062e3),
)  # fmt: skip
_ERFC_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
     2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
     1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
     1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3,
     1.23033935480374942e3),
)  # fmt: skip
_ERFC_LARGE = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
     1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1,
     6.05183413124413191e-2, 2.33520497626869185e-3),
)  # fmt: skip


def normal_cdf(x: Array) -> Array:
    """Φ(x) = ½ erfc(-x/√2), the probability that a standard normal number is below x.

    The standard has no erf.  With a = |x|/√2, by rational functions whose relative error is below
    6e-19; what is left is rounding: 2 eps of Φ where x >= -1, and 3 x² eps below (measured).

        Φ(x) = ½ ± ½ erf a  for a <= 15/32;   ½ erfc a  for x < 0;   1 - ½ erfc a  else

    Source: Cody (1969), *Rational Chebyshev approximations for the error function*.
    """
    xp = namespace(x)
    a = xp.abs(x) / sqrt(2)
    bounded = xp.minimum(a, xp.full_like(a, 30.0))  # where erfc is 0 in every type
    half_erf = 0.5 * a * _ratio(_ERF_SMALL, xp.minimum(a, xp.full_like(a, 0.5)) ** 2)
    middle = _ratio(_ERFC_MIDDLE, xp.minimum(a, xp.full_like(a, 4.0)))
    large = xp.maximum(bounded, xp.full_like(a, 4.0))
    z = 1 / (large * large)
    far = (1 / sqrt(pi) - z * _ratio(_ERFC_LARGE, z)) / large
    half_erfc = 0.5 * xp.exp(-bounded * bounded) * xp.where(a <= 4, middle, far)
    near_0 = a <= 15 / 32
    below = xp.where(near_0, 0.5 - half_erf, half_erfc)
    return xp.where(x < 0, below, 1 - below)


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    """A quotient of two polynomials of x."""
    values = []
    for polynomial in coefficients:
        value: Array = polynomial[0]
        for coefficient in polynomial[1:]:
            value = value * x + coefficient
        values.append(value)
    return values[0] / values[1]
