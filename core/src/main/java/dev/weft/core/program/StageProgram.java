package dev.weft.core.program;

import dev.weft.core.cluster.Mesh;
import java.util.List;

/**
 * What the devices of one stage hold and do, all alike.
 *
 * @param mesh the stage's devices
 * @param steps in an order in which one thread could run them all
 */
public record StageProgram(
    int stage,
    Mesh mesh,
    List<Pool> pools,
    List<Buffer> buffers,
    List<Fragment> fragments,
    List<Step> steps) {
  public StageProgram {
    pools = List.copyOf(pools);
    buffers = List.copyOf(buffers);
    fragments = List.copyOf(fragments);
    steps = List.copyOf(steps);
  }

  /** Bytes that each device holds for the buffers, all slots together. */
  public long bytes() {
    long bytes = 0;
    for (Buffer buffer : buffers) {
      bytes += buffer.local().bytes() * pools.get(buffer.pool()).slots();
    }
    return bytes;
  }
}
