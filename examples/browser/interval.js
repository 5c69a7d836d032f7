// An interval of a share.

const Z = 1.959963984540054; // of 95 %

/** Return Wilson's 95 % score interval of a share (Wilson, 1927). */
export function wilson(part, whole) {
  const [share, square] = [part / whole, (Z * Z) / whole];
  const middle = (share + square / 2) / (1 + square);
  const reach = (Z * Math.sqrt((share * (1 - share)) / whole + square / whole / 4)) / (1 + square);
  return [Math.max(0, middle - reach), Math.min(1, middle + reach)];
}
