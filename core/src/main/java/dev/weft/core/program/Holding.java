package dev.weft.core.program;

import dev.weft.core.graph.TensorType;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/**
 * A tensor that a stage's devices hold. Programs run one after another: what bears the same name in
 * them is one tensor, whether it is kept between them or not, if it looks the same.
 *
 * @param form what else tells it from others: nothing for what is kept
 */
public record Holding(String name, int slot, String form) {
  /** What holds a buffer of a stage in a slot. */
  public static Holding of(StageProgram stage, Buffer buffer, int slot) {
    return stage.pools().get(buffer.pool()).kept()
        ? kept(buffer.name())
        : new Holding(buffer.name(), slot, buffer.type() + " " + buffer.layout());
  }

  /** What is kept between programs under a name. */
  public static Holding kept(String name) {
    return new Holding(name, 0, "");
  }

  public boolean isKept() {
    return form.isEmpty();
  }

  /** All that a stage's programs hold together, with what each device has of it. */
  public static SequencedMap<Holding, TensorType> of(List<StageProgram> programs) {
    var all = new LinkedHashMap<Holding, TensorType>();
    for (StageProgram stage : programs) {
      for (Buffer buffer : stage.buffers()) {
        for (int slot = 0; slot < stage.pools().get(buffer.pool()).slots(); slot++) {
          all.putIfAbsent(of(stage, buffer, slot), buffer.local());
        }
      }
    }
    return all;
  }
}
