// The processor, as a bundle's predict.py reads it, and the options of a session that follow.

import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";

const DOT_PRODUCTS = ["avx512_vnni", "avx_vnni", "amx_int8"]; // of int8, in 32 bits

/**
 * @param {string} architecture as in process.arch
 * @param {string} cpuinfo the content of /proc/cpuinfo; empty on another system than Linux
 * @returns {boolean} true if sums of int8 could be wrong here
 */
export function maySaturate(architecture, cpuinfo) {
  const flags = new Set(cpuinfo.split(/\s+/));
  return ["x64", "ia32"].includes(architecture) && !DOT_PRODUCTS.some((flag) => flags.has(flag));
}

/**
 * @param {number} cores by the affinity
 * @param {string} cpuMax the content of cpu.max of the container's control group; empty without one
 * @returns {number} the cores that this process may use
 */
export function usableCores(cores, cpuMax) {
  const [quota, period] = cpuMax.trim().split(/\s+/).map(Number);
  return quota > 0 ? Math.max(1, Math.min(cores, Math.ceil(quota / period))) : cores;
}

/** Return the options by which a bundle's predict.py opens a file. */
export function sessionOptions() {
  const options = {};
  if (maySaturate(process.arch, textOf("/proc/cpuinfo"))) {
    options.extra = { session: { x64quantprecision: "1" } }; // sums of 32 bits, which are slower
  }
  const cores = usableCores(availableParallelism(), textOf("/sys/fs/cgroup/cpu.max"));
  if (cores < cpus().length) { // it would go by the cores of the machine
    options.intraOpNumThreads = cores;
    options.interOpNumThreads = 1;
  }
  return options;
}

const textOf = (path) => (existsSync(path) ? readFileSync(path, "utf8") : "");
