package dev.weft.runtime.worker;

import dev.weft.core.program.Buffer;
import dev.weft.core.program.Holding;
import dev.weft.core.program.Pool;
import dev.weft.core.program.StageProgram;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The tensors of a stage by name and slot, for all programs that run there. Programs run one after
 * another: they share what they hold under the same name, whether it is kept between them or not.
 */
final class StageMemory {
  private final DeviceGroup group;
  private final Map<Holding, ShardedBuffer> held = new HashMap<>();

  StageMemory(DeviceGroup group) {
    this.group = group;
  }

  /**
   * The tensors of a program's buffers, by buffer and slot; those that are missing are allocated.
   *
   * @throws dev.weft.engine.buffer.OutOfDeviceMemoryException if a device's budget has not so many
   *     bytes
   */
  List<List<ShardedBuffer>> of(StageProgram stage) {
    var tensors = new ArrayList<List<ShardedBuffer>>();
    for (Buffer buffer : stage.buffers()) {
      Pool pool = stage.pools().get(buffer.pool());
      var slots = new ArrayList<ShardedBuffer>();
      for (int slot = 0; slot < pool.slots(); slot++) {
        slots.add(tensor(buffer, Holding.of(stage, buffer, slot)));
      }
      tensors.add(List.copyOf(slots));
    }
    return tensors;
  }

  private ShardedBuffer tensor(Buffer buffer, Holding holding) {
    ShardedBuffer known =
        held.computeIfAbsent(
            holding,
            _ -> ShardedBuffer.allocate(group, buffer.name(), buffer.type(), buffer.layout()));
    if (!known.type().equals(buffer.type()) || !known.on(0).type().equals(buffer.local())) {
      throw new IllegalStateException(
          buffer + " is kept as " + known.type() + " " + known.layout() + " by another program");
    }
    // Sums may have been folded where they lie: another program takes them as they are then.
    return known.layout().equals(buffer.layout()) ? known : known.as(buffer.layout());
  }

  /** What is kept under a name. */
  ShardedBuffer kept(String name) {
    return Objects.requireNonNull(held.get(Holding.kept(name)), () -> "nothing is kept as " + name);
  }
}
