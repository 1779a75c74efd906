package dev.weft.runtime.worker;

import dev.weft.core.program.Transfers;
import java.util.Arrays;

/**
 * When the steps of one run began and ended on each device, by {@link System#nanoTime}. Every cell
 * is written by one thread; they are read when all threads have ended.
 */
final class StepTimes {
  private final long[][][] began;
  private final long[][][] ended;

  /**
   * Nothing has happened yet.
   *
   * @param steps of each stage
   * @param devices of each stage
   */
  StepTimes(int[] steps, int[] devices) {
    began = new long[steps.length][][];
    ended = new long[steps.length][][];
    for (int stage = 0; stage < steps.length; stage++) {
      began[stage] = new long[steps[stage]][devices[stage]];
      ended[stage] = new long[steps[stage]][devices[stage]];
    }
  }

  void begin(Transfers.At at, int device, long now) {
    began[at.stage()][at.step()][device] = now;
  }

  void end(Transfers.At at, int device, long now) {
    ended[at.stage()][at.step()][device] = now;
  }

  /** One time for all devices. */
  void all(Transfers.At at, long begin, long end) {
    Arrays.fill(began[at.stage()][at.step()], begin);
    Arrays.fill(ended[at.stage()][at.step()], end);
  }

  long began(int stage, int step, int device) {
    return began[stage][step][device];
  }

  long ended(int stage, int step, int device) {
    return ended[stage][step][device];
  }

  /** When the first device began. */
  long began(Transfers.At at) {
    return Arrays.stream(began[at.stage()][at.step()]).min().orElseThrow();
  }
}
