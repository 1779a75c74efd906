package dev.weft.core.schedule;

import dev.weft.core.program.RecomputeTiming;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Settings to test with. */
public final class Settings {
  private Settings() {}

  /** The same with every piece recomputing. */
  public static Setting recomputingAll(Setting setting, RecomputeTiming when) {
    return setting.withRecomputing(
        IntStream.range(0, setting.pieces()).boxed().collect(Collectors.toSet()), when);
  }
}
